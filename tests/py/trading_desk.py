"""Words for what clients do at the exchange's core; the plain exchange follows, and must agree with each."""

from mftpy.sim.matching import BUY
from tests.py.beside_plain import PERPETUAL, Beside

ANN, ANN_DROPS, ANN_2, BOB = range(4)
"""Sessions: two of one account (the second's orders go with it), one of the customer's other account, a stranger's."""


class Desk(Beside):
    """Both exchanges, and words for what clients do; prices in USD (tick 1), amounts in coins (lot 0.1)."""

    def __init__(self, **named):
        super().__init__(**({"cash": 1_000_000, "most_orders": 1_000, "most_value": 10**9} | named))

    def send(self, session, side, price, amount, name=PERPETUAL, **more):
        asked = {"direction": side, "instrument_name": name, "price": price, "amount": amount} | more
        code = self.insert(session, asked)
        return self.answer if code is None else code

    def buy(self, session, price, amount, **more):
        return self.send(session, "buy", price, amount, **more)

    def sell(self, session, price, amount, **more):
        return self.send(session, "sell", price, amount, **more)

    def change(self, said, price, amount, **more):
        order = self.trading.orders[said["order_id"]]
        code = self.amend(order, {"price": price, "amount": amount} | more)
        return self.answer if code is None else code

    def level(self, side, price, lots):
        self.set_level(0, side, price, lots)

    def queue(self, price, side=BUY):
        return [
            (item.owner.order_id if item.owner else None, item.lots)
            for item in self.contracts[0].book.queue(side, price)
        ]

    def lots(self, session):
        return self.sessions[session].account.position(self.contracts[0]).lots

    def heard(self, said):
        """Notices of one order: (change, status, reason)."""
        names = ("change_reason", "status", "delete_reason")
        mine = (one for one in self.notices if one["order_id"] == said["order_id"])
        return [tuple(one.get(name) for name in names) for one in mine]


def fills(said):
    return [(fill["price"], fill["amount"], fill["maker_taker"]) for fill in said["fills"]]
