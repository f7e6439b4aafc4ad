"""Noise of raw k-space: adding it at a stated signal-to-noise ratio, and telling how much there is.

Noise is complex, Gaussian and white; `sigma` is always the standard deviation of the real part, and of the imaginary
part, of one coil's sample. The Fourier transform is unitary, so that sigma is the same in k-space and in coil images.
"""

import math

import torch
from torch import Tensor

__all__ = ["add_noise", "add_noise_of_sigma", "noise_level", "sigma_for_snr"]

# The object of an image: what is brighter than this share of its brightest pixel.
OBJECT_THRESHOLD = 0.1
# `noise_level` looks at squared magnitudes below this many times their mean: lower is more robust and less precise.
CUT = 2.0


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


def noise_level(kspace: Tensor) -> Tensor:
    """Estimate sigma of each coil from k-space that also holds a signal, robustly.

    A high-pass filter in both directions, `h(k) = sin^4(pi ky / ny) sin^4(pi kx / nx)`, leaves of the images noise and
    traces of edges, which are few and strong. Squared magnitudes of noise alone are exponential with mean `2 sigma^2`
    (times the mean square of h), so sigma is fitted, by a fixed point, to those below twice this mean. Samples that are
    exactly zero, unsampled or padded, do not count. Texture that fills the image, undersampling and SNR above 100 raise
    the estimate by some per cent. [after Donoho and Johnstone, Biometrika 81:425, 1994]

    Parameters
    ----------
    kspace : Tensor
        Complex `(..., coil, ky, kx)`.

    Returns
    -------
    Tensor
        Real `(..., coil)`; zero for a coil whose samples are all zero.

    Raises
    ------
    ValueError
        When the k-space is not complex or lacks an axis.
    """
    _require_kspace("noise_level", kspace)
    ny, nx = kspace.shape[-2:]
    h = _high_pass(ny, kspace.device)[:, None] * _high_pass(nx, kspace.device)
    images = torch.fft.ifft2(h * kspace, norm="ortho")  # uncentered: only magnitudes are looked at
    mean_square = (h**2 * (kspace != 0)).mean(dim=(-2, -1))
    energy = (images.real**2 + images.imag**2).flatten(-2).sort(dim=-1).values.double()
    fitted = _exponential_mean(energy)
    return torch.where(mean_square > 0, fitted / (2 * mean_square.clamp_min(1e-30)), 0.0).sqrt().to(h.dtype)


def _exponential_mean(energy: Tensor) -> Tensor:
    """Fit the mean of an exponential distribution to the values, sorted along the last axis, below `CUT` of its means."""
    sums = energy.cumsum(dim=-1)
    share = 1 - CUT * math.exp(-CUT) / (1 - math.exp(-CUT))  # mean of what lies below the cut, over the whole mean
    mean = energy[..., energy.shape[-1] // 2, None] / math.log(2)
    for _ in range(40):
        count = torch.searchsorted(energy, CUT * mean, right=True).clamp_min(1)
        mean = sums.gather(-1, count - 1) / (count * share)
    return mean[..., 0]


def _high_pass(n: int, device: torch.device) -> Tensor:
    """`sin^4(pi k / n)` of k = -n//2, ...; one for a single sample."""
    if n == 1:
        return torch.ones(1, device=device)
    return torch.sin(math.pi * (torch.arange(n, device=device) - n // 2) / n) ** 4


def _require_kspace(who: str, kspace: Tensor) -> None:
    if kspace.ndim < 3 or not kspace.is_complex():
        got = f"{tuple(kspace.shape)} {kspace.dtype}"
        raise ValueError(f"{who} takes complex k-space (..., coil, ky, kx), got {got}; one coil is an axis of length 1")
