"""Quotes that lean to where the book is thin: the side with more behind it is the more likely one to win."""

from mftpy.model.builtin import avellaneda_stoikov


def quote(x, out):
    """Avellaneda-Stoikov, moved by the order imbalance; ``x.parameter[0]`` is by how much at most, in USD."""
    avellaneda_stoikov(x, out)
    shift = x.parameter[0] * x.imbalance
    for i in range(out.n_bids):
        out.bid_price[i] += shift
    for i in range(out.n_asks):
        out.ask_price[i] += shift
    out.skew -= shift
