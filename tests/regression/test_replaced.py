"""Each regression test fails when its method is replaced by zero filling or by filtered backprojection.

A method that is one of these, or a sum of squares of the former, is replaced by itself moved by a pixel.
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from torch import Tensor

from medrecon.operators import LinearOperator, Radon
from medrecon.reconstructor import Reconstructor
from medrecon.reconstructors import FilteredBackprojection, RootSumOfSquares, ZeroFilled
from tests.regression.cases import CASES, Case, Score, measure, reconstructor
from tests.regression.checks import EXACT, ORDERS, Exact, Order, check_exact, check_order, check_score
from tests.regression.numbers import read_numbers

NUMBERS = read_numbers()
ONE_STEP = (ZeroFilled, RootSumOfSquares, FilteredBackprojection)
Replace = Callable[[Reconstructor], None]


def in_one_step(y: Tensor, A: LinearOperator) -> Tensor:
    """Filtered backprojection of line integrals; of k-space the adjoint, and without coil maps the sum of squares."""
    if isinstance(A, Radon):
        return FilteredBackprojection()(y, A)
    return RootSumOfSquares()(y, A) if "coil" in A.domain.axes else ZeroFilled()(y, A)


@pytest.fixture
def replace_method(monkeypatch: pytest.MonkeyPatch) -> Replace:
    """Give all objects of a reconstructor's class another method."""

    def replaced(method: Reconstructor) -> None:
        kind, own = type(method), type(method).__call__

        def moved(self: Reconstructor, y: Tensor, A: LinearOperator, /) -> Tensor:
            return own(self, y, A).roll(1, -1)

        def simple(_: Reconstructor, y: Tensor, A: LinearOperator, /) -> Tensor:
            return in_one_step(y, A)

        monkeypatch.setattr(kind, "__call__", moved if kind in ONE_STEP else simple)

    return replaced


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_score_is_lost(case: Case, measured: Callable[[Case], Score], folder: Path, replace_method: Replace) -> None:
    measured(case)
    check_score(case, measured, NUMBERS)
    replace_method(reconstructor(case))
    with pytest.raises(AssertionError, match=f"{case}: scored "):
        check_score(case, lambda case: measure(case, folder), NUMBERS)


@pytest.mark.parametrize("order", ORDERS, ids=str)
def test_an_order_is_lost(
    order: Order, measured: Callable[[Case], Score], folder: Path, replace_method: Replace
) -> None:
    scores = {case: measured(case) for case in order.cases}
    better = order.cases[0]
    replace_method(reconstructor(better))
    scores[better] = measure(better, folder)
    with pytest.raises(AssertionError, match="more SSIM"):
        check_order(order, scores.__getitem__)


@pytest.mark.parametrize("exact", EXACT, ids=str)
def test_exactness_is_lost(exact: Exact, replace_method: Replace) -> None:
    replace_method(exact.reconstruct)
    with pytest.raises(AssertionError, match="comes back to "):
        check_exact(exact)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_small_loss_of_quality_is_seen(case: Case, measured: Callable[[Case], Score]) -> None:
    found = measured(case)
    check_score(case, measured, NUMBERS)
    for worse in (replace(found, psnr=found.psnr - 0.1), replace(found, ssim=found.ssim - 0.005)):
        assert not NUMBERS.holds(case, worse)
