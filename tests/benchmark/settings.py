"""Small benchmarks to run in tests, and what kills a worker."""

import os
from typing import Any

from torch import Tensor

from medrecon.config.benchmark import BenchmarkSettings
from medrecon.operators import LinearOperator

MRI_DATA = {"kind": "phantom-mri", "size": [32, 32], "slices": 2, "coils": 4}
CT_DATA = {"kind": "phantom-ct", "size": 32, "slices": 2, "views": 24}
MASK = {"kind": "random", "acceleration": 2, "center_fraction": 0.25}


def zero_filled(name: str = "zero-filled", **more: Any) -> dict[str, Any]:
    return {"name": name, "method": {"kind": "zero-filled"}, **more}


def sense(name: str = "sense", **more: Any) -> dict[str, Any]:
    return {"name": name, "method": {"kind": "sense", "iterations": 2}, **more}


def mri(methods: list[Any] | None = None, **more: Any) -> BenchmarkSettings:
    """Of MRI alone; `more` are keys of the scenario."""
    scenario = {"name": "brain", "data": MRI_DATA, "mask": MASK, **more}
    values = {
        "name": "t",
        "resamples": 100,
        "mri": {"methods": methods or [zero_filled(), sense()], "scenarios": [scenario]},
    }
    return BenchmarkSettings.model_validate(values)


def ct(methods: list[Any] | None = None, **more: Any) -> BenchmarkSettings:
    """Of CT alone; `more` are keys of the scenario."""
    fbp = {"name": "fbp", "method": {"kind": "fbp"}}
    scenario = {"name": "body", "data": CT_DATA, **more}
    values = {"name": "t", "resamples": 100, "ct": {"methods": methods or [fbp], "scenarios": [scenario]}}
    return BenchmarkSettings.model_validate(values)


class Fixed:
    """A method that gives one image, whatever was measured."""

    def __init__(self, image: Tensor) -> None:
        self.image = image

    def __call__(self, _y: Tensor, _A: LinearOperator, /) -> Tensor:
        return self.image


class Broken:
    """A method that takes nothing."""

    def __call__(self, _y: Tensor, _A: LinearOperator, /) -> Tensor:
        raise ValueError("this method takes\nanother operator")


class Deadly(str):
    """The number of an image whose reader dies."""

    __slots__ = ()

    def __index__(self) -> int:
        os._exit(9)
