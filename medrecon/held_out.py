"""Measurements that are held back: how well an image that is made of the others predicts them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import pad

from medrecon.operators import LinearOperator
from medrecon.spaces import Space

__all__ = ["Excess", "HeldOut", "Prediction", "hold_out"]

_SHARE = 5  # one in so many is held back
_MORE, _SEEN = 0.25, 0.025  # of what two images differ by, and of an image's energy
_FLOOR = 1.75  # times the other's error, above which no floor of noise makes an image err
_SURE = 2.5  # standard errors
_BAND = 16  # frequencies of a line or view that are taken together
_LEAST = 5  # bands, of fewer of which no standard error is known


@dataclass(frozen=True)
class Excess:
    """How much more one image errs than another: as a share of what they differ by, in standard errors, and of the image's energy.

    Both images err in the same noise, so that differences are taken: of bands of 16 frequencies along each line or view that was
    held back, of which a few lines have enough, and the standard error is that of their sum. Of fewer than five bands nothing is
    certain: the significance is 0. `of_image` is infinite where it is not known, as of line integrals. `ratio` is that of both
    errors, noise in what was measured included.
    """

    share: float
    significance: float
    of_image: float = math.inf
    ratio: float = math.inf

    @property
    def is_certain(self) -> bool:
        """Whether the image predicts worse than the other beyond doubt, be it by little."""
        return self.significance > _SURE

    @property
    def is_large(self) -> bool:
        """Whether it does so by much of what they differ by, and by what can be seen in the image.

        A root sum of squares has a floor of noise, which spreads over k-space and errs by no more than the noise that was measured,
        of which the other's error consists far out: an excess near to that error is none, however little of a good image it is.
        """
        return self.is_certain and self.share > _MORE and (self.of_image > _SEEN or self.ratio > _FLOOR)


@dataclass(frozen=True, eq=False)
class Prediction:
    """What an image predicts of measurements that were held back: `predicted` of `measured`, both of `space`.

    Line integrals are weighted by the ramp along the detector, so that differences count as they do in the image; k-space is as it
    is. A batch is taken together. `expected` is the energy that what was held back would have, were that of the scan spread evenly
    over k-space: the error of an image is to be held against that, as what lies far out has next to none.
    """

    predicted: Tensor
    measured: Tensor
    space: Space
    expected: float | None = None

    @property
    def error(self) -> float:
        """`|predicted - measured|^2 / |measured|^2`, weighted; where one prediction has an excess over another, it is larger.

        It is 0 without error, or where nothing but zeros was held back, and 1 for the black image. Noise in what was measured adds
        its share of the energy, the same to every image; weighted by the ramp it may be most of it.
        """
        energy = float(self._energies(self.measured).sum())
        return float(self._energies(self.predicted - self.measured).sum()) / energy if energy > 0 else 0.0

    def excess(self, other: Prediction | None = None) -> Excess:
        """How much more is wrong with this prediction, `p`, than with another of the same, `q`; of the black image unless given.

        `(|p - y|^2 - |q - y|^2) / |p - q|^2` is free of the energy of noise in what was measured, `y`: 1 if the other is right, -1
        if this one is.
        """
        q = torch.zeros_like(self.predicted) if other is None else other.predicted
        errors = [self._energies(one - self.measured) for one in (self.predicted, q)]
        more, apart = errors[0] - errors[1], self._energies(self.predicted - q)
        n, total = int((apart > 0).sum()), float(more.sum())
        spread = (
            math.sqrt(max(float(more.square().sum()) - total**2 / n, 0.0) * n / (n - 1)) if n >= _LEAST else math.inf
        )
        return Excess(
            share=_ratio(total, float(apart.sum())),
            significance=_ratio(total, spread),
            of_image=math.inf if self.expected is None else _ratio(total, self.expected),
            ratio=_ratio(float(errors[0].sum()), float(errors[1].sum())),
        )

    def _energies(self, y: Tensor) -> Tensor:
        """The sums of squares, weighted, of each view or line, `(unit, band)`: of some frequencies that follow each other."""
        squares, axes = y.abs().square().double(), self.space.axes
        if "detector" in axes:
            n = y.shape[-1]
            ramp = torch.fft.rfftfreq(2 * n, dtype=torch.float64, device=y.device)
            squares = torch.fft.rfft(y.double(), 2 * n).abs().square() * ramp
        along = -1 if "angle" in axes else -2  # the frequencies
        unit = self.space.dim("angle" if "angle" in axes else axes[-1])
        units = squares.movedim((unit, along), (-2, -1))
        sums = units.reshape(-1, *units.shape[-2:]).sum(0)
        bands: Tensor = pad(sums, (0, -sums.shape[-1] % _BAND)).reshape(len(sums), -1, _BAND)
        return bands.sum(-1)


@dataclass(frozen=True, eq=False)
class HeldOut:
    """A scan of which some is held back: `y = A x` is the rest, to make an image of, and `held_y = held_A x` judges it.

    The domain of `held_A` may be larger than that of `A`, where an object is wider than its image.
    """

    y: Tensor
    A: LinearOperator
    held_y: Tensor
    held_A: LinearOperator  # noqa: N815

    def error(self, x: Tensor) -> Tensor:
        """`|held_A x - held_y|^2 / |held_y|^2`, of shape `batch`: 0 without error, 1 for the black image.

        Above 1 an image predicts worse than none. Noise in what was held back adds its share of the energy, the same to every
        image: the better of two has the smaller number at any dose. Where nothing but zeros was held back it is 0.

        Raises
        ------
        ValueError
            if `x` is not of the domain of the operator.
        """
        space = self.held_A.range
        energy = space.norm(self.held_y).square()
        wrong = space.norm(self.held_A(x) - self.held_y).square()
        return torch.where(energy > 0, wrong / energy, 0.0)

    def predicted(self, x: Tensor) -> Prediction:
        """What `x` predicts of what was held back.

        Raises
        ------
        ValueError
            if `x` is not of the domain of the operator.
        """
        return Prediction(self.held_A(x), self.held_y, self.held_A.range, self.expected)

    @property
    def expected(self) -> float | None:
        """The energy of the scan, spread evenly over k-space, of as much of it as was held back; None of line integrals."""
        if not self.held_A.range.is_complex:
            return None
        energy = self.y.abs().square().double().sum() + self.held_y.abs().square().double().sum()
        return float(energy * (self.held_y != 0).double().mean())

    def excess(self, x: Tensor, other: Tensor | None = None) -> Excess:
        """How much more is wrong with what `x` predicts than with what `other` does, or the black image where there is none.

        Raises
        ------
        ValueError
            if an image is not of the domain of the operator.
        """
        return self.predicted(x).excess(None if other is None else self.predicted(other))


def hold_out(y: Tensor, A: LinearOperator, *, seed: int = 0) -> HeldOut | None:
    """Hold a fifth of the measurements back; None where there are not five that can be left out.

    What is left out together the operator says (`LinearOperator.separable`): lines of k-space, or points, outside the calibration
    area; views. Of five neighbors one is drawn, so that what is held back is spread as the measurements are. Each element of a
    batch is split as it would be alone.

    Raises
    ------
    ValueError
        if `y` is not of the range of `A`.
    """
    A.range.require(y, "hold_out")
    separable = A.separable
    if separable is None or int(separable.sum(-1).min()) < _SHARE:
        return None
    held = _one_in_five(separable, torch.Generator().manual_seed(seed))
    return HeldOut(*A.restricted(y, ~held), *A.restricted(y, held))


def _ratio(value: float, of: float) -> float:
    return value / of if of > 0 else math.copysign(math.inf, value) if value else 0.0


def _one_in_five(separable: Tensor, generator: torch.Generator) -> Tensor:
    """Of every five that follow each other in `(..., n)` one, at random; none of what remains in the end."""
    place = separable.cumsum(-1) - 1
    groups = separable.shape[-1] // _SHARE + 1
    drawn = torch.randint(_SHARE, (groups,), generator=generator).to(place.device)
    return separable & (place % _SHARE == drawn[place.clamp_min(0) // _SHARE])
