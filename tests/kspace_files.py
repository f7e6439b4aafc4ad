"""Small simulated scans of which the truth is known."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from medrecon.data.mri.birdcage import background_phase, birdcage_maps, normalize_maps
from medrecon.data.mri.fastmri import KSpaceSample
from medrecon.data.mri.masks import equispaced_fraction_mask
from medrecon.data.mri.noise import add_noise
from medrecon.data.mri.simulation import multicoil_kspace
from medrecon.data.phantoms.mri_phantoms import brain
from medrecon.operators import Fourier, LinearOperator, sense
from medrecon.spaces import Space


@dataclass(frozen=True, eq=False)
class SimulatedScan:
    """`y = A truth + noise`; `kspace` is the same without a mask."""

    truth: Tensor
    maps: Tensor
    sampled: Tensor
    kspace: Tensor

    @property
    def y(self) -> Tensor:
        return self.kspace * self.sampled

    @property
    def A(self) -> LinearOperator:
        return sense(self.sampled, self.maps)

    def psnr(self, x: Tensor) -> float:
        """Of the complex image, in dB; the phantom's maximum is 1."""
        return float(-10 * (x - self.truth).abs().square().mean().log10())


def simulated_scan(
    shape: tuple[int, int] = (96, 80),
    *,
    acceleration: float = 4.0,
    snr: float | None = 30.0,
    n_coils: int = 6,
    seed: int = 0,
) -> SimulatedScan:
    generator = torch.Generator().manual_seed(seed)
    image = brain().image(shape)
    truth = (image / image.max()).to(torch.complex64)
    maps = normalize_maps(birdcage_maps(n_coils, shape))
    kspace = Fourier(Space(("coil", "y", "x"), (n_coils, *shape), is_complex=True))(maps * truth)
    if snr is not None:
        kspace = add_noise(kspace, snr, generator)
    sampled = (
        torch.ones(shape[1], dtype=torch.bool)
        if acceleration == 1
        else equispaced_fraction_mask(shape[1], acceleration, 0.1, seed).sampled
    )
    return SimulatedScan(truth, maps, sampled, kspace)


def wrapped_sample(
    width: float, n_rows: int = 96, *, n_coils: int = 8, snr: float = 50.0, every: int = 2
) -> KSpaceSample:
    """A head `width` times as wide as its field along kx, so that above 1 it wraps; the target is that of the full scan.

    Its closed-form k-space is that of a field twice as wide, of which every other line is taken.
    """
    generator = torch.Generator().manual_seed(1)
    half = 0.72 / width
    n = 2 * round(n_rows * half / 2)
    extent, shape = (1.0, 2 * half), (n_rows, 2 * n)
    fine = (math.ceil(1.5 * n_rows), 3 * n)
    maps = normalize_maps(birdcage_maps(n_coils, fine, extent)) * background_phase(fine, generator, extent)
    wide = multicoil_kspace(brain(), maps, shape, extent)
    kspace = add_noise(wide[..., n - 2 * (n // 2) :: 2], snr, generator)
    images = Fourier(Space(("coil", "y", "x"), tuple(kspace.shape), is_complex=True)).H(kspace)
    sampled = torch.arange(n) % every == 0
    sampled[n // 2 - 12 : n // 2 + 12] = True
    target = torch.linalg.vector_norm(images, dim=0)
    return KSpaceSample(kspace * sampled, sampled, target, (n_rows, n), "wrapped.h5", 0, None, 1.0, (0, n))
