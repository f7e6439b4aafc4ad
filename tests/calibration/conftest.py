from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

Scan = tuple[Tensor, Tensor, Tensor]


def birdcage_maps(n_coils: int, ny: int, nx: int) -> Tensor:
    """Loops around the field of view: the field of each falls off with distance and turns in phase."""
    y, x = np.meshgrid((np.arange(ny) - ny // 2) / (ny / 2), (np.arange(nx) - nx // 2) / (nx / 2), indexing="ij")
    angle = 2 * np.pi * np.arange(n_coils)[:, None, None] / n_coils
    u = x - 1.5 * np.cos(angle)
    v = y - 1.5 * np.sin(angle)
    maps = np.exp(1j * (np.arctan2(u, -v) - angle)) / np.hypot(u, v)
    return torch.from_numpy(maps / np.linalg.norm(maps, axis=0))


def fourier(images: Tensor) -> Tensor:
    return torch.fft.fftshift(torch.fft.fft2(torch.fft.ifftshift(images, dim=(-2, -1)), norm="ortho"), dim=(-2, -1))


def ellipses(ny: int, nx: int) -> Tensor:
    y = (torch.arange(ny) - ny // 2)[:, None] / ny
    x = (torch.arange(nx) - nx // 2)[None] / nx
    inside = [
        (((x - a) / r) ** 2 + ((y - b) / s) ** 2 < 1) * value
        for a, b, r, s, value in ((0, 0, 0.32, 0.4, 1.0), (0.08, 0.05, 0.12, 0.2, -0.6), (-0.12, -0.1, 0.07, 0.1, 0.5))
    ]
    return torch.stack(inside).sum(0).double()


@pytest.fixture
def scan() -> Callable[..., Scan]:
    """k-space `(coil, ky, kx)`, the true maps, and where the object is."""

    def make(n_coils: int = 6, ny: int = 96, nx: int = 80, noise: float = 0.0, seed: int = 0) -> Scan:
        maps, image = birdcage_maps(n_coils, ny, nx), ellipses(ny, nx)
        generator = torch.Generator().manual_seed(seed)
        kspace = fourier(maps * image)
        kspace = kspace + noise * torch.randn(kspace.shape, dtype=kspace.dtype, generator=generator)
        return kspace.to(torch.complex64), maps.to(torch.complex64), image > 0

    return make
