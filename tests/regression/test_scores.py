"""Every method on every phantom: its score, the order among methods, and that full data come back."""

from collections.abc import Callable

import pytest

from tests.regression.cases import CASES, Case, Score
from tests.regression.checks import (
    EXACT,
    ORDERS,
    Exact,
    Order,
    check_exact,
    check_order,
    check_score,
)
from tests.regression.numbers import read_numbers

NUMBERS = read_numbers()


@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_score_is_the_one_that_is_held(case: Case, measured: Callable[[Case], Score]) -> None:
    measured(case)
    check_score(case, measured, NUMBERS)


@pytest.mark.parametrize("order", ORDERS, ids=str)
def test_the_better_method_is_better(order: Order, measured: Callable[[Case], Score]) -> None:
    check_order(order, measured)


@pytest.mark.parametrize("exact", EXACT, ids=str)
def test_fully_sampled_data_without_noise_come_back(exact: Exact) -> None:
    check_exact(exact)


def test_no_score_is_held_of_what_is_not_measured() -> None:
    assert not set(NUMBERS.scores) - set(CASES)
