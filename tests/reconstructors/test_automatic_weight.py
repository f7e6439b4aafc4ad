"""The weight that predicts best what is held back: found from far off, kept where it is good, of each image its own."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import pytest
import torch
from torch import Tensor

from medrecon.reconstructor import Reconstructor, parameters_of
from medrecon.reconstructors import AutomaticWeight, NonnegativeTotalVariation, Sirt, TotalVariation
from medrecon.reconstructors.predicted import _chosen
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
        (((1.0, 0.5), (4.0, 0.45), (16.0, 0.9)), 1.0, 1.0),  # a fifth of the least above it: flat
        (((1.0, 0.9), (4.0, 0.8), (16.0, 0.85)), 1.0, None),  # a fifth of what is predicted
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
    assert float(between) == pytest.approx(least + 0.2 * min(least, 1 - least), rel=1e-5)


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
