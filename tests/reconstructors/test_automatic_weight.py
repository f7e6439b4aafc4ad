"""The weight that predicts best what is held back: found from far off, kept where it is good, of each image its own."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import pytest
import torch
from torch import Tensor

from medrecon.reconstructor import Reconstructor, parameters_of
from medrecon.reconstructors import AutomaticWeight, NonnegativeTotalVariation, Sirt, TotalVariation
from medrecon.reconstructors.predicted import _chosen, choose_weight
from tests.problems import Scan, ct, mri

MRI = partial(mri, (32, 48), noise=0.02)
CT = partial(ct, (20, 18), views=30, noise=0.4, level=0.02)
TV, TV_CT = TotalVariation(iterations=12), NonnegativeTotalVariation()


def error(reconstruct: Reconstructor, scan: Scan) -> float:
    x: Tensor = reconstruct(scan.y, scan.A)
    return float(torch.linalg.vector_norm(x - scan.truth) / torch.linalg.vector_norm(scan.truth))


@pytest.mark.parametrize("factor", [1 / 64, 1 / 8, 8, 512])
def test_a_weight_that_is_far_off_is_left(factor: float) -> None:
    scan = MRI(n=1)
    off = replace(TV, weight=TV.weight * factor)
    found = AutomaticWeight(off).choose(scan.y, scan.A).reconstruct
    assert error(found, scan) < 1.2 * error(TV, scan)
    assert error(found, scan) < 0.8 * error(off, scan)


def test_of_line_integrals_too() -> None:
    scan = CT(n=1)
    off = replace(TV_CT, weight=64 * TV_CT.weight)
    assert error(AutomaticWeight(off), scan) < 1.2 * error(TV_CT, scan) < 0.3 * error(off, scan)


@pytest.mark.parametrize(("method", "scan"), [(TV, MRI), (TV_CT, CT)], ids=["mri", "ct"])
def test_a_weight_that_predicts_as_well_is_kept(
    method: TotalVariation | NonnegativeTotalVariation, scan: object
) -> None:
    made = scan(n=1)  # type: ignore[operator]
    choice = AutomaticWeight(method).choose(made.y, made.A)
    assert choice.reconstruct == method
    assert method.weight in dict(choice.curve)


def test_each_image_of_a_batch_has_its_own_weight_and_a_choice_one_for_all() -> None:
    scan = MRI(n=2)
    off = AutomaticWeight(replace(TV, weight=8 * TV.weight))
    one = off.choose(scan.y, scan.A).reconstruct
    assert parameters_of(one)["weight"] < 8 * TV.weight
    assert off(scan.y, scan.A).shape == scan.truth.shape


@pytest.mark.parametrize(
    ("curve", "start", "chosen"),
    [
        (((1.0, 0.49), (4.0, 0.45), (16.0, 0.9)), 1.0, 1.0),  # a tenth of the least above it
        (((1.0, 2.0), (4.0, 1.2), (16.0, 1.0)), 1.0, None),
        (((1.0, 9.0), (4.0, 3.0), (16.0, 0.7)), 1.0, None),
        (((1.0, 0.1), (4.0, 0.3), (16.0, 0.6)), 16.0, None),
        (((1.0, 0.0), (4.0, 0.0), (16.0, 0.0)), 4.0, 4.0),
        (((1.0, 2.0), (4.0, 1.5), (16.0, float("inf"))), 16.0, 4.0),
    ],
)
def test_the_nearest_weight_that_is_as_good(
    curve: tuple[tuple[float, float], ...], start: float, chosen: float | None
) -> None:
    found = _chosen(curve, start)
    if chosen is not None:
        assert found == chosen
        return
    best, least = min(curve, key=lambda point: point[1])
    assert min(start, best) < found < max(start, best)
    below, above = max(p for p in curve if p[0] <= found), min(p for p in curve if p[0] > found)
    share = torch.log(torch.tensor(found / below[0])) / torch.log(torch.tensor(above[0] / below[0]))
    between = below[1] ** (1 - share) * above[1] ** share
    assert float(between) == pytest.approx(1.1 * least, rel=1e-5)


@pytest.mark.parametrize("share", [0.97, 0.78])
def test_a_weight_is_kept_where_the_best_predicts_little_better(share: float) -> None:
    errors = {1.0: 0.6, 4.0: 0.6 * share, 0.25: 0.9, 16.0: 0.9}
    assert choose_weight(errors.__getitem__, 1.0) == (1.0, ((1.0, 0.6), (4.0, 0.6 * share)))  # two trials say so


@pytest.mark.parametrize("trend", [0.5, 2.0])
def test_a_weight_that_predicts_worse_than_a_black_image_is_left(trend: float) -> None:
    weight, curve = choose_weight(lambda weight: 0.4 + weight ** (1 if trend > 1 else -1), 8.0 if trend > 1 else 1 / 8)
    assert dict(curve)[8.0 if trend > 1 else 1 / 8] > 1
    assert 0.4 + weight ** (1 if trend > 1 else -1) < 1
    assert len(curve) <= 6


def test_of_weights_that_smooth_everything_away_the_search_goes_on_to_one_that_does_not() -> None:
    weight, _ = choose_weight(lambda weight: 0.3 if weight > 0.1 else 0.1, 1.0)
    assert weight < 0.2


def test_a_kept_weight_gives_the_image_of_the_method_to_the_bit() -> None:
    scan = MRI(n=1)
    assert torch.equal(AutomaticWeight(TV)(scan.y, scan.A), TV(scan.y, scan.A))


def test_a_batch_is_chosen_for_as_a_loop_would() -> None:
    scan = MRI(n=2)
    off = AutomaticWeight(replace(TV, weight=8 * TV.weight))
    loop = torch.stack([off(y, scan.A) for y in scan.y])
    torch.testing.assert_close(off(scan.y, scan.A), loop, rtol=0, atol=1e-4)


def test_where_nothing_can_be_held_back_the_method_keeps_its_own() -> None:
    scan = CT(n=1)
    few, A = scan.A.restricted(scan.y, torch.arange(30) < 4)
    assert AutomaticWeight(TV_CT).choose(few, A).curve == ()
    assert torch.equal(AutomaticWeight(TV_CT)(few, A), TV_CT(few, A))


def test_methods_without_a_weight_are_refused() -> None:
    with pytest.raises(ValueError, match="AutomaticWeight takes a method with a weight above 0"):
        AutomaticWeight(Sirt())


def test_it_says_that_its_weight_is_not_chosen_yet() -> None:
    assert parameters_of(AutomaticWeight(TV)) == {**parameters_of(TV), "weight": "auto"}
