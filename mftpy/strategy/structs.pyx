"""What C makes of the records: each struct of ``structs.pxd`` read from bytes, for whoever wants to compare."""

from mftpy.strategy cimport structs as s


def sizes():
    """Return the size in bytes of each struct, by the name of its dtype."""
    return {
        "CONTROL": sizeof(s.control_t),
        "TRADE": sizeof(s.trade_t),
        "TICKER": sizeof(s.ticker_t),
        "TARGET": sizeof(s.target_t),
        "ACCOUNT": sizeof(s.account_t),
        "STATUS": sizeof(s.status_t),
        "MODEL_INPUT": sizeof(s.input_t),
        "MODEL_OUTPUT": sizeof(s.output_t),
        "DECISION": sizeof(s.decision_t),
        "ACTION": sizeof(s.action_t),
        "PARAMETERS": sizeof(s.parameters_t),
        "ESTIMATES": sizeof(s.estimates_t),
        "ESTIMATE": sizeof(s.estimate_t),
    }


def as_c_sees(str name, const unsigned char[::1] record):
    """Return one record as a dictionary, its members in the order of the C struct.

    Parameters
    ----------
    name : str
        One of `sizes`.
    record : bytes-like
        Of that size.

    Raises
    ------
    ValueError
        The name is unknown, or the record has another size.
    """
    if sizes().get(name) != record.shape[0]:
        raise ValueError(f"{name} of {record.shape[0]} bytes is no record that is known here")
    cdef const void *at = &record[0]
    if name == "CONTROL":
        return (<s.control_t *>at)[0]
    if name == "TRADE":
        return (<s.trade_t *>at)[0]
    if name == "TICKER":
        return (<s.ticker_t *>at)[0]
    if name == "TARGET":
        return (<s.target_t *>at)[0]
    if name == "ACCOUNT":
        return (<s.account_t *>at)[0]
    if name == "STATUS":
        return (<s.status_t *>at)[0]
    if name == "MODEL_INPUT":
        return (<s.input_t *>at)[0]
    if name == "MODEL_OUTPUT":
        return (<s.output_t *>at)[0]
    if name == "DECISION":
        return (<s.decision_t *>at)[0]
    if name == "ACTION":
        return (<s.action_t *>at)[0]
    if name == "ESTIMATES":
        return (<s.estimates_t *>at)[0]
    if name == "ESTIMATE":
        return (<s.estimate_t *>at)[0]
    return (<s.parameters_t *>at)[0]


def constants():
    """Return the numbers of the enumerations, by the name they have in Python."""
    return {
        "SLOTS_PER_SIDE": s.SLOTS, "OWN_ORDERS": s.OWN, "MODEL_LEVELS": s.MODEL_LEVELS,
        "PARAMETERS_OF_USER": s.USER_PARAMETERS, "CLAMPS": s.CLAMPS,
        "Side.BUY": s.BUY, "Side.SELL": s.SELL,
        "Command.RUN": s.COMMAND_RUN, "Command.STOP_QUOTING": s.COMMAND_STOP_QUOTING, "Command.EXIT": s.COMMAND_EXIT,
        "Mode.RUN": s.MODE_RUN, "Mode.REDUCING": s.MODE_REDUCING, "Mode.HALTED": s.MODE_HALTED,
        "Reason.NONE": 0,
        "Reason.BOOK_NOT_READY": s.REASON_BOOK_NOT_READY,
        "Reason.BOOK_STALE": s.REASON_BOOK_STALE,
        "Reason.NO_FAIR_PRICE": s.REASON_NO_FAIR_PRICE,
        "Reason.MODEL_REFUSED": s.REASON_MODEL_REFUSED,
        "Reason.CROSSED_AFTER_CLAMP": s.REASON_CROSSED_AFTER_CLAMP,
        "Reason.AT_LONG_LIMIT": s.REASON_AT_LONG_LIMIT,
        "Reason.AT_SHORT_LIMIT": s.REASON_AT_SHORT_LIMIT,
        "Reason.STOPPING": s.REASON_STOPPING,
        "Reason.ACCOUNT_NOT_READY": s.REASON_ACCOUNT_NOT_READY,
        "Reason.BOOK_FROZEN": s.REASON_BOOK_FROZEN,
        "Reason.REDUCING": s.REASON_REDUCING,
        "Reason.HALTED": s.REASON_HALTED,
        "Reason.MODEL_FAILED": s.REASON_MODEL_FAILED,
        "Reason.BID_POSSIBLY_FILLED": s.REASON_BID_POSSIBLY_FILLED,
        "Reason.ASK_POSSIBLY_FILLED": s.REASON_ASK_POSSIBLY_FILLED,
        "FairSource.NONE": s.FAIR_NONE, "FairSource.MID": s.FAIR_MID, "FairSource.MICRO": s.FAIR_MICRO,
        "FairSource.INDEX": s.FAIR_INDEX,
        "Clamp.ROUNDING": s.CLAMP_ROUNDING, "Clamp.MIN_DISTANCE": s.CLAMP_MIN_DISTANCE,
        "Clamp.MAX_DISTANCE": s.CLAMP_MAX_DISTANCE, "Clamp.OPPOSITE_BEST": s.CLAMP_OPPOSITE_BEST,
        "Clamp.LEVEL_STEP": s.CLAMP_LEVEL_STEP, "Clamp.HELD": s.CLAMP_HELD,
    }
