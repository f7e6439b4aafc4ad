"""Where k-space is fully sampled around its center, and the coils that dominate there."""

import torch
from torch import Tensor

__all__ = ["calibration_region", "center", "principal_coil", "require_multicoil", "turn"]


def calibration_region(kspace: Tensor, sampled: Tensor) -> tuple[int, int]:
    """Return the sizes `(ky, kx)` of the fully sampled block that is centered on the DC sample.

    A block of size `w` covers the indices from `n//2 - w//2` on. Of all such rectangles, that with the longest shorter
    side is taken, and of those the largest. Where the DC sample itself is missing, the sizes are `(0, 0)`.

    Parameters
    ----------
    kspace
        `(..., coil, ky, kx)`; only its shape is used.
    sampled
        Boolean, `(kx,)` for whole lines along ky, or `(ky, kx)`.

    Raises
    ------
    ValueError
        If `sampled` has another dtype or shape.
    """
    require_multicoil("calibration_region", kspace)
    ny, nx = kspace.shape[-2:]
    if sampled.dtype != torch.bool or tuple(sampled.shape) not in ((nx,), (ny, nx)):
        raise ValueError(
            f"calibration_region takes sampled, bool, (kx={nx},) or (ky={ny}, kx={nx}) for this k-space, "
            f"got {sampled.dtype} {tuple(sampled.shape)}"
        )
    if sampled.ndim == 1:
        width = _centered_run(sampled)
        return (ny if width else 0, width)
    rows = [int(w) for w in _centered_runs(sampled.cpu())]
    best = (0, 0)
    for height in range(1, ny + 1):
        start = ny // 2 - height // 2
        size = (height, min(rows[start : start + height]))
        best = max(best, size, key=lambda s: (min(s), s[0] * s[1]))
    return best if best[1] else (0, 0)


def _centered_run(line: Tensor) -> int:
    """Count the samples of the run of true values that is centered on `n//2`."""
    return int(_centered_runs(line.cpu()[None])[0])


def _centered_runs(lines: Tensor) -> Tensor:
    """Count, for every row of `(row, n)`, the samples of the run of true values that is centered on `n//2`."""
    dc = lines.shape[-1] // 2
    below = lines[:, :dc].flip(-1).int().cumprod(-1).sum(-1)
    above = lines[:, dc:].int().cumprod(-1).sum(-1)
    return torch.minimum(2 * below + 1, 2 * above)


def center(kspace: Tensor, size: tuple[int, int]) -> Tensor:
    """Cut the block of `size` around the DC sample out of `(..., ky, kx)`."""
    y, x = (n // 2 - w // 2 for n, w in zip(kspace.shape[-2:], size, strict=True))
    return kspace[..., y : y + size[0], x : x + size[1]]


def principal_coil(block: Tensor) -> Tensor:
    """Return the unit combination `(..., coil)` of coils that holds most energy of `(..., coil, ky, kx)`.

    Its own phase is fixed by making its largest entry real and positive.
    """
    samples = block.flatten(-2).to(torch.complex128)
    u = torch.linalg.eigh(samples @ samples.mH).eigenvectors[..., -1]
    largest = torch.take_along_dim(u, u.abs().argmax(-1, keepdim=True), -1)
    fixed: Tensor = u * torch.sgn(largest).conj()
    return fixed.to(block.dtype)


def turn(reference: Tensor) -> Tensor:
    """Return the unit factor that makes `reference` real and positive; one where it is zero."""
    return torch.where(reference == 0, torch.ones_like(reference), torch.sgn(reference).conj())


def require_multicoil(who: str, kspace: Tensor) -> None:
    """Refuse in words what is not complex `(..., coil, ky, kx)`."""
    if kspace.ndim < 3 or not kspace.is_complex() or 0 in kspace.shape:
        raise ValueError(f"{who} takes complex k-space (..., coil, ky, kx), got {kspace.dtype} {tuple(kspace.shape)}")
