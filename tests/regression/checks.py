"""What must hold of the methods: their scores, the order among them, and exactness. Each raises AssertionError in words."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from medrecon.data.ct.phantoms import ABDOMEN_FIELD, abdomen_volume
from medrecon.data.ct.projections import phantom_image
from medrecon.data.mri.birdcage import background_phase, birdcage_maps, normalize_maps
from medrecon.data.phantoms.mri_phantoms import brain
from medrecon.geometry import Arc, Grid, ParallelBeam
from medrecon.operators import LinearOperator, Radon, sense
from medrecon.reconstructor import Reconstructor
from medrecon.reconstructors import (
    NonnegativeTotalVariation,
    PoissonTotalVariation,
    RootSumOfSquares,
    Sense,
    Sirt,
    Tikhonov,
    TotalVariation,
    WaveletSparsity,
    ZeroFilled,
)
from tests.regression.cases import Case, Score
from tests.regression.numbers import Numbers

__all__ = ["EXACT", "ORDERS", "Exact", "Order", "check_exact", "check_order", "check_score"]

Measure = Callable[[Case], Score]


@dataclass(frozen=True)
class Order:
    """On a problem one method is better than another by at least so many decibels, and in SSIM."""

    problem: str
    better: str
    worse: str
    decibels: float

    def __str__(self) -> str:
        return f"{self.problem} {self.better} over {self.worse}"

    @property
    def cases(self) -> tuple[Case, Case]:
        """The better and the worse."""
        return Case(self.problem, self.better), Case(self.problem, self.worse)


# The decibels are about half of what was found, and those of networks are few: what matters is the order.
ORDERS = (
    Order("mri-4x", "sense", "zero-filled", 1.5),
    Order("mri-4x", "wavelet", "sense", 2.0),
    Order("mri-4x", "tv", "sense", 2.0),
    Order("mri-8x", "wavelet", "zero-filled", 0.8),
    Order("mri-8x", "varnet", "wavelet", 0.1),
    Order("mri-noise", "tv", "zero-filled", 0.7),
    Order("ct-60-views", "tv", "fbp", 4.0),
    Order("ct-60-views", "tv", "sirt", 2.0),
    Order("ct-60-views", "primal-dual", "fbp", 1.0),
    Order("ct-low-dose", "tv", "fbp", 8.0),
    Order("ct-low-dose", "tv-poisson", "tv", 2.0),
    Order("ct-low-dose", "primal-dual", "fbp", 1.0),
    Order("ct-low-dose", "unet", "fbp", 1.0),
)


@dataclass(frozen=True)
class Exact:
    """A method that gives back the image of consistent data without noise, and why it does."""

    scene: str
    reconstruct: Reconstructor
    why: str

    def __str__(self) -> str:
        return f"{self.scene} {type(self.reconstruct).__name__}"


_LEAST_SQUARES = "without a regularizer it is least squares, and no pixel is unseen by all coils"
_MORE_RAYS = "without a regularizer it is least squares, of more rays than pixels"
EXACT = (
    Exact("mri", ZeroFilled(), "the Fourier transform is unitary, and so are normalized maps: A.H A = 1"),
    Exact("mri", RootSumOfSquares(), "coil images are exact, and the root sum of squares of normalized maps is one"),
    Exact("mri-uneven", Sense(weight=0, tolerance=1e-7), _LEAST_SQUARES),
    Exact("mri-uneven", WaveletSparsity(weight=0), _LEAST_SQUARES),
    Exact("mri-uneven", TotalVariation(weight=0), _LEAST_SQUARES),
    Exact("ct", Tikhonov(weight=0, iterations=100, tolerance=0), _MORE_RAYS),
    Exact("ct", NonnegativeTotalVariation(weight=0, iterations=200), _MORE_RAYS),
    Exact("ct", PoissonTotalVariation(weight=0, iterations=200), "the likelihood is largest where A x = y"),
    Exact("ct", Sirt(iterations=300), "it tends to least squares, of more rays than pixels"),
)


def check_score(case: Case, measure: Measure, numbers: Numbers) -> None:
    """The score is the one that is held."""
    held = numbers.scores.get(case)
    assert held is not None, f"{case}: numbers.yaml holds no score; `make regression` measures it"
    found = measure(case)
    assert numbers.holds(case, found), (
        f"{case}: scored PSNR {found.psnr:.3f} dB, SSIM {found.ssim:.5f}; held are {held.psnr:.3f} and {held.ssim:.5f}, within "
        f"{numbers.tolerance.psnr:g} and {numbers.tolerance.ssim:g}. If that is meant, `make regression` writes them anew"
    )


def check_order(order: Order, measure: Measure) -> None:
    """The better method is better."""
    better, worse = (measure(case) for case in order.cases)
    assert better.psnr >= worse.psnr + order.decibels and better.ssim > worse.ssim, (  # noqa: PT018
        f"{order}: PSNR {better.psnr:.2f} dB and {worse.psnr:.2f} dB, SSIM {better.ssim:.4f} and {worse.ssim:.4f}; "
        f"takes {order.decibels:g} dB more, and more SSIM"
    )


def check_exact(exact: Exact) -> None:
    """Fully sampled data without noise give the image back, to 1e-4 of its norm."""
    x, A = _scene(exact.scene)
    found = exact.reconstruct(A(x), A)
    wanted = x if found.is_complex() else x.abs()
    error = float((found - wanted).norm() / wanted.norm())
    assert error < 1e-4, f"{exact}: comes back to {error:.1e} of its norm, but {exact.why}"


def _scene(name: str) -> tuple[Tensor, LinearOperator]:
    """An image, and an operator that measures all of it."""
    if name == "ct":
        grid = Grid((16, 16), ABDOMEN_FIELD / 16)
        section = abdomen_volume().section(0.0)
        assert section is not None
        geometry = ParallelBeam(Arc.half_turn(60), 48, 2 * grid.radius / 48)
        return phantom_image(section, grid, ABDOMEN_FIELD / 2), Radon(grid, geometry)
    shape = (48, 40)
    maps = normalize_maps(birdcage_maps(6, shape))
    if name == "mri-uneven":  # then the adjoint is not the inverse
        maps = maps * torch.linspace(0.7, 1.3, shape[0])[:, None]
    x = brain().image(shape) * background_phase(shape, torch.Generator().manual_seed(3))
    return x, sense(torch.ones(shape[1], dtype=torch.bool), maps)
