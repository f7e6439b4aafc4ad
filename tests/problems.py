"""Small problems of both modalities, of which the truth is known, and what a test is to know of a method that solves them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from medrecon.geometry import Arc, FanBeam, Geometry, Grid, ParallelBeam
from medrecon.operators import Fourier, LinearOperator, Mask, Radon, sense, soft_sense, stack
from medrecon.reconstructor import Reconstructor
from medrecon.spaces import Space


@dataclass(frozen=True, eq=False)
class Scan:
    """`y = A truth + noise`, of a batch of images."""

    truth: Tensor
    A: LinearOperator
    y: Tensor

    @property
    def n_channels(self) -> int:
        return 2 if self.truth.is_complex() else 1


@dataclass(frozen=True, kw_only=True)
class Case:
    """A reconstructor, and the scans that it takes.

    Parameters
    ----------
    build
        makes it anew, always the same.
    scan
        called as `scan(n, seed=...)`: `n` images; another seed has another operator of the same spaces.
    magnitude
        its images are real `(..., y, x)`, coils combined, whatever the domain of `A` is.
    refuses
        a scan of physics that it does not take, and what its refusal says.
    exempt
        contracts that do not hold by design, each with the reason; that one of them holds all the same is an error.
    idle
        parameters that no gradient reaches by design, each with the reason; that one is reached is an error.
    """

    build: Callable[[], Reconstructor]
    scan: Callable[..., Scan]
    magnitude: bool = False
    refuses: tuple[Callable[..., Scan], str] | None = None
    exempt: Mapping[str, str] = field(default_factory=dict)
    idle: Mapping[str, str] = field(default_factory=dict)


def disks(shape: tuple[int, int], n: int = 1) -> Tensor:
    """`n` pictures of two disks, each a little brighter and elsewhere: `(n, y, x)`."""
    y, x = torch.meshgrid(*(torch.linspace(-1, 1, size) for size in shape), indexing="ij")
    moved = torch.arange(n)[:, None, None] * 0.1
    large = (y.square() + x.square() < 0.7).float() * (1 + moved)
    return large + 0.5 * ((y - 0.2).square() + (x + 0.3 - moved).square() < 0.1)


def maps(n_coils: int, shape: tuple[int, int], turned: float = 0.0) -> Tensor:
    """Smooth maps of unit root sum of squares, the coils on a circle."""
    y, x = torch.meshgrid(*(torch.linspace(-1, 1, size) for size in shape), indexing="ij")
    angles = turned + 2 * torch.pi * torch.arange(n_coils)[:, None, None] / n_coils
    magnitude = torch.exp(-(y - angles.sin()).square() - (x - angles.cos()).square())
    unscaled = torch.polar(magnitude, angles + 0.5 * x)
    return unscaled / torch.linalg.vector_norm(unscaled, dim=0)


def lines(n: int, center: int = 4, every: int = 2, first: int = 0) -> Tensor:
    sampled = torch.zeros(n, dtype=torch.bool)
    sampled[first::every] = True
    sampled[n // 2 - center // 2 : n // 2 - center // 2 + center] = True
    return sampled


def coils(n_coils: int, shape: tuple[int, int], sampled: Tensor) -> LinearOperator:
    """`Mask @ Fourier` of coil images."""
    fourier = Fourier(Space(("coil", "y", "x"), (n_coils, *shape), is_complex=True))
    return Mask(sampled, fourier.range) @ fourier


def mri(shape: tuple[int, int] = (20, 18), n: int = 1, *, seed: int = 0, noise: float = 0.0) -> Scan:
    """SENSE of three coils, every other line and the center; `noise` is that of a sample over the largest pixel."""
    pictures, sampled = disks(shape, n), lines(shape[1], first=seed % 2)
    truth = torch.polar(pictures, 0.3 * pictures)
    A = sense(sampled, maps(3, shape, 0.4 * seed))
    return _measured(truth, A, noise * sampled, seed)


def map_sets(shape: tuple[int, int] = (20, 18), n: int = 1, *, seed: int = 0, noise: float = 0.0) -> Scan:
    """Soft SENSE: the left third of each picture of `mri` is seen a second time, through maps that are orthogonal to the first."""
    scan, sampled = mri(shape, n, seed=seed), lines(shape[1], first=seed % 2)
    first, other = maps(6, shape, 0.4 * seed), maps(6, shape, 0.4 * seed + 1.0).flip(-1)
    other = other - first * (first.conj() * other).sum(0)
    second = other / torch.linalg.vector_norm(other, dim=0) * (torch.arange(shape[1]) < shape[1] // 3)
    truth = torch.stack((scan.truth, 0.8 * scan.truth.flip(-1) * (torch.arange(shape[1]) < shape[1] // 3)), 1)
    return _measured(truth, soft_sense(sampled, torch.stack((first, second))), noise * sampled, seed)


def coil_images(shape: tuple[int, int] = (20, 18), n: int = 1, *, seed: int = 0, noise: float = 0.0) -> Scan:
    """The k-space of `mri` as one of coil images, which are the truth."""
    scan, sampled = mri(shape, n, seed=seed), lines(shape[1], first=seed % 2)
    truth = maps(3, shape, 0.4 * seed) * scan.truth.unsqueeze(-3)
    return _measured(truth, coils(3, shape, sampled), noise * sampled, seed)


def ct(
    shape: tuple[int, int] = (20, 18),
    n: int = 1,
    *,
    seed: int = 0,
    noise: float = 0.0,
    level: float = 1.0,
    views: int = 12,
    fan: bool = False,
) -> Scan:
    """Line integrals over half a turn, or over a whole one of a fan, of disks of `level` per millimeter and with its noise."""
    n_bins = math.ceil(math.hypot(*shape))
    geometry: Geometry = ParallelBeam(Arc(0.1 * seed, math.pi / views, views), n_bins, spacing=1.0)
    if fan:
        geometry = FanBeam(Arc(0.1 * seed, 2 * math.pi / views, views), n_bins, 2.0, 60.0, 40.0)
    return _measured(level * disks(shape, n), Radon(Grid(shape, 1.0), geometry), torch.tensor(noise * level), seed)


def stacked(scans: Sequence[Scan]) -> Scan:
    """Scans of different masks and coil maps as one batch, whose operator holds all of them."""
    A = stack([scan.A for scan in scans])
    return Scan(torch.cat([scan.truth for scan in scans]), A, torch.cat([scan.y for scan in scans]))


def relative(found: Tensor, wanted: Tensor) -> float:
    return float((found - wanted).norm() / wanted.norm())


def _measured(truth: Tensor, A: LinearOperator, noise: Tensor, seed: int) -> Scan:
    generator = torch.Generator().manual_seed(seed)
    return Scan(truth, A, A(truth) + noise * A.range.random((len(truth),), generator=generator))
