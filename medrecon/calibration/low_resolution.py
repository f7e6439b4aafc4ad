"""Coil sensitivity maps from low-resolution coil images."""

import torch
from torch import Tensor

from medrecon.calibration.region import calibration_region, center, principal_coil, require_multicoil, turn
from medrecon.spaces import root_sum_of_squares

__all__ = ["low_resolution_images", "low_resolution_maps", "zero_padded_images"]

_ENOUGH = 32  # samples of an axis; more would carry noise and the edges of the object into the maps


@torch.no_grad()
def low_resolution_maps(kspace: Tensor, sampled: Tensor) -> Tensor:
    """Estimate coil maps as low-resolution coil images over their root-sum-of-squares.

    The fully sampled center of k-space is multiplied by a Hann window, zero-padded and transformed. It takes far fewer
    lines than ESPIRiT, is less accurate at the edges of the object, and gives maps (of noise) in the background, too.
    The phase makes the combination of coils that holds most energy of the center real and positive.

    Parameters
    ----------
    kspace
        `(..., coil, ky, kx)`.
    sampled
        Boolean, `(kx,)` or `(ky, kx)`.

    Returns
    -------
    Tensor
        Maps `(..., coil, y, x)` of unit root-sum-of-squares; zero for an empty slice.

    Raises
    ------
    ValueError
        If the DC sample was not measured, or the shapes do not fit.

    References
    ----------
    K. P. Pruessmann et al., SENSE: sensitivity encoding for fast MRI, Magn. Reson. Med. 42 (1999).
    """
    block, images = low_resolution_images("low_resolution_maps", kspace, sampled)
    rss = root_sum_of_squares(images, -3, keepdim=True).clamp_min(torch.finfo(block.dtype).tiny)
    reference = (images * principal_coil(block).conj()[..., None, None]).sum(-3, keepdim=True)
    maps: Tensor = images * (turn(reference) / rss)
    return maps


def low_resolution_images(who: str, kspace: Tensor, sampled: Tensor) -> tuple[Tensor, Tensor]:
    """The center of k-space, with values up to 1, and the coil images `(..., coil, y, x)` of that alone."""
    require_multicoil(who, kspace)
    size = calibration_region(kspace, sampled)
    if 0 in size:
        raise ValueError(f"{who} takes k-space whose center was sampled, got a mask without the DC sample")
    block = center(kspace, (min(size[0], _ENOUGH), min(size[1], _ENOUGH)))
    block = block / block.abs().amax((-3, -2, -1), keepdim=True).clamp_min(torch.finfo(block.dtype).tiny)
    return block, zero_padded_images(block, (kspace.shape[-2], kspace.shape[-1]))


def zero_padded_images(block: Tensor, shape: tuple[int, int]) -> Tensor:
    """Transform the Hann-windowed `(..., ky, kx)` around DC to images of `shape`, two small matrix products."""
    for axis, n in ((-1, shape[1]), (-2, shape[0])):
        w = block.shape[axis]
        k = torch.arange(w, dtype=torch.float64, device=block.device) - w // 2
        x = torch.arange(n, dtype=torch.float64, device=block.device) - n // 2
        window = torch.cos(torch.pi * k / (w + 1)) ** 2
        matrix = (window * torch.exp(2j * torch.pi * x[:, None] * k / n)).to(block.dtype)
        block = block @ matrix.mT if axis == -1 else matrix @ block
    return block
