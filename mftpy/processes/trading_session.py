"""A logged-in session: how it begins (login, cancel on disconnect, stray orders) and how it ends (nothing is left)."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from mftpy.errors import VenueError
from mftpy.instance import state_directory
from mftpy.links import Instrument
from mftpy.processes.conversation import Conversation
from mftpy.processes.jobs import Credentials
from mftpy.venue import requests
from mftpy.venue.error_codes import AUTHENTICATION_FAILED, ORDER_NOT_FOUND, RefusedError
from mftpy.venue.messages import OrderStatus
from mftpy.venue.scale import Scale
from mftpy.venue.token import LoginKey, TokenDates, login_token

CANCEL_ON_DISCONNECT_S: Final = 6
CONSISTENT_TRIES: Final = 20
CANCEL_TRIES: Final = 5


class Books(NamedTuple):
    """What the exchange says of our account at one moment.

    Attributes
    ----------
    position_lots : int
    mark_price : float
        At which it valued the position; not-a-number when flat and not listed.
    equity : float
        Margin: cash and unrealised profit.
    unrealised : float
        Of all instruments.
    """

    position_lots: int
    mark_price: float
    equity: float
    unrealised: float


def log_in(talk: Conversation, credentials: Credentials) -> float:
    """Log in and arm cancel-on-disconnect, before anything else; returns the messages per second allowed.

    Raises
    ------
    ConfigError, VenueError
        The key cannot be used, or the exchange refuses it: in one sentence.
    """
    if credentials.private_key_pem:
        key = LoginKey.from_pem(credentials.key_id, credentials.private_key_pem)
    else:
        key = LoginKey.from_file(credentials.key_id, credentials.key_file)
    dates = TokenDates(state_directory() / "login-date")
    for attempt in range(2):
        token = login_token(key, dates)
        try:
            talk.ask("public/login", lambda number, token=token: requests.login(number, token))  # type: ignore[misc]
            break
        except RefusedError as error:
            # two logins of one key at the same moment can arrive in the wrong order: a later date settles it
            if error.code != AUTHENTICATION_FAILED or attempt:
                raise VenueError(
                    f"the exchange refuses the login with key {credentials.key_id} ({error}); "
                    "check THALEX_KEY_ID, THALEX_KEY_FILE, the network and this machine's clock"
                ) from error
    try:
        armed = talk.ask(
            "private/set_cancel_on_disconnect",
            lambda number: requests.set_cancel_on_disconnect(number, CANCEL_ON_DISCONNECT_S),
        )
    except RefusedError as error:
        raise VenueError(f"the exchange refuses cancel-on-disconnect, so no order is sent: {error}") from error
    return float(armed.message_rate or 10.0)


def ours(orders: list[OrderStatus], prefix: str) -> list[OrderStatus]:
    """Return the orders that carry a label of this instance."""
    return [order for order in orders if order.is_open and str(order.label or "").startswith(prefix)]


def cancel_ours(talk: Conversation, prefix: str) -> tuple[int, int]:
    """Cancel every order with our label by its id until the exchange twice lists none.

    Returns
    -------
    tuple of int
        How many were cancelled, and how many are still listed.
    """
    cancelled, empty = 0, 0
    left: list[OrderStatus] = []
    for _ in range(CANCEL_TRIES):
        left = ours(talk.ask("private/open_orders", requests.open_orders), prefix)
        empty = empty + 1 if not left else 0
        if empty == 2:
            break
        for order in left:
            try:
                talk.ask("private/cancel", _cancel(order.order_id))
                cancelled += 1
            except RefusedError as error:
                if error.code != ORDER_NOT_FOUND:
                    raise
    return cancelled, len(left)


def _cancel(order_id: str) -> Callable[[int], bytes]:
    return lambda number: requests.cancel_by_order_id(number, order_id)


def read_books(talk: Conversation, instrument: Instrument, scale: Scale) -> Books:
    """Ask for portfolio and account summary until both are of one moment.

    The mark may move between the two answers; they are of one moment when their unrealised profits agree.

    Raises
    ------
    VenueError
        They never agreed.
    """
    for _ in range(CONSISTENT_TRIES):
        lines = talk.ask("private/portfolio", requests.portfolio)
        summary = talk.ask("private/account_summary", requests.account_summary)
        unrealised = sum(line.unrealised_pnl or 0.0 for line in lines)
        if abs(unrealised - summary.unrealised_pnl) > 1e-6:
            continue
        line = next((line for line in lines if line.instrument_name == instrument.name), None)
        return Books(
            position_lots=scale.lots(abs(line.position)) * (1 if line.position > 0 else -1) if line else 0,
            mark_price=float(line.mark_price) if line and line.mark_price else float("nan"),
            equity=summary.margin,
            unrealised=summary.unrealised_pnl,
        )
    raise VenueError(
        "portfolio and account summary of the exchange never agreed on the unrealised profit, so the account cannot "
        "be compared with ours"
    )


def wait_until(talk: Conversation, condition: Callable[[], bool], timeout_s: float, turn: Callable[[], None]) -> bool:
    """Handle messages until a condition holds; False when it did not within the time."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            return False
        talk.wait(0.02)
        talk.pump()
        turn()
    return True


def close_report(books: Books, left: int) -> dict[str, Any]:
    """Return what the exchange said at the end, under the names of `summary.json`."""
    return {
        "position_exchange_lots": books.position_lots,
        "orders_left_open": left,
        "equity_end": books.equity,
    }
