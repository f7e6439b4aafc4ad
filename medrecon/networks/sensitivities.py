"""Coil sensitivity maps by a network, from the calibration lines."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from medrecon.calibration import calibration_region
from medrecon.operators import LinearOperator, Mask, factor_of
from medrecon.spaces import root_sum_of_squares

__all__ = ["SensitivityNetwork", "calibration_block"]


class SensitivityNetwork(nn.Module):
    """Coil maps `(..., coil, y, x)` of unit root sum of squares: the network's view of each coil's low-resolution image.

    Only the block around the center of k-space that was sampled without a gap is used.
    Sriram et al., End-to-end variational networks, MICCAI (2020).

    Parameters
    ----------
    network
        from complex images `(..., y, x)` to complex images, applied to each coil alone.
    n_lines
        number of calibration lines, for masks of whole lines; None finds them in the mask.

    Raises
    ------
    ValueError
        if `n_lines` is below 1; when called, for an operator without one `Mask`, or a mask without the center of k-space.
    """

    def __init__(self, network: nn.Module, n_lines: int | None = None) -> None:
        super().__init__()
        if n_lines is not None and n_lines < 1:
            raise ValueError(f"SensitivityNetwork takes n_lines of at least 1 or None, got {n_lines}")
        self.network, self.n_lines = network, n_lines

    def forward(self, y: Tensor, A: LinearOperator) -> Tensor:
        coil = A.range.dim("coil")
        block = calibration_block(factor_of(A, Mask, "SensitivityNetwork"), self.n_lines)
        images = self.network(A.H(y * block.unsqueeze(coil).to(y.device)))
        magnitude = root_sum_of_squares(images, coil).unsqueeze(coil)
        maps: Tensor = images / magnitude.clamp_min(torch.finfo(magnitude.dtype).tiny)
        return maps


def calibration_block(mask: Mask, n_lines: int | None) -> Tensor:
    """The central samples, bool and of the shape of `mask.pattern`.

    Of `n` columns the `w` from `(n - w + 1) // 2` on, with `w` twice the shorter run of sampled columns on either side of the
    index `n // 2`, or 1, as fastMRI has it; all columns where all were sampled. The same along `ky` for a mask of rows. For a mask
    of points it is the `calibration_region`.

    Raises
    ------
    ValueError
        if the center of k-space was not sampled.
    """
    pattern = mask.pattern.cpu()
    varying = [dim for dim in (-2, -1) if pattern.shape[dim] > 1]
    if len(varying) == 2:
        return _block_of_points(pattern)
    block = pattern.clone()
    if varying:
        lines = pattern.squeeze(-1 if varying == [-2] else -2)
        block = torch.stack([_center_lines(line, n_lines) for line in lines.reshape(-1, lines.shape[-1])])
        block = block.reshape(pattern.shape)
    if not bool(block.any(-1).any(-1).all()):
        raise ValueError(
            "the sensitivity network takes a mask with calibration lines, got one that leaves out the center of k-space; "
            "use a mask with a fully sampled center, or estimate the maps and use a network on SENSE"
        )
    return block


def _center_lines(line: Tensor, n_lines: int | None) -> Tensor:
    n = line.shape[0]
    if n_lines is None:
        below = int(line[: n // 2].flip(0).int().cumprod(0).sum())
        above = int(line[n // 2 :].int().cumprod(0).sum())
        n_lines = n if below + above == n else max(2 * min(below, above), 1)
    start = max(0, (n - n_lines + 1) // 2)
    block = torch.zeros_like(line)
    block[start : start + n_lines] = True
    return block & line


def _block_of_points(pattern: Tensor) -> Tensor:
    ny, nx = pattern.shape[-2:]
    block = torch.zeros_like(pattern)
    points, flat = pattern.reshape(-1, ny, nx), block.view(-1, ny, nx)
    for sampled, place in zip(points, flat, strict=True):
        height, width = calibration_region(torch.empty((1, ny, nx), dtype=torch.complex64, device="meta"), sampled)
        if 0 in (height, width):
            raise ValueError(
                "the sensitivity network takes a mask with a fully sampled center, got one that leaves out the center of k-space"
            )
        top, left = ny // 2 - height // 2, nx // 2 - width // 2
        place[top : top + height, left : left + width] = True
    return block
