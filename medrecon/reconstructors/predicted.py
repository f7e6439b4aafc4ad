"""The weight that predicts best what is held back of a scan."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import torch
from torch import Tensor

from medrecon.held_out import HeldOut, hold_out
from medrecon.operators import LinearOperator
from medrecon.reconstructor import Parameters, Reconstructor, parameters_of

__all__ = ["AutomaticWeight", "Curve", "WeightChoice"]

_RATIO, _TRIALS = 4.0, 6
_FLAT = 1.2  # of the least error: what lies below it counts as flat

#: Weights and the held-out errors at them, in order of the weights.
Curve = tuple[tuple[float, float], ...]


@dataclass(frozen=True, eq=False)
class WeightChoice:
    """A method at the weight that was chosen, and the errors at those that were tried; of none where nothing is held back."""

    reconstruct: Reconstructor
    curve: Curve


@dataclass(frozen=True)
class AutomaticWeight:
    """A method at the weight by which it predicts best what is held back of the scan: of each image its own.

    Weights are tried about the method's own in steps of four, by half of the iterations, until the errors rise on both sides. What
    is held back is missing in these trials, and they ask for too much regularization: of the weights up to 1.2 times the least
    error the smallest is taken, interpolated between two by the logarithms. Where nothing can be held back the method keeps its own.

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
        errors = cache(lambda weight: self._errors(weight, split))
        count = len(errors(self._start))
        weights = [_smallest(self._curve(lambda weight, k=k: errors(weight)[k])) for k in range(count)]  # type: ignore[misc]
        images = {weight: _with(self.reconstruct, weight=weight)(y, A) for weight in set(weights)}
        shape = next(iter(images.values())).shape
        flat = {weight: x.reshape(-1, *A.domain.shape) for weight, x in images.items()}
        return torch.stack([flat[weight][k] for k, weight in enumerate(weights)]).reshape(shape)

    def choose(self, y: Tensor, A: LinearOperator) -> WeightChoice:
        """Choose the weight for `y`: of a batch one for all, by their mean error."""
        split = hold_out(y, A)
        if split is None:
            return WeightChoice(self.reconstruct, ())
        curve = self._curve(lambda weight: sum(found := self._errors(weight, split)) / len(found))
        return WeightChoice(_with(self.reconstruct, weight=_smallest(curve)), curve)

    @property
    def _start(self) -> float:
        return float(parameters_of(self.reconstruct)["weight"])

    def _errors(self, weight: float, split: HeldOut) -> list[float]:
        iterations = max(1, int(parameters_of(self.reconstruct)["iterations"]) // 2)
        x = _with(self.reconstruct, weight=weight, iterations=iterations)(split.y, split.A)
        return torch.nan_to_num(split.error(x), nan=math.inf).flatten().tolist()

    def _curve(self, error: Callable[[float], float]) -> Curve:
        errors = {weight: error(weight) for weight in (self._start, self._start * _RATIO)}
        while len(errors) < _TRIALS:
            low, high, least = min(errors), max(errors), min(errors.values())
            if errors[high] == least:
                errors[high * _RATIO] = error(high * _RATIO)
            elif errors[low] <= _FLAT * least:
                errors[low / _RATIO] = error(low / _RATIO)
            else:
                break
        return tuple(sorted(errors.items()))


def _smallest(curve: Curve) -> float:
    """The smallest weight of an error up to `_FLAT` times the least."""
    level = _FLAT * min(error for _, error in curve)
    place = next(k for k, (_, error) in enumerate(curve) if error <= level)
    weight, error = curve[place]
    if place == 0 or error <= 0:
        return weight
    smaller, above = curve[place - 1]
    return float(weight * (smaller / weight) ** (math.log(level / error) / math.log(above / error)))


def _with(reconstruct: Reconstructor, **settings: Any) -> Reconstructor:
    value: Any = reconstruct  # a dataclass
    changed: Reconstructor = replace(value, **settings)
    return changed
