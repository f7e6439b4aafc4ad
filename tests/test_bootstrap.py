"""Intervals against plain numpy."""

import numpy as np
import pytest

from medrecon.bootstrap import FEWEST_GROUPS, resampling


def test_an_interval_is_the_quantiles_of_the_means_of_draws() -> None:
    values = np.random.default_rng(0).normal(30, 2, size=25)
    found = resampling(range(25), 4000, seed=3).estimate(list(values))
    random = np.random.default_rng(3)
    means = values[random.integers(25, size=(4000, 25))].mean(axis=1)
    low, high = np.quantile(means, [0.025, 0.975])
    assert found is not None
    assert found.mean == pytest.approx(values.mean(), rel=1e-12)
    assert (found.low, found.high) == (pytest.approx(low, rel=1e-9), pytest.approx(high, rel=1e-9))
    assert found.count == 25


def test_its_width_is_that_of_theory() -> None:
    values = np.random.default_rng(1).normal(size=400)
    found = resampling(range(400), 4000, seed=0).estimate(list(values))
    assert found is not None
    assert found.low is not None
    assert found.high is not None
    assert found.high - found.low == pytest.approx(2 * 1.96 * values.std() / 20, rel=0.05)


def test_whole_volumes_are_drawn_where_there_are_many() -> None:
    groups = [number for number in range(FEWEST_GROUPS) for _ in range(3)]
    draws = resampling(groups, 500, seed=0)
    assert draws.unit == "10 volumes resampled"
    assert (draws.counts[:, ::3] == draws.counts[:, 1::3]).all()
    assert (draws.counts.sum(axis=1) == len(groups)).all()
    by_volume = np.repeat(np.arange(FEWEST_GROUPS, dtype=float), 3)
    whole = draws.estimate(list(by_volume))
    slices = resampling(range(len(groups)), 500, seed=0).estimate(list(by_volume))
    assert whole is not None
    assert slices is not None
    assert whole.high - whole.low > 1.4 * (slices.high - slices.low)  # type: ignore[operator]


def test_slices_of_few_volumes_are_drawn_and_it_is_said() -> None:
    assert "3 slices of 1 volume resampled as if" in resampling(["a", "a", "a"], 100, seed=0).unit
    assert resampling(["a", "b"], 100, seed=0).unit == "2 images resampled"
    assert resampling(["a"], 100, seed=0).unit == "none of a single image"


def test_what_is_missing_is_left_out() -> None:
    draws = resampling(range(4), 1000, seed=0)
    found = draws.estimate([1.0, None, 3.0, None])
    assert found is not None
    assert (found.mean, found.low, found.high, found.count) == (2.0, 1.0, 3.0, 2)
    assert draws.estimate([None] * 4) is None
    alone = draws.estimate([None, 5.0, None, None])
    assert alone is not None
    assert (alone.mean, alone.low, alone.high) == (5.0, None, None)
    with pytest.raises(ValueError, match="a value an image, 4, got 3"):
        draws.estimate([1.0, 2.0, 3.0])
    with pytest.raises(ValueError, match="at least one image"):
        resampling([], 100, seed=0)
