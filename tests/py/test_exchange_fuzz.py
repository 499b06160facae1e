"""Nearly right requests, by the thousand; see `exchange_fuzz`."""

import pytest

from tests.py import exchange_fuzz


@pytest.mark.parametrize("seed", [1, 2])
def test_mutated_requests_are_all_answered_and_leave_every_balance_right(seed):
    codes = exchange_fuzz.run(2_500, seed)
    assert codes[None] > 200
    assert {1, 5, 6, 7, 14, 19, 31, 51} <= set(codes)
