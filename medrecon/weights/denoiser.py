"""A trained denoiser, and what is known of its error at each level of noise."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import torch
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Tensor

from medrecon.errors import InputError
from medrecon.modality import Modality
from medrecon.networks import DenoiserUNet, Denoising
from medrecon.weights.learned import Weights, loaded, run_as

__all__ = ["ErrorCurve", "LearnedDenoiser", "load_denoiser"]

_Positive = Annotated[float, Field(gt=0, le=1e6, allow_inf_nan=False)]
_Values = Annotated[tuple[_Positive, ...], Field(min_length=2, max_length=1000)]


class ErrorCurve(BaseModel):
    """The mean squared error of a real or imaginary part by the level of the noise, both in units of the image's intensity.

    `complex` is that of images with a phase, `real` that of images without; None where the denoiser learned of none.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    levels: _Values
    complex: _Values | None = None
    real: _Values | None = None

    @model_validator(mode="after")
    def _fit(self) -> ErrorCurve:
        rising = all(a < b for a, b in zip(self.levels, self.levels[1:], strict=False))
        sizes = {len(values) for values in (self.levels, self.complex, self.real) if values is not None}
        if not rising or len(sizes) > 1:
            raise ValueError("takes rising levels, and as many errors")
        return self

    def of(self, modality: Modality) -> Sequence[float] | None:
        """The errors of the images of a scanner."""
        return self.complex if modality is Modality.MRI else self.real


@dataclass(frozen=True, eq=False)
class LearnedDenoiser:
    """A `medrecon.reconstructors.Denoiser`: a network, and the share of the noise's variance that it leaves at each level.

    Parameters
    ----------
    network
        ready, on the device of the images.
    levels, shares
        natural logarithms: of the noise over the image's intensity, rising, and of the error over the noise's variance.
    weights
        where the network comes from.
    """

    network: DenoiserUNet
    levels: Tensor
    shares: Tensor
    weights: Weights

    @property
    def device(self) -> torch.device:
        """Where the network lies."""
        return self.levels.device

    def __call__(self, x: Tensor, sigma: Tensor, /) -> Tensor:
        """Denoise `(..., y, x)`, where `sigma` is that of each real or imaginary part, one an image; no gradient is recorded."""
        with torch.no_grad(), run_as(self.weights.execution, x.device):
            image: Tensor = self.network(x, sigma)
        return image.to(x.dtype)

    def error(self, sigma: Tensor, scale: Tensor, /) -> Tensor:
        """The mean squared error of each real or imaginary part; beyond the levels that were measured the share stays."""
        place = (sigma / scale).log().clamp(self.levels[0], self.levels[-1])
        right = torch.searchsorted(self.levels, place.contiguous()).clamp(1, len(self.levels) - 1)
        part = (place - self.levels[right - 1]) / (self.levels[right] - self.levels[right - 1])
        return sigma.square() * torch.lerp(self.shares[right - 1], self.shares[right], part).exp()


def load_denoiser(weights: Weights, modality: Modality, device: torch.device | str = "cpu") -> LearnedDenoiser:
    """Read the weights of a denoiser, and make it on a device.

    Raises
    ------
    InputError
        If the file is damaged, does not fit its own card, or its denoiser learned of no images of this scanner.
    """
    network = loaded(weights, device)
    assert isinstance(network, Denoising)
    curve = ErrorCurve.model_validate(weights.card["error"]) if weights.card.get("error") else None
    errors = None if curve is None else curve.of(modality)
    if curve is None or errors is None:
        raise InputError(
            f"{weights.path}: its card states no error of images of {modality.upper()}; "
            "train it to the end, and on images of this kind"
        )
    levels = [math.log(level) for level in curve.levels]
    shares = [math.log(value) - 2 * level for value, level in zip(errors, levels, strict=True)]
    return LearnedDenoiser(network.denoiser, torch.tensor(levels).to(device), torch.tensor(shares).to(device), weights)
