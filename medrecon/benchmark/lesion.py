"""A small bright disc put into a scan, and how much of its contrast an image keeps."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from medrecon.benchmark.sources import ImageReference
from medrecon.config.benchmark import LesionSettings
from medrecon.data.ct.sinograms import SinogramSample
from medrecon.data.mri.fastmri import KSpaceSample
from medrecon.errors import InputError
from medrecon.operators import Fourier, LinearOperator
from medrecon.spaces import kspace_space, root_sum_of_squares

__all__ = ["Lesion", "find_lesion", "lesion_in_image", "lesion_in_kspace", "place_lesion"]

_CANDIDATES = 200
_ENOUGH_TISSUE, _LEAST_TISSUE = 0.98, 0.5  # of the surroundings
_TISSUE = 0.35  # of the 95th percentile of the image: what is brighter is tissue


@dataclass(frozen=True)
class Lesion:
    """A disc of `radius` pixels about `center` `(y, x)`, whose edge falls smoothly over `edge` pixels; `height` is added inside."""

    center: tuple[int, int]
    radius: float
    edge: float
    height: float

    def profile(self, shape: tuple[int, int]) -> Tensor:
        """The disc on an image `(y, x)`: 1 inside, 0 outside, half of a cosine between."""
        depth = (self.radius - _distance(self.center, shape)) / self.edge + 0.5
        return 0.5 - 0.5 * torch.cos(math.pi * depth.clamp(0, 1))

    def contrast(self, image: Tensor) -> float:
        """The mean of an image `(y, x)` inside, less that of a ring around, as wide as the radius, which begins behind the edge."""
        distance = _distance(self.center, (image.shape[-2], image.shape[-1]))
        inside = distance <= max(self.radius - self.edge / 2, 1.0)
        start = self.radius + self.edge / 2
        ring = (distance > start) & (distance <= start + max(self.radius, 2.0))
        return float(image[inside].double().mean() - image[ring].double().mean())


def place_lesion(image: Tensor, diameter: float, edge: float, contrast: float, generator: torch.Generator) -> Lesion:
    """Choose the place of a lesion: of places drawn at random in the inner half of the tissue, that where the image is most even.

    Parameters
    ----------
    image
        real `(y, x)`, without the lesion.
    diameter, edge
        in pixels.
    contrast
        its height over the mean of the image in the place.
    generator
        of the draw.

    Raises
    ------
    InputError
        if the image has no tissue that is large enough.
    """
    radius = diameter / 2
    reach = math.ceil(2 * radius + edge + 1)
    space = 2 * reach + 1
    tissue = image > _TISSUE * torch.quantile(image.flatten()[:: max(1, image.numel() // 2**20)], 0.95)
    share = _window_mean(tissue.float(), space)
    if not share.numel() or float(share.max()) < _LEAST_TISSUE:
        raise InputError(
            f"no place for a lesion of {diameter:.3g} pixels: the image shows too little tissue; take a smaller lesion.diameter, "
            "or other slices"
        )
    middles = (share >= min(_ENOUGH_TISSUE, float(share.max()))).nonzero()
    away = (middles - middles.double().mean(dim=0)).square().sum(dim=1)
    middles = middles[away <= away.median()]
    drawn = middles[torch.randperm(len(middles), generator=generator)[:_CANDIDATES]]
    mean, square = _window_mean(image, space), _window_mean(image.square(), space)
    spread = (square - mean.square()).clamp_min(0) / mean.square().clamp_min(1e-30)
    top, left = drawn[int(spread[drawn[:, 0], drawn[:, 1]].argmin())].tolist()
    lesion = Lesion((top + reach, left + reach), radius, edge, 0.0)
    profile = lesion.profile((image.shape[-2], image.shape[-1])).to(image.device)
    return replace(lesion, height=contrast * float((image * profile).sum() / profile.sum()))


def find_lesion(settings: LesionSettings, pixel: float, image: Tensor, reference: ImageReference, seed: int) -> Lesion:
    """The lesion of these settings in an image `(y, x)` with pixels of so many millimeters.

    Raises
    ------
    InputError
        if there is no place for it.
    """
    generator = reference.generator(seed, "lesion")
    try:
        return place_lesion(image, settings.diameter / pixel, settings.edge / pixel, settings.contrast, generator)
    except InputError as error:
        raise InputError(f"{reference.file}, slice {reference.index}: {error}") from error


def lesion_in_kspace(sample: KSpaceSample, lesion: Lesion) -> KSpaceSample:
    """Add the lesion to a fully sampled scan: `y_c + F (height * profile * p_c)`.

    `p_c` is what the coils see at the place, phase included: coil images `F.H y_c`, smoothed by a Gaussian as wide as the lesion's
    radius, over their root sum of squares. The image of all coils becomes brighter by `height` times the profile, and the noise
    stays what it was. Places in the lesion are counted in the image that is shown, `sample.matrix`.
    """
    space = kspace_space(sample.kspace.shape[0], (sample.kspace.shape[-2], sample.kspace.shape[-1]))
    fourier = Fourier(replace(space, axes=("coil", "y", "x")))
    size = (sample.kspace.shape[-2], sample.kspace.shape[-1])
    center = tuple(place + n // 2 - m // 2 for place, n, m in zip(lesion.center, size, sample.matrix, strict=True))
    moved = replace(lesion, center=(center[0], center[1]))
    seen = fourier.H(sample.kspace * _gaussian(size, lesion.radius))
    seen = seen / root_sum_of_squares(seen, -3).clamp_min(torch.finfo(torch.float32).tiny).unsqueeze(-3)
    added = fourier(seen * (lesion.height * moved.profile(size)))
    acquired = (sample.kspace != 0).any(dim=0)
    return replace(sample, kspace=sample.kspace + added.to(sample.kspace.dtype) * acquired)


def lesion_in_image(sample: SinogramSample, lesion: Lesion, A: LinearOperator) -> SinogramSample:
    """Add the lesion to the target `x*` and `A lesion` to the line integrals, whose noise stays what it was."""
    added = lesion.height * lesion.profile(sample.grid.shape)
    target = None if sample.target is None else sample.target + added
    return replace(sample, sinogram=sample.sinogram + A(added), target=target)


def _distance(center: tuple[int, int], shape: tuple[int, int]) -> Tensor:
    y, x = (torch.arange(n) - place for n, place in zip(shape, center, strict=True))
    return (y[:, None].square() + x.square()).sqrt()


def _gaussian(size: tuple[int, int], sigma: float) -> Tensor:
    """What smooths by a Gaussian of `sigma` pixels, in k-space whose middle is at `n // 2`."""
    y, x = (torch.exp(-0.5 * (2 * math.pi * sigma * (torch.arange(n) - n // 2) / n).square()) for n in size)
    return y[:, None] * x


def _window_mean(image: Tensor, size: int) -> Tensor:
    """Means of the windows that lie inside: `(y - size + 1, x - size + 1)`; the first of them begins at the first pixel."""
    if min(image.shape[-2:]) < size:
        return image.new_zeros((0, 0))
    return torch.nn.functional.avg_pool2d(image[None, None].double(), size, stride=1)[0, 0]
