"""Scans by protocols that are drawn: images measured by every kind of scan that settings allow."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from medrecon.config.mri import LineMaskSettings, MaskName, MaskSettings, PoissonMaskSettings, RadialMaskSettings
from medrecon.config.protocols import CTProtocols, MRIProtocols
from medrecon.data.ct.photons import count_photons
from medrecon.data.mri.fastmri import KSpaceSample
from medrecon.data.mri.masks import SamplingMask
from medrecon.data.mri.receivers import Receiver, draw_receiver
from medrecon.geometry import Arc, FanBeam, Geometry, Grid, ParallelBeam
from medrecon.operators import Fourier, Radon
from medrecon.problem import Problem, undersample
from medrecon.scans.masks import build_mask
from medrecon.spaces import image_space, root_sum_of_squares

__all__ = ["CTProtocol", "MRIProtocol", "draw_ct", "draw_mri"]

_HEAD = 0.1  # of the brightest pixel: what is brighter is head
_MOST_CENTER = 0.6  # of the lines that are kept
_GOLDEN = math.pi * (math.sqrt(5) - 1) / 2


@dataclass(frozen=True, kw_only=True)
class MRIProtocol:
    """One of `MRIProtocols`: `field` is None where nothing wraps, `shift` `(y, x)` over the field, `partial` of the lines."""

    coils: int
    snr: float
    mask: MaskSettings
    matrix: int
    noise_spread: float
    field: float | None
    shift: tuple[float, float]
    partial: float | None

    @classmethod
    def draw(cls, protocols: MRIProtocols, generator: torch.Generator) -> MRIProtocol:
        """Draw one; as much is drawn whatever comes of it."""
        u = torch.rand(16, generator=generator).tolist()
        matrix = 2 * round(_between(protocols.matrix, u[0]) / 2)
        acceleration = _between(protocols.acceleration, u[1])
        most = max(4, int(_MOST_CENTER * matrix / acceleration))
        lines = min(round(_between(protocols.calibration, u[2])), most)
        kind = protocols.masks[int(u[3] * len(protocols.masks))]
        seed = int(u[4] * 2**31)
        return cls(
            coils=round(_between(protocols.coils, u[5])),
            snr=_between(protocols.snr, u[6]),
            mask=_mask(kind, acceleration, lines / matrix, seed),
            matrix=matrix,
            noise_spread=protocols.noise_spread * u[7],
            field=_between(protocols.field, u[8]) if u[9] < protocols.wrapped else None,
            shift=((2 * u[10] - 1) * protocols.shift, (2 * u[11] - 1) * protocols.shift),
            partial=protocols.partial + (1 - protocols.partial) * u[12] if u[13] < protocols.partial_share else None,
        )

    def scan(self, image: Tensor, generator: torch.Generator, name: str, height: float = 0.0) -> KSpaceSample:
        """Scan a square magnitude image of a head, in units of the head's mean; the target has no noise.

        The target is the root sum of squares of the coils' images, what wraps included, and the sample holds what the mask keeps.

        Raises
        ------
        InputError
            If k-space is too small for the mask.
        """
        receiver = draw_receiver(generator, self.coils)
        images = self._seen(_resampled(image, self.matrix), receiver, height)
        kspace = Fourier(
            replace(image_space(tuple(images.shape[-2:])), axes=("coil", "y", "x"), shape=tuple(images.shape)),
            axes=("y", "x"),
        )(images)
        kspace = kspace + self._noise(receiver, kspace, generator)
        shape = (kspace.shape[-2], kspace.shape[-1])
        target = root_sum_of_squares(images, -3) * receiver.scale
        sample = KSpaceSample.full(kspace * receiver.scale, target, shape, name)
        return undersample(sample, self._kept(build_mask(self.mask, shape, name)))

    def _seen(self, image: Tensor, receiver: Receiver, height: float) -> Tensor:
        """The images of the coils, off the center and wrapped."""
        n = self.matrix
        maps = receiver.maps((n, n), height) * torch.polar(torch.ones(()), receiver.phases((n, n)))
        rows = (image > _HEAD * image.max()).any(0).nonzero()
        head = int(rows[-1] - rows[0]) + 1
        image = image.roll([round(n * part) for part in self.shift], (-2, -1))
        if self.field is None:
            return maps * image
        return _folded(maps * image, min(n, max(2, 2 * round(self.field * head / 2))))

    def _noise(self, receiver: Receiver, kspace: Tensor, generator: torch.Generator) -> Tensor:
        """Noise of the coils, correlated, and of the standard deviation that was drawn in their quadratic mean."""
        spread = torch.exp(self.noise_spread * torch.randn(self.coils, generator=generator))
        mixing = spread[:, None] * receiver.mixing
        mixing = mixing / (torch.linalg.vector_norm(mixing) / math.sqrt(self.coils) * self.snr)
        white = torch.view_as_complex(torch.randn(self.coils, kspace[0].numel(), 2, generator=generator))
        noise: Tensor = (mixing @ white).reshape(kspace.shape)
        return noise

    def _kept(self, mask: SamplingMask) -> SamplingMask:
        if self.partial is None or mask.sampled.ndim > 1:
            return mask
        sampled = mask.sampled.clone()
        sampled[math.ceil(self.partial * len(sampled)) :] = False
        return replace(mask, sampled=sampled)


@dataclass(frozen=True, kw_only=True)
class CTProtocol:
    """One of `CTProtocols`."""

    geometry: Geometry
    grid: Grid
    photons: float

    @classmethod
    def draw(cls, protocols: CTProtocols, generator: torch.Generator) -> CTProtocol:
        """Draw one; as much is drawn whatever comes of it."""
        u = torch.rand(16, generator=generator).tolist()
        matrix = round(_between(protocols.matrix, u[0]))
        grid = Grid((matrix, matrix), _within(protocols.field, u[1]) / matrix)
        is_fan, offset = u[2] < protocols.fan, (2 * u[3] - 1) * protocols.offset if u[4] < protocols.shifted else 0.0
        distance = grid.radius * (2 + 3 * u[5])
        opening = 2 * math.asin(grid.radius / distance) if is_fan else 0.0
        turn = 2 * math.pi if is_fan else math.pi
        if u[6] < protocols.limited:
            turn = max(math.radians(_within(protocols.arc, u[7])), math.pi + opening if is_fan else 0.0)
        angles = _angles(round(_between(protocols.views, u[8])), turn, 2 * math.pi * u[9], protocols, u[10], generator)
        spacing = _within(protocols.spacing, u[11])
        if not is_fan:
            n_bins = 2 * math.ceil(grid.radius / spacing + abs(offset) + 1)
            return cls(
                geometry=ParallelBeam(angles, n_bins, spacing, offset * spacing),
                grid=grid,
                photons=_between(protocols.photons, u[12]),
            )
        magnified, curved = spacing * 2, u[13] < 0.5
        half = 2 * distance * (opening / 2 if curved else math.tan(opening / 2))
        n_bins = 2 * math.ceil(half / magnified + abs(offset) + 1)
        fan = FanBeam(angles, n_bins, magnified, distance, distance, curved=curved, offset=offset * magnified)
        return cls(geometry=fan, grid=grid, photons=_between(protocols.photons, u[12]))

    def scan(self, image: Tensor, generator: torch.Generator) -> Problem:
        """Project a square image in 1/mm that fills the field, on its own pixels, and count photons; the target is on the grid."""
        fine = Grid((image.shape[0], image.shape[1]), self.grid.extent[0] / image.shape[0])
        y = count_photons(Radon(fine, self.geometry)(image), self.photons, generator)
        target = torch.nn.functional.interpolate(image[None, None], self.grid.shape, mode="area")[0, 0]
        return Problem(y, Radon(self.grid, self.geometry), self.grid.shape, target)


def draw_mri(
    image: Tensor, protocols: MRIProtocols, generator: torch.Generator, name: str, height: float = 0.0
) -> KSpaceSample:
    """Scan a square magnitude image of a head by a protocol that is drawn; see `MRIProtocol.scan`."""
    return MRIProtocol.draw(protocols, generator).scan(image, generator, name, height)


def draw_ct(image: Tensor, protocols: CTProtocols, generator: torch.Generator) -> Problem:
    """Project a square image in 1/mm by a protocol that is drawn; see `CTProtocol.scan`."""
    return CTProtocol.draw(protocols, generator).scan(image, generator)


def _between(bounds: tuple[float, float], part: float) -> float:
    """A value whose logarithm lies so far between those of the bounds."""
    value: float = bounds[0] * (bounds[1] / bounds[0]) ** part
    return value


def _within(bounds: tuple[float, float], part: float) -> float:
    return bounds[0] + (bounds[1] - bounds[0]) * part


def _mask(kind: MaskName, acceleration: float, center: float, seed: int) -> MaskSettings:
    values = {"kind": kind, "acceleration": acceleration, "seed": seed}
    if kind is MaskName.RADIAL:
        return RadialMaskSettings.model_validate(values)
    if kind is MaskName.POISSON:
        return PoissonMaskSettings.model_validate({**values, "center_fraction": center})
    return LineMaskSettings.model_validate({**values, "center_fraction": center})


def _angles(
    count: int, turn: float, first: float, protocols: CTProtocols, choice: float, generator: torch.Generator
) -> Arc | tuple[float, ...]:
    """Angles over an arc: even, by the golden angle, or by steps that differ by a factor of up to three."""
    steps = 0.5 + torch.rand(count, generator=generator)
    if choice < protocols.golden:
        return tuple(first + (k * _GOLDEN) % turn for k in range(count))
    if choice < protocols.golden + protocols.uneven:
        places = (steps.cumsum(0) - steps / 2) / steps.sum()
        return tuple(first + turn * place for place in places.tolist())
    return Arc(first, turn / count, count)


def _resampled(image: Tensor, n: int) -> Tensor:
    """The image at `n x n` pixels over the same field, by its Fourier series."""
    old = image.shape[-1]
    if n == old:
        return image
    spectrum = torch.fft.fftshift(torch.fft.fft2(image))
    if n < old:
        start = old // 2 - n // 2
        spectrum = spectrum[start : start + n, start : start + n]
    else:
        start = n // 2 - old // 2
        spectrum = torch.nn.functional.pad(spectrum, (start, n - old - start) * 2)
    resampled: Tensor = torch.fft.ifft2(torch.fft.ifftshift(spectrum)).abs() * (n / old) ** 2
    return resampled


def _folded(images: Tensor, width: int) -> Tensor:
    """Images `(coil, y, x)` of a field of `width` columns about the middle, beyond which the object wraps."""
    n = images.shape[-1]
    places = (torch.arange(n) - n // 2 + width // 2) % width
    return images.new_zeros((*images.shape[:-1], width)).index_add(-1, places, images)
