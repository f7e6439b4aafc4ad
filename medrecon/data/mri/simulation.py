"""Multi-coil raw data of phantoms, made from their closed-form k-space and not from an image on the scan's own grid."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from medrecon.data.mri.birdcage import background_phase, birdcage_section, normalize_maps
from medrecon.data.mri.noise import add_noise_of_sigma, sigma_for_snr
from medrecon.data.phantoms.ellipses import Phantom

__all__ = ["Simulation", "multicoil_kspace", "simulate_volume"]

# How much finer than the scan is the grid on which phantom and maps are multiplied.
FINER = 1.5


@dataclass(frozen=True)
class Simulation:
    """A scan of a phantom, slice by slice, with square pixels and the readout oversampled twice.

    Parameters
    ----------
    phantom : Phantom
        Of ellipsoids.
    size : tuple of int
        `(y, x)` of the image; the shorter side is two units of the phantom.
    n_slices, n_coils : int
        Slices lie within half a unit of height 0, the one of index `n_slices // 2` at 0.
    snr : float
        As in `medrecon.data.mri.noise.add_noise`, of the middle slice; infinity for no noise.
    seed : int
        Of the background phase and the noise.

    Raises
    ------
    ValueError
        When the phantom is flat, or a number is below one.
    """

    phantom: Phantom
    size: tuple[int, int] = (256, 256)
    n_slices: int = 1
    n_coils: int = 8
    snr: float = math.inf
    seed: int = 0

    def __post_init__(self) -> None:
        if self.phantom.ndim != 3:
            raise ValueError("Simulation takes a phantom of ellipsoids, got one of ellipses; see brain_volume()")
        if min(*self.size, self.n_slices, self.n_coils) < 1:
            raise ValueError(
                f"Simulation takes a size, slices and coils of at least one, got {self.size}, {self.n_slices}, "
                f"{self.n_coils}"
            )
        if not self.snr > 0:
            raise ValueError(f"Simulation takes an SNR above zero, got {self.snr}; infinity adds no noise")


def simulate_volume(simulation: Simulation) -> Iterator[Tensor]:
    """Yield the raw data of each slice, complex64 `(coil, ky, kx)` of size `(n_coils, 2 ny, nx)`, as in fastMRI files.

    The coils are a birdcage of root sum of squares one, so that the root sum of squares of the coil images is the
    phantom's section, plus noise; a smooth phase lies over all slices. One slice is held at a time.
    """
    generator = torch.Generator().manual_seed(simulation.seed)
    phase_seed = int(torch.randint(2**31, (), generator=generator))
    sigma = 0.0
    if simulation.snr < math.inf:
        sigma = sigma_for_snr(_slice(simulation, simulation.n_slices // 2, phase_seed), simulation.snr)
    for index in range(simulation.n_slices):
        kspace = _slice(simulation, index, phase_seed)
        yield add_noise_of_sigma(kspace, sigma, generator) if sigma > 0 else kspace


def multicoil_kspace(
    phantom: Phantom, maps: Tensor, shape: Sequence[int], extent: Sequence[float] | None = None
) -> Tensor:
    """Give the k-space of a phantom seen by coils, `y_c = F (maps_c x)`, x the continuous phantom.

    The closed-form k-space is taken beyond the border of the scan, to the size of the maps' finer grid; there it is
    turned into an image, multiplied by the maps, transformed back, and cut to `shape`. For maps whose Fourier series
    ends within the margin this is exact: with maps of ones it is `phantom.kspace(shape, extent)`.
    [for the exact expansion see Guerquin-Kern et al., IEEE TMI 31:626, 2012]

    Parameters
    ----------
    phantom : Phantom
        Of as many axes as `shape`.
    maps : Tensor
        Complex `(coil, [z,] y, x)` on the same field of view with at least a quarter more samples on each axis.
    shape : sequence of int
        `([kz,] ky, kx)`.
    extent : sequence of float, optional
        Half the field of view along each axis; ones unless given.

    Returns
    -------
    Tensor
        complex64 `(coil, [kz,] ky, kx)`.

    Raises
    ------
    ValueError
        When the maps have other axes than the shape or are not finer by a quarter.
    """
    fine = tuple(maps.shape[1:])
    if len(fine) != len(shape) or any(4 * f < 5 * n for f, n in zip(fine, shape, strict=True)):
        takes = tuple(math.ceil(1.25 * n) for n in shape)
        raise ValueError(
            f"multicoil_kspace takes maps (coil, *at least {takes}) for {tuple(shape)}, got {tuple(maps.shape)}"
        )
    axes = tuple(range(-len(fine), 0))
    image = _centered(torch.fft.ifftn, phantom.kspace(fine, extent), axes)
    keep = [slice(f // 2 - n // 2, f // 2 - n // 2 + n) for f, n in zip(fine, shape, strict=True)]
    scale = math.sqrt(math.prod(shape) / math.prod(fine))
    coils = [scale * _centered(torch.fft.fftn, image * coil, axes)[tuple(keep)] for coil in maps]
    return torch.stack(coils)


def _slice(simulation: Simulation, index: int, phase_seed: int) -> Tensor:
    """The noiseless raw data of one slice."""
    ny, nx = simulation.size
    shape = (2 * ny, nx)
    extent = (2 * ny / min(ny, nx), nx / min(ny, nx))
    z = (index - simulation.n_slices // 2) / simulation.n_slices
    section = simulation.phantom.section(z)
    if section is None:
        return torch.zeros((simulation.n_coils, *shape), dtype=torch.complex64)
    fine = tuple(math.ceil(FINER * n) for n in shape)
    maps = normalize_maps(birdcage_section(simulation.n_coils, z, fine, extent))
    phase = background_phase(fine, torch.Generator().manual_seed(phase_seed), extent)
    return multicoil_kspace(section, phase * maps, shape, extent)


def _centered(transform: Callable[..., Tensor], x: Tensor, axes: tuple[int, ...]) -> Tensor:
    """A unitary transform of all `axes`, DC and origin at index n // 2."""
    shifted: Tensor = torch.fft.fftshift(transform(torch.fft.ifftshift(x, dim=axes), dim=axes, norm="ortho"), dim=axes)
    return shifted
