"""The search finds the best of functions that are known."""

import math
from collections.abc import Callable, Sequence

import pytest

from medrecon.benchmark.search import Range, search


def batched(score: Callable[[float], float], calls: list[float]) -> Callable[[Sequence[float]], list[float]]:
    def scores(values: Sequence[float]) -> list[float]:
        calls.extend(values)
        return [score(value) for value in values]

    return scores


@pytest.mark.parametrize("best", [0.9, 1.0, 3.7, 14.0, 0.07])
def test_finds_the_maximum_within_the_grid(best: float) -> None:
    calls: list[float] = []
    found = search(batched(lambda x: -(math.log(x / best) ** 2), calls), 1.0)
    assert found.value == pytest.approx(best, rel=0.1)
    assert found.edge == ""
    assert len(calls) == len(set(calls)) == len(found.tried) < 20


@pytest.mark.parametrize("best", [900.0, 0.0007])
def test_goes_beyond_the_edge(best: float) -> None:
    found = search(batched(lambda x: -abs(math.log(x / best)), []), 1.0)
    assert found.value == pytest.approx(best, rel=0.1)
    assert found.edge == ""


def test_says_where_there_is_no_end() -> None:
    found = search(batched(lambda x: x, []), 1.0)
    assert "lies at the edge of what was searched; larger ones may be better" in found.edge
    assert "smaller ones" in search(batched(lambda x: -x, []), 1.0).edge


def test_keeps_to_the_range() -> None:
    calls: list[float] = []
    found = search(batched(lambda x: x, calls), 0.6, Range(high=1.0))
    assert found.value == max(calls) == 1.0
    assert found.edge == "the best, 1, is the most that may be taken"
    assert search(batched(lambda x: -x, []), 20, Range(low=1, whole=True)).value == 1.0


def test_whole_numbers() -> None:
    calls: list[float] = []
    found = search(batched(lambda n: -abs(n - 13), calls), 20, Range(low=1, whole=True))
    assert all(value == int(value) for value in calls)
    assert abs(found.value - 13) <= 1


def test_refuses_a_start_without_a_scale() -> None:
    with pytest.raises(ValueError, match="a start above 0"):
        search(lambda values: list(values), 0.0)
