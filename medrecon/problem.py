"""Where data meet physics: a sample of a scan becomes `y = A x + noise`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from os import PathLike
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn.functional import pad

from medrecon.calibration import CoilCompression, VirtualCoils, Whitening, estimate_maps, silent_maps
from medrecon.data.ct.photons import count_photons
from medrecon.data.ct.sinograms import SinogramSample
from medrecon.data.mri.fastmri import KSpaceSample
from medrecon.data.mri.masks import SamplingMask
from medrecon.errors import InputError
from medrecon.geometry import Geometry, Grid
from medrecon.operators import (
    Crop,
    Fourier,
    Interpolation,
    LinearOperator,
    Mask,
    Radon,
    coils_of,
    sense,
    soft_sense,
)
from medrecon.spaces import image_space, kspace_space, root_sum_of_squares

if TYPE_CHECKING:
    from medrecon.figures import NotebookFigure

__all__ = [
    "Problem",
    "add_dose_noise",
    "coil_problem",
    "crop_readout",
    "ct_problem",
    "full_reconstruction",
    "radon",
    "remove_oversampling",
    "sense_problem",
    "subsample_views",
    "undersample",
]


@dataclass(frozen=True, eq=False)
class Problem:
    """Measurements `y` of an image through `A`, and the image to be found where it is known.

    Parameters
    ----------
    y
        measurements, of the range of `A`; a leading axis of batch is allowed.
    A
        the operator of the scan.
    shape
        `(y, x)` of the image that is shown: the center of what a reconstructor gives.
    compression
        of the coils into virtual ones, those of `y`; None where these are the coils themselves.
    step
        `(y, x)` from pixel to pixel of the image that is shown, in pixels of what a reconstructor gives (see `Interpolation`).
    target
        real `(..., *shape)`, or None.
    notes
        what a user should know of how the problem was made.
    maps_origin
        where the coil maps come from: "espirit", "low-resolution", "given", "uniform" (a single coil) or "none".
    gain
        real `(y, x)`, by which images are multiplied where they are shown, as coils that were weighted by their noise see
        the object less bright (`Whitening.gain`); None for 1.
    """

    y: Tensor
    A: LinearOperator
    shape: tuple[int, int]
    target: Tensor | None = None
    notes: tuple[str, ...] = ()
    maps_origin: str = "none"
    gain: Tensor | None = None
    step: tuple[float, float] = (1.0, 1.0)
    compression: CoilCompression | None = None

    def display_image(self, x: Tensor) -> Tensor:
        """The image `(..., y, x)`, its center cut out or interpolated to `shape`: of a complex one the magnitude.

        Of images of several sets of coil maps it is the root sum of squares of the coil images that they make together: an image
        means nothing where its maps are zero.
        """
        if "set" in self.A.domain.axes and self.A.domain.contains(x):
            combined: Tensor = torch.linalg.vector_norm(self._shown(coils_of(self.A, "display_image")(x)), dim=-3)
            return combined
        return self._shown(x)

    def _shown(self, x: Tensor) -> Tensor:
        space = image_space(tuple(x.shape[-2:]))
        if self.gain is not None:
            gain = self.gain.to(x.device, x.real.dtype)
            x = x * Crop(image_space(tuple(gain.shape)), tuple(x.shape[-2:]))._forward(gain)
        if self.step != (1.0, 1.0):
            finer = Interpolation(space, self.shape, self.step)
            return finer(x if x.is_complex() else x.to(x.dtype.to_complex())).abs()
        return Crop(space, self.shape)._forward(x.abs() if x.is_complex() else x)

    def show(
        self, x: Tensor, *, index: int = 0, title: str = "", window: tuple[float, float] | None = None
    ) -> NotebookFigure:
        """Draw the image that a reconstructor gave, beside target and difference where there is a target.

        A notebook shows the figure where a cell ends with this call; `save` writes it, and it is changed as any of matplotlib.

        Parameters
        ----------
        x
            of the domain of `A`; coil images are combined by their root sum of squares. An image `(..., y, x)` is taken, too.
        index
            which of a batch, counted over all leading axes; a single image, or target, stands for all.
        title
            over the whole.
        window
            the values shown as black and white; unless given, quantiles of the target, or of the image where there is none.

        Raises
        ------
        IndexError
            if the batch has no such image.
        """
        from medrecon.figures import draw_beside_target, gray_window, magnitude_window

        is_coils = "coil" in self.A.domain.axes and self.A.domain.contains(x)
        image = self.display_image(root_sum_of_squares(x, self.A.domain.dim("coil")) if is_coils else x)
        image = _one_of(image, self.shape, index)
        target = None if self.target is None else _one_of(self.target, self.shape, index)
        if window is None:
            window = (magnitude_window if self.A.domain.is_complex else gray_window)(
                image if target is None else target
            )
        return draw_beside_target(image, target, title, window)

    def save(
        self,
        path: str | PathLike[str],
        x: Tensor,
        *,
        index: int = 0,
        title: str = "",
        window: tuple[float, float] | None = None,
    ) -> None:
        """Write what `show` draws, which takes the same: a PNG, or what else the ending of `path` names, PDF and SVG among them."""
        self.show(x, index=index, title=title, window=window).savefig(path)

    def __repr__(self) -> str:
        batch = "".join(f"{size}, " for size in self.A.range.batch_shape(self.y))
        facts = [f"y {str(self.A.range).replace('..., ', batch)} = A x, x {self.A.domain}"]
        facts += [f"on {self.y.device}", f"shown {self.shape[0]} x {self.shape[1]}"]
        facts += ["no target" if self.target is None else "target"]
        facts += [] if self.maps_origin == "none" else [f"maps {self.maps_origin}"]
        return f"Problem({', '.join([*facts, *self.notes])})"


def _one_of(images: Tensor, shape: tuple[int, int], index: int) -> Tensor:
    flat = images.detach().cpu().reshape(-1, *shape)
    return flat[index if len(flat) > 1 else 0]


def undersample(sample: KSpaceSample, mask: SamplingMask) -> KSpaceSample:
    """The sample as if only what `mask` holds had been acquired.

    Raises
    ------
    InputError
        if the mask has another shape than the k-space, or leaves nothing.
    """
    kept = mask.sampled
    shape = tuple(sample.kspace.shape[-2:])
    if tuple(kept.shape) not in (shape, shape[1:]):
        raise InputError(f"{sample.name}: the mask is {tuple(kept.shape)}, but k-space is (ky, kx) = {shape}")
    sampled = kept & sample.sampled
    if not bool(sampled.any()):
        raise InputError(f"{sample.name}: the mask leaves no sample of k-space; take a lower acceleration")
    return replace(sample, kspace=sample.kspace * sampled, sampled=sampled)


def remove_oversampling(sample: KSpaceSample) -> KSpaceSample:
    """Keep the rows of the image that will be shown, where whole readouts were acquired.

    The readout is the first axis; fully sampled, its rows are independent of each other, so that nothing is lost. A sample with
    points in place of lines, or without oversampling, is given back as it is: draw masks of points for what this returns.
    """
    n_rows, rows = sample.kspace.shape[-2], sample.matrix[0]
    if sample.sampled.ndim != 1 or n_rows <= rows:
        return sample
    image = replace(kspace_space(sample.kspace.shape[0], tuple(sample.kspace.shape[-2:])), axes=("coil", "y", "x"))
    kept = Crop(image, (image.shape[0], rows, image.shape[2]))(_rows_of(sample.kspace))
    return replace(sample, kspace=_lines_of(kept), oversampling=max(1.0, sample.oversampling * rows / n_rows))


def crop_readout(sample: KSpaceSample, first: int, rows: int) -> KSpaceSample:
    """The sample as if the scanner had read only the rows from `first` on, where whole readouts were acquired.

    The rows of the image along a fully sampled readout are independent of each other, so that a band is a scan of its own. The
    readout must have no oversampling left (see `remove_oversampling`); the target is cut as well.

    Raises
    ------
    ValueError
        if the mask is one of points, the readout is oversampled, or the rows are not all inside.
    """
    n_rows = sample.kspace.shape[-2]
    if sample.sampled.ndim != 1 or n_rows != sample.matrix[0]:
        raise ValueError("crop_readout takes whole readouts without oversampling; call remove_oversampling first")
    if first < 0 or rows < 1 or first + rows > n_rows:
        raise ValueError(f"crop_readout takes rows within 0 to {n_rows}, got {first} to {first + rows}")
    kept = _rows_of(sample.kspace).narrow(-2, first, rows)
    target = None if sample.target is None else sample.target.narrow(-2, first, rows)
    return replace(sample, kspace=_lines_of(kept), matrix=(rows, sample.matrix[1]), target=target)


def _rows_of(kspace: Tensor) -> Tensor:
    """K-space `(coil, ky, kx)` with the transform along the readout undone: `(coil, y, kx)`."""
    image = replace(kspace_space(kspace.shape[0], tuple(kspace.shape[-2:])), axes=("coil", "y", "x"))
    return Fourier(image, axes=("y",)).H(kspace)


def _lines_of(rows: Tensor) -> Tensor:
    """The way back: `(coil, y, kx)` to k-space `(coil, ky, kx)`."""
    image = replace(kspace_space(rows.shape[0], tuple(rows.shape[-2:])), axes=("coil", "y", "x"))
    return Fourier(image, axes=("y",))(rows.contiguous())


def full_reconstruction(sample: KSpaceSample) -> Tensor:
    """The root-sum-of-squares image of all coils, real `matrix`: the target of fastMRI for a fully sampled scan."""
    problem = coil_problem(sample)
    return problem.display_image(root_sum_of_squares(problem.A.H(problem.y), -3))


def coil_problem(
    sample: KSpaceSample,
    *,
    noise_covariance: Tensor | None = None,
    virtual_coils: VirtualCoils | None = None,
    device: torch.device | str = "cpu",
) -> Problem:
    """`y = Mask Fourier x` for the images `x` of all coils, `(coil, y, x)`; needs no coil maps.

    With the covariance of the coils' noise, `(coil, coil)`, `y` is whitened by it, and `display_image` gives brightness back.
    With `virtual_coils`, coils are then compressed by that rule, where it asks for it.

    Raises
    ------
    ValueError
        if that is not a covariance of these coils.
    """
    sample, gain = _whitened(remove_oversampling(sample), noise_covariance)
    compression = None if virtual_coils is None else CoilCompression.of(sample.kspace, sample.sampled, virtual_coils)
    kspace = sample.kspace if compression is None else compression(sample.kspace)
    n_coils, *shape = kspace.shape
    image = image_space(tuple(shape))
    fourier = Fourier(replace(image, axes=("coil", *image.axes), shape=(n_coils, *shape)))
    A = Mask(sample.sampled, fourier.range) @ fourier
    return Problem(kspace.to(device), A.to(device), sample.matrix, sample.target, gain=gain, compression=compression)


def sense_problem(
    sample: KSpaceSample,
    *,
    maps: Tensor | None = None,
    most_sets: int = 2,
    noise_covariance: Tensor | None = None,
    virtual_coils: VirtualCoils | None = None,
    device: torch.device | str = "cpu",
) -> Problem:
    """`y = Mask Fourier CoilMaps x` for one image `x`, `(y, x)`, or for one a set of maps, `(set, y, x)`.

    Without `maps`, complex `(coil, y, x)` or `(set, coil, y, x)`, they are estimated from the calibration lines, a second set where
    an object that is wider than its field asks for it and `most_sets` allows it; a single coil sees every pixel alike.
    With the covariance of the coils' noise, `(coil, coil)`, `y` and maps are whitened by it, so that every method weighs
    measurements by their noise. `x` is then seen by whitened coils, unless maps are given, and `display_image` gives
    brightness back.
    With `virtual_coils`, coils are then compressed by that rule, where it asks for it; coils that measured nothing are put beside
    them (see `silent_maps`).

    Raises
    ------
    InputError
        if there are no calibration lines to estimate the maps from.
    ValueError
        if `noise_covariance` is not a covariance of these coils.
    """
    sample, gain = _whitened(remove_oversampling(sample), noise_covariance)
    if maps is not None and noise_covariance is not None:
        maps = Whitening.of(noise_covariance)(maps)
        gain = gain if maps.ndim > sample.kspace.ndim else None  # of sets, coil images are shown
    kspace, sampled = sample.kspace.to(device), sample.sampled.to(device)
    compression = None if virtual_coils is None else CoilCompression.of(kspace, sampled, virtual_coils)
    notes: tuple[str, ...] = ()
    origin = "given"
    energy: Tensor | float = 1.0
    if maps is None and kspace.shape[0] == 1:
        maps, origin = torch.ones_like(kspace), "uniform"
    elif maps is None:
        try:
            estimate = estimate_maps(kspace, sampled, most_sets=most_sets, compression=compression)
        except InputError as error:
            raise InputError(f"{sample.name}, slice {sample.slice_index}: {error}") from None
        maps, origin = estimate.maps, estimate.method
        notes = () if estimate.message is None else (estimate.message,)
    elif compression is not None:
        maps, energy = compression(maps.to(kspace)), maps.to(kspace).abs().square().sum(-3)
    if compression is not None:
        silent = silent_maps(maps, energy)
        maps, kspace = torch.cat((maps, silent), -3), pad(compression(kspace), (0, 0, 0, 0, 0, silent.shape[-3]))
    pose = sense if maps.ndim == kspace.ndim else soft_sense
    A = pose(sampled, maps.to(device))
    return Problem(kspace, A, sample.matrix, sample.target, notes, origin, gain, compression=compression)


def _whitened(sample: KSpaceSample, covariance: Tensor | None) -> tuple[KSpaceSample, Tensor | None]:
    """The sample with coils whitened, and by what its images are darker for it."""
    if covariance is None:
        return sample, None
    whitening = Whitening.of(covariance)
    kspace = whitening(sample.kspace)
    return replace(sample, kspace=kspace), whitening.gain(kspace, sample.sampled)


def subsample_views(sample: SinogramSample, count: int) -> SinogramSample:
    """The sample as if only `count` of its views, evenly spaced, had been measured: those of indices `k n // count`.

    Raises
    ------
    InputError
        if there are not so many.
    """
    n = sample.geometry.shape[0]
    if not 1 <= count <= n:
        raise InputError(f"{sample.name}: has {n} views, and {count} are to be kept; take 1 to {n}")
    if n % count == 0:
        step = n // count
        return replace(sample, sinogram=sample.sinogram[::step], geometry=sample.geometry[::step])
    kept = [k * n // count for k in range(count)]
    return replace(sample, sinogram=sample.sinogram[kept], geometry=sample.geometry[kept])


def add_dose_noise(sample: SinogramSample, photons: float, generator: torch.Generator) -> SinogramSample:
    """The sample with the noise of so many photons a ray on top of what it holds.

    Where its own photons are known, those it then has are `1 / (1 / own + 1 / photons)`: the variances add.

    Raises
    ------
    ValueError
        if `photons` is not above zero.
    """
    sinogram = count_photons(sample.sinogram, photons, generator)
    together = photons if sample.photons is None else 1 / (1 / sample.photons + 1 / photons)
    return replace(sample, sinogram=sinogram, photons=together)


def ct_problem(samples: Sequence[SinogramSample], *, device: torch.device | str = "cpu") -> Problem:
    """`y = Radon x` for images `x` in 1/mm, `(batch, y, x)`, of samples of one geometry and grid.

    Raises
    ------
    ValueError
        if there is no sample, or they differ in geometry or grid, or some alone have a target.
    """
    if not samples or len({(sample.geometry, sample.grid, sample.target is None) for sample in samples}) > 1:
        raise ValueError(
            f"ct_problem takes samples of one geometry and grid, with or without targets; got {len(samples)}"
        )
    first = samples[0]
    y = torch.stack([sample.sinogram for sample in samples]).to(device)
    targets = [sample.target for sample in samples if sample.target is not None]
    A = Radon(first.grid, first.geometry)
    return Problem(y, A, first.grid.shape, torch.stack(targets) if targets else None)


@lru_cache(maxsize=16)
def radon(grid: Grid, geometry: Geometry) -> Radon:
    """The Radon transform, one object for all scans that share it: its rays and its norm are then found once."""
    return Radon(grid, geometry)
