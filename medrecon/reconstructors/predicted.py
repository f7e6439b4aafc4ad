"""The weight that predicts best what is held back of a scan."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from statistics import fmean
from typing import Any

import torch
from torch import Tensor

from medrecon.held_out import HeldOut, hold_out
from medrecon.operators import LinearOperator
from medrecon.reconstructor import Parameters, Reconstructor, parameters_of

__all__ = ["AutomaticWeight", "Curve", "WeightChoice", "choose_weight"]

_RATIO, _TRIALS = 4.0, 6
_WORSE = 1.3  # times the least error, above which that of the method's own weight is clearly worse
_GOOD = 1.1  # times the least, below which that of another weight is as good
_SATURATED = 1.02  # times the error at one weight at the next, where there is nothing more to smooth
_PREDICTS = 0.8  # an error below which something is predicted

#: Weights and the held-out errors at them, in order of the weights.
Curve = tuple[tuple[float, float], ...]


@dataclass(frozen=True, eq=False)
class WeightChoice:
    """A method at the weight that was chosen, and the errors at those that were tried; of none where nothing is held back.

    `trial` is the image of a trial at the weight that was chosen.
    """

    reconstruct: Reconstructor
    curve: Curve
    trial: Tensor | None = None


@dataclass(frozen=True)
class AutomaticWeight:
    """A method at the weight by which it predicts best what is held back of the scan: of each image its own.

    The method's own weight is kept, to the bit, unless its held-out error is above 1.3 times the least, as it is where coil maps,
    or the noise, are not what they seem. Weights are tried in steps of four, by the method, until the errors rise on both sides;
    two trials do where they are alike. What is held back is missing in the trials, which therefore ask for too much regularization,
    and where noise rules it the curve is flat: so a weight is left only as far as need be, for the nearest whose error lies above
    the least by at most a tenth, interpolated between two weights by the logarithms. Where nothing can be held back the method
    keeps its own.

    Raises
    ------
    ValueError
        if the method has no weight above 0, or no iterations.
    """

    reconstruct: Reconstructor

    def __post_init__(self) -> None:
        settings = parameters_of(self.reconstruct)
        if not float(settings.get("weight", 0)) > 0 or "iterations" not in settings:
            raise ValueError(
                f"AutomaticWeight takes a method with a weight above 0 and iterations, got {self.reconstruct}"
            )

    @property
    def stated_parameters(self) -> Parameters:
        """Those of the method, its weight not chosen yet."""
        return {**parameters_of(self.reconstruct), "weight": "auto"}

    def __call__(self, y: Tensor, A: LinearOperator, /) -> Tensor:
        split = hold_out(y, A)
        if split is None:
            return self.reconstruct(y, A)
        errors = cache(lambda weight: _errors(self._trial(weight, split), split))
        count = len(errors(self._start))

        def error_of(k: int) -> Callable[[float], float]:
            return lambda weight: errors(weight)[k]

        weights = [choose_weight(error_of(k), self._start)[0] for k in range(count)]
        images = {weight: _with(self.reconstruct, weight=weight)(y, A) for weight in set(weights)}
        shape = next(iter(images.values())).shape
        flat = {weight: x.reshape(-1, *A.domain.shape) for weight, x in images.items()}
        return torch.stack([flat[weight][k] for k, weight in enumerate(weights)]).reshape(shape)

    def choose(self, y: Tensor, A: LinearOperator) -> WeightChoice:
        """Choose the weight for `y`: of a batch one for all, by their mean error."""
        return self.choose_by(hold_out(y, A))

    def choose_by(self, split: HeldOut | None) -> WeightChoice:
        """Choose the weight, as `choose` does, by what is held back already."""
        if split is None:
            return WeightChoice(self.reconstruct, ())
        trial = cache(lambda weight: self._trial(weight, split))
        weight, curve = choose_weight(lambda weight: fmean(_errors(trial(weight), split)), self._start)
        chosen = self.reconstruct if weight == self._start else _with(self.reconstruct, weight=weight)
        return WeightChoice(chosen, curve, trial(weight))

    @property
    def _start(self) -> float:
        return float(parameters_of(self.reconstruct)["weight"])

    def _trial(self, weight: float, split: HeldOut) -> Tensor:
        return _with(self.reconstruct, weight=weight)(split.y, split.A)


def choose_weight(error: Callable[[float], float], start: float) -> tuple[float, Curve]:
    """The weight to take instead of `start`, or `start` itself, by the held-out `error` at a weight; and the errors asked for."""
    errors = {weight: error(weight) for weight in (start, start * _RATIO)}
    while len(errors) < _TRIALS and not _alike(errors):
        best = min(errors, key=lambda weight: (errors[weight], weight))
        if best not in (min(errors), max(errors)):
            break
        beyond = best * _RATIO if best == max(errors) else best / _RATIO
        errors[beyond] = error(beyond)
    curve = tuple(sorted(errors.items()))
    return (start if errors[start] <= _WORSE * min(errors.values()) else _chosen(curve, start)), curve


def _alike(errors: Mapping[float, float]) -> bool:
    """Whether all weights predict about as well, and something; not because they all smooth everything away."""
    least, most = min(errors.values()), max(errors.values())
    return least < _PREDICTS and _SATURATED * least < most <= _WORSE * least


def _chosen(curve: Curve, start: float) -> float:
    """The weight nearest to `start`, one of the curve, whose error is as good as the least."""
    best, least = min(curve, key=lambda point: point[1])
    level = _GOOD * least
    way = [point for point in curve if min(start, best) <= point[0] <= max(start, best)]
    way = way if start < best else way[::-1]
    place = next(k for k, (_, error) in enumerate(way) if error <= level)
    weight, error = way[place]
    if place == 0 or error <= 0 or not math.isfinite(way[place - 1][1]):
        return weight
    before, above = way[place - 1]
    return float(weight * (before / weight) ** (math.log(level / error) / math.log(above / error)))


def _errors(x: Tensor, split: HeldOut) -> list[float]:
    """Of a trial, one an image."""
    found: list[float] = torch.nan_to_num(split.error(x), nan=math.inf).flatten().tolist()
    return found


def _with(reconstruct: Reconstructor, **settings: Any) -> Reconstructor:
    value: Any = reconstruct  # a dataclass
    changed: Reconstructor = replace(value, **settings)
    return changed
