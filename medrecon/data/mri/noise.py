"""Noise of raw k-space, added at a stated signal-to-noise ratio; `medrecon.calibration` tells how much there is.

Noise is complex, Gaussian and white; `sigma` is always the standard deviation of the real part, and of the imaginary
part, of one coil's sample. The Fourier transform is unitary, so that sigma is the same in k-space and in coil images.
"""

import math

import torch
from torch import Tensor

__all__ = ["add_noise", "add_noise_of_sigma", "sigma_for_snr"]

# The object of an image: what is brighter than this share of its brightest pixel.
OBJECT_THRESHOLD = 0.1


def add_noise(kspace: Tensor, snr: float, generator: torch.Generator) -> Tensor:
    """Add complex Gaussian noise at a stated signal-to-noise ratio: `kspace + sigma (n1 + i n2)`.

    SNR is that of the root-sum-of-squares image, `mean over the object of rss(x) / sigma`: where it is well above one,
    sigma is also the standard deviation of that image. One sigma holds for the whole array, leading axes too.
    [NEMA MS 1; Constantinides et al., MRM 38:852, 1997]

    Parameters
    ----------
    kspace : Tensor
        Complex `(..., coil, ky, kx)` without noise, fully sampled; mask it afterwards.
    snr : float
        Above zero; infinity adds nothing.
    generator : torch.Generator
        The source of the draw, on the device of `kspace`.

    Raises
    ------
    ValueError
        When the k-space is not complex, lacks an axis or is all zero, or the SNR is not above zero.
    """
    return add_noise_of_sigma(kspace, sigma_for_snr(kspace, snr), generator)


def sigma_for_snr(kspace: Tensor, snr: float) -> float:
    """Give the sigma that makes the SNR of `add_noise` for noiseless complex k-space `(..., coil, ky, kx)`.

    The object is what is brighter than a tenth of the brightest pixel. Raises as `add_noise`.
    """
    _require_kspace("sigma_for_snr", kspace)
    if not snr > 0:
        raise ValueError(f"sigma_for_snr takes an SNR above zero, got {snr}; infinity adds no noise")
    shifted = torch.fft.ifft2(torch.fft.ifftshift(kspace, dim=(-2, -1)), norm="ortho")
    rss = torch.linalg.vector_norm(shifted, dim=-3)
    if not bool(rss.max() > 0):
        raise ValueError("sigma_for_snr takes k-space with a signal, got zeros alone (or not-a-number)")
    return float(rss[rss > OBJECT_THRESHOLD * rss.max()].mean()) / snr


def add_noise_of_sigma(kspace: Tensor, sigma: float, generator: torch.Generator) -> Tensor:
    """Add complex Gaussian noise of standard deviation `sigma` in the real and in the imaginary part of each sample."""
    noise = torch.randn(kspace.shape, dtype=kspace.dtype, device=kspace.device, generator=generator)
    return kspace + sigma * math.sqrt(2) * noise  # complex randn has variance one, a half in each part


def _require_kspace(who: str, kspace: Tensor) -> None:
    if kspace.ndim < 3 or not kspace.is_complex():
        got = f"{tuple(kspace.shape)} {kspace.dtype}"
        raise ValueError(f"{who} takes complex k-space (..., coil, ky, kx), got {got}; one coil is an axis of length 1")
