"""The pixels of the images that are written of k-space: which part of the field, and how finely."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from medrecon.config.mri import MRIAcquisition
from medrecon.data.mri.kspace_files import KSpaceFile
from medrecon.data.mri.scan_geometry import finer_pixels
from medrecon.errors import InputError
from medrecon.operators import Interpolation
from medrecon.problem import Problem

__all__ = ["ImageGrid", "image_grid"]

NO_FIELD = 1e-3  # of a field of view, by which another may exceed it through rounding
SAME_PLACE = 0.01  # pixels that the edge of an image may move, for its grid to be that of k-space

Pair = tuple[float, float]


@dataclass(frozen=True)
class ImageGrid:
    """`(y, x)`, of images that are written.

    Parameters
    ----------
    matrix
        pixels of k-space's own grid, of which a method gives at least the middle: the scanner's field, and what is shown.
    shape, step
        pixels that are written, and how far they lie apart in pixels of k-space's own grid.
    pixel
        the same in millimeters, where that is known.
    notes
        what a user did not ask for.
    """

    matrix: tuple[int, int]
    shape: tuple[int, int]
    step: Pair = (1.0, 1.0)
    pixel: Pair | None = None
    notes: tuple[str, ...] = ()

    def is_of(self, shape: tuple[int, int]) -> bool:
        """Whether images lie on the grid of k-space, and are of this size."""
        return self.shape == shape and self.step == (1.0, 1.0)

    def shown(self, problem: Problem) -> Problem:
        """The problem, of which images are shown on this grid; of coil images a method gives their magnitude."""
        notes = problem.notes
        if self.step != (1.0, 1.0) and "coil" in problem.A.domain.axes:
            notes += ("the method gives no complex image: its magnitude is interpolated",)
        return replace(problem, shape=self.shape, step=self.step, notes=notes)

    def shown_coils(self, problem: Problem) -> Problem:
        """The problem of coil images that lie on this grid themselves, so that their magnitudes are of it."""
        if self.step == (1.0, 1.0):
            return replace(problem, shape=self.shape)
        finer = Interpolation(problem.A.domain, self.shape, self.step)
        gain = problem.gain
        if gain is not None:
            along_y, along_x = (_linear(*one).to(gain) for one in zip(gain.shape, self.shape, self.step, strict=True))
            gain = along_y @ gain @ along_x.mT
        return replace(problem, A=problem.A @ finer.H, shape=self.shape, gain=gain)


def _linear(n: int, m: int, step: float) -> Tensor:
    """Weights `(m, n)` of linear interpolation, of a smooth image without ringing at its borders; places as of `Interpolation`."""
    places = ((torch.arange(m, dtype=torch.float64) - m // 2) * step + n // 2).clamp(0, n - 1)
    return (1 - (places[:, None] - torch.arange(n)).abs()).clamp_min(0)


def _kspace_pixel(file: KSpaceFile) -> Pair | None:
    """The `(y, x)` spacing in millimeters of images that lie on the grid of k-space, where the header tells."""
    header = file.header
    for field, (rows, columns) in (
        (header.encoded_fov, file.shape[-2:]),
        (header.recon_fov, header.recon_matrix[:2]),
    ):
        if field is not None and field[0] > 0 and field[1] > 0:
            return field[0] / rows, field[1] / columns
    return None


def image_grid(file: KSpaceFile, acquisition: MRIAcquisition) -> ImageGrid:
    """Settle the grid from what is asked, else as the scanner's header says; a target in the file comes before the header.

    Raises
    ------
    InputError
        If more is asked for than k-space covers, or a field of view of a file that states none.
    """
    grid, asked, field = _scanner_grid(file), acquisition.size, acquisition.field_of_view
    if asked is None and field is None:
        return grid
    own = _kspace_pixel(file)
    if own is None or grid.pixel is None:
        return _cropped(file, grid, asked, field)
    covered = own[0] * file.shape[-2], own[1] * file.shape[-1]
    if field is None:
        field = grid.shape[0] * grid.pixel[0], grid.shape[1] * grid.pixel[1]
    if any(wanted > there * (1 + NO_FIELD) for wanted, there in zip(field, covered, strict=True)):
        raise InputError(f"{file.path}: k-space covers {_words(covered)}, and --field-of-view asks for {_words(field)}")
    if asked is None:
        sizes = [max(1, round(side / pixel)) for side, pixel in zip(field, grid.pixel, strict=True)]
        asked, pixel = (sizes[0], sizes[1]), grid.pixel
    else:
        pixel = field[0] / asked[0], field[1] / asked[1]
    return _of_pixels(file, grid.matrix, asked, pixel, own)


def _scanner_grid(file: KSpaceFile) -> ImageGrid:
    """The crop that a target or the header names; where k-space has fewer samples over its field, the header's finer matrix."""
    own, header = _kspace_pixel(file), file.header
    grid = ImageGrid(file.matrix, file.matrix, pixel=own)
    if own is None or header.recon_fov is None or file.target_name is not None:
        return grid
    shape, pixel = list(file.matrix), list(own)
    for axis in (0, 1):
        finer = finer_pixels(header, axis, file.shape[-2:][axis])
        if finer is not None:
            shape[axis], pixel[axis] = finer, header.recon_fov[axis] / header.recon_matrix[axis]
    made = _of_pixels(file, grid.matrix, (shape[0], shape[1]), (pixel[0], pixel[1]), own)
    if made.step == (1.0, 1.0):
        return grid
    words = f"as the header asks, k-space of {file.shape[-2]} x {file.shape[-1]} is filled with zeros"
    return replace(made, notes=(f"{words}: images are {made.shape[0]} x {made.shape[1]}",))


def _of_pixels(file: KSpaceFile, matrix: tuple[int, int], shape: tuple[int, int], pixel: Pair, own: Pair) -> ImageGrid:
    """The grid of so many pixels, and the part of k-space's own that it takes."""
    step, whole = [], []
    for axis in (0, 1):
        ratio, available = pixel[axis] / own[axis], file.shape[-2:][axis]
        is_own = abs(ratio - 1) * shape[axis] <= SAME_PLACE and shape[axis] <= available
        step.append(1.0 if is_own else min(ratio, available / shape[axis]))
        whole.append(min(available, max(matrix[axis], round(shape[axis] * step[axis]))))
    return ImageGrid(
        matrix=(whole[0], whole[1]),
        shape=shape,
        step=(step[0], step[1]),
        pixel=(step[0] * own[0], step[1] * own[1]),
    )


def _cropped(file: KSpaceFile, grid: ImageGrid, asked: tuple[int, int] | None, field: Pair | None) -> ImageGrid:
    """The middle of the image on the grid of k-space, of a file that states no field of view."""
    if field is not None or asked is None:
        raise InputError(
            f"{file.path}: states no field of view, of which --field-of-view would be a part; give --size alone, which crops"
        )
    there = file.shape[-2:]
    if asked[0] > there[0] or asked[1] > there[1]:
        raise InputError(
            f"{file.path}: states no field of view, so that --size crops k-space's own grid of {there[0]} x {there[1]}; "
            f"got {asked[0]} x {asked[1]}"
        )
    matrix = max(grid.matrix[0], asked[0]), max(grid.matrix[1], asked[1])
    return replace(grid, matrix=matrix, shape=asked)


def _words(field: Pair) -> str:
    return f"{field[0]:.4g} x {field[1]:.4g} mm"
