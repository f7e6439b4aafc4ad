"""Small simulated scans of which the truth is known."""

from dataclasses import dataclass

import torch
from torch import Tensor

from medrecon.data.mri.birdcage import birdcage_maps, normalize_maps
from medrecon.data.mri.masks import equispaced_fraction_mask
from medrecon.data.mri.noise import add_noise
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
