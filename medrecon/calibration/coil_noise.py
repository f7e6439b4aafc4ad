"""The noise of each coil, and k-space weighted by it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from medrecon.calibration.noise import noise_level
from medrecon.calibration.region import calibration_region, center

__all__ = ["CoilNoise", "Whitening"]

_OUTERMOST = 0.1  # the share of the acquired samples, those of highest frequency, that is taken for noise
_SAMPLES = 8192  # which are enough
_FEW = 256  # samples, fewer of which are a larger share, of up to a quarter
_ROUNDING = 1e-6  # of the largest sample: less is rounding, not noise
_SECTORS = 8  # of directions in k-space
_PER_SECTOR = 32  # samples, of which a median says something
_LEAST = 0.1  # of the median level: a coil of less noise counts as one of so much
_ENOUGH = 32  # samples of an axis that show how bright coils are
_BLUR = 1 / 8  # of the field: the standard deviation over which brightness is compared


@dataclass(frozen=True, eq=False)
class Whitening:
    """Coils combined so that their noise is independent, and alike in all: `y = W k` with `W = m C^(-1/2)`.

    `C` is the covariance of the noise, and `m` the median level of the coils, so that coils of usual noise stay about as they are.
    Least squares of `y` then weigh every measurement by its noise.
    Pruessmann et al., Magn Reson Med 46:638 (2001); Kellman & McVeigh, Magn Reson Med 54:1439 (2005).

    Parameters
    ----------
    matrix
        `W`, complex `(coil, coil)`.
    """

    matrix: Tensor

    @classmethod
    def of(cls, covariance: Tensor) -> Self:
        """The whitening of noise of this covariance, `(coil, coil)` in any unit, such as a scan of noise gives it.

        Raises
        ------
        ValueError
            If it is not a Hermitian positive definite matrix.
        """
        takes = "Whitening takes a Hermitian positive definite covariance (coil, coil) of the noise, got"
        if covariance.ndim != 2 or covariance.shape[0] != covariance.shape[1] or covariance.shape[0] == 0:
            raise ValueError(f"{takes} {tuple(covariance.shape)}")
        C = covariance.to(torch.complex128)
        levels = C.diagonal().real
        if not bool((C - C.mH).abs().max() <= 1e-6 * levels.abs().max()):
            raise ValueError(f"{takes} one that is not Hermitian, or not finite")
        values, vectors = torch.linalg.eigh(C)
        if not float(values[0]) > 0:
            raise ValueError(f"{takes} one of least eigenvalue {float(values[0]):.3g}: leave out coils without noise")
        return cls(vectors * (levels.median() / values).sqrt() @ vectors.mH)

    def __call__(self, kspace: Tensor) -> Tensor:
        """`W k` of k-space `(..., coil, ky, kx)`, or `W S` of coil maps `(..., coil, y, x)`, in their dtype."""
        n_coils = len(self.matrix)
        if kspace.shape[-3] != n_coils:
            raise ValueError(f"Whitening takes {n_coils} coils, those of the noise, got {tuple(kspace.shape)}")
        return (self.matrix.to(kspace) @ kspace.flatten(-2)).reshape(kspace.shape)

    def gain(self, kspace: Tensor, sampled: Tensor) -> Tensor | None:
        """By how much images of coils as they were are brighter than those of `kspace`, whitened `(coil, ky, kx)`.

        The root of the energy of the coils over that of the whitened ones, `(y, x)`: of the calibration region, less what noise
        adds, and smooth over an eighth of the field, as noise would be brightened where there is no signal. None without such a
        region.
        """
        size = calibration_region(kspace, sampled)
        if 0 in size:
            return None
        size = min(size[0], _ENOUGH), min(size[1], _ENOUGH)
        window = _hann(size[0])[:, None] * _hann(size[1])
        block = center(kspace, size).to(torch.complex128) * window.to(kspace.device)
        images = torch.fft.fftshift(torch.fft.ifft2(block, norm="ortho"), dim=(-2, -1))
        inverse = torch.linalg.inv(self.matrix).to(images)
        noise = noise_level(kspace, sampled).double().square() * window.square().mean().to(kspace.device)
        before = (inverse @ images.flatten(-2)).abs().square().sum(0).reshape(size)
        before = before - noise * inverse.abs().square().sum()
        after = images.abs().square().sum(0) - noise * len(inverse)
        blur = [_gaussian(n, m).to(kspace.device) for n, m in zip(kspace.shape[-2:], size, strict=True)]
        before, after = (blur[0] @ energy @ blur[1].mT for energy in (before, after))
        bounds = torch.linalg.svdvals(inverse)
        ratio = (before / after.clamp_min(torch.finfo(after.dtype).tiny)).clamp(min=0).sqrt()
        gain: Tensor = ratio.clamp(bounds[-1], bounds[0]).to(kspace.real.dtype)
        return gain


@dataclass(frozen=True, eq=False)
class CoilNoise:
    """How noisy each coil is, by the samples of k-space farthest from its center.

    Parameters
    ----------
    samples
        complex128 `(coil, sample)`, over `peak`, in order of their direction.
    peak
        the largest real or imaginary part of all of k-space.
    """

    samples: Tensor
    peak: Tensor

    @classmethod
    def of(cls, kspace: Tensor, sampled: Tensor) -> Self:
        """Take them from `(coil, ky, kx)`; `sampled` is bool `(kx,)` or `(ky, kx)`."""
        ky, kx = kspace.shape[-2:]
        low, high = torch.view_as_real(kspace).aminmax()
        peak = torch.maximum(-low, high)
        places = _places_of_signal(kspace, sampled, _ROUNDING * peak)
        y, x = (places // kx - ky // 2) / ky, (places % kx - kx // 2) / kx
        count = max(int(_OUTERMOST * len(places)), min(_FEW, len(places) // 4))
        outer = (y.square() + x.square()).topk(count).indices
        outer = outer[torch.atan2(y[outer], x[outer]).argsort(stable=True)]
        outer = outer[:: max(1, -(-count // _SAMPLES))]
        return cls(kspace.flatten(-2)[:, places[outer]].to(torch.complex128) / peak.double(), peak.double())

    def ratios(self, usual: Tensor | None = None) -> Tensor:
        """How much noisier each coil is than the median one, `(coil)`: at least so much, in every direction.

        With `usual`, indices of coils, the median is of those.

        The levels are those of the medians of the samples in eighths of their directions; the least ratio counts, as signal that
        reaches there does so in some directions. Ones where there are too few samples.
        """
        n_sectors = min(_SECTORS, self.samples.shape[1] // _PER_SECTOR)
        if n_sectors == 0:
            return self.peak.new_ones(len(self.samples))
        levels = torch.stack([_levels(sector) for sector in self.samples.tensor_split(n_sectors, dim=1)])
        alive = torch.where(levels > 0, levels, torch.nan)
        median = (alive if usual is None else alive[:, usual]).nanmedian(1, keepdim=True).values
        return torch.nan_to_num(levels / median, nan=1.0).amin(0)

    def levels(self, usual: Tensor | None = None) -> Tensor:
        """Estimate `sqrt(E|n|^2)` of the complex noise `n` of each coil: float64 `(coil)`.

        Levels below a tenth of the median one, of silent coils, count as so much; with `usual`, indices of coils, the median is of
        those. Their squares are the diagonal of a covariance for `Whitening.of`.
        """
        levels = _levels(self.samples) * self.peak
        alive = levels[levels > 0] if usual is None else levels[usual]
        return levels.clamp_min(_LEAST * float(alive.median())) if len(alive) else levels


def _places_of_signal(kspace: Tensor, sampled: Tensor, least: Tensor) -> Tensor:
    """Where any coil of k-space `(coil, ky, kx)` holds more than `least` in its real or imaginary part, counted over `(ky, kx)`."""
    acquired = sampled.to(kspace.device).expand(kspace.shape[-2:]).flatten()
    left = places = acquired.nonzero()[:, 0]
    for coil in kspace.flatten(-2):  # the first one mostly holds a signal wherever any does
        left = left[torch.view_as_real(coil[left]).abs().amax(-1) <= least]
        if not len(left):
            return places
    there = acquired.clone()
    there[left] = False
    return there.nonzero()[:, 0]


def _levels(samples: Tensor) -> Tensor:
    """`sqrt(E|n|^2)` of each coil, by the median of the squared magnitude, which is `sigma^2 log 2`; 0 for silent ones."""
    energy = samples.real.square() + samples.imag.square()
    if samples.shape[1] == 0:
        return energy.new_zeros(len(energy))
    return (energy.median(1).values / math.log(2)).sqrt()


def _hann(n: int) -> Tensor:
    return torch.cos(math.pi * (torch.arange(n, dtype=torch.float64) - n // 2) / (n + 1)).square()


def _gaussian(n: int, m: int) -> Tensor:
    """Weights `(n, m)` of `m` nodes of the field at each of its `n` pixels."""
    pixels, nodes = ((torch.arange(size, dtype=torch.float64) - size // 2) / size for size in (n, m))
    return torch.exp(-0.5 * ((pixels[:, None] - nodes) / _BLUR).square())
