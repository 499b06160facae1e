"""Whole numbers for prices, sizes and money: the exchange's core has no float until it is written into a message.

A price is in units of 1e-8 quote currency, a size in units of 1e-8 coins, as fine as the protocol's eight decimals;
money is their product, in units of 1e-16, so that price times size is exact.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Final

UNIT: Final = 10**8
"""Units per 1.0 of a price or a size."""

MONEY: Final = UNIT * UNIT
"""Units per 1.0 of quote currency."""

CENT: Final = MONEY // 100

_CENT_OF_RATE: Final = CENT * UNIT  # a rate, as a price and a size, is in 1e-8
_EXACT: Final = 0.25  # a product this near to a whole number rounds as the exact decimal would


def half_even(numerator: int, denominator: int) -> int:
    """Return the quotient rounded to the nearest whole number, a half to the even one; the denominator is positive."""
    quotient, rest = divmod(numerator, denominator)
    twice = 2 * rest
    if twice > denominator or (twice == denominator and quotient & 1):
        return quotient + 1
    return quotient


def decimal_units(value: float | int) -> int:
    """Return the decimal that a number in a setting stands for, in units of 1e-8."""
    return round(Fraction(repr(value)) * UNIT)


def rounded_units(value: float | int) -> int:
    """Return a finite number of a client's, rounded to eight decimals (a half to the even one), in units of 1e-8."""
    if isinstance(value, int):
        return value * UNIT
    product = value * UNIT
    if abs(product) < 2.0**50:
        near = round(product)
        if abs(product - near) < _EXACT:
            return near
    return round(Fraction(value) * UNIT)


def fee_of(index_units: int, rate_units: int, size_units: int) -> int:
    """Money of one fill's fee: a rate on index times size, rounded to cents (half to even)."""
    return half_even(index_units * size_units * rate_units, _CENT_OF_RATE) * CENT
