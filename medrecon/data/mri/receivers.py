"""MR scans simulated from magnitude images, for training: each with coils, phase, noise and scale of its own.

What is drawn, and why (the figures in brackets were measured on one slice of fastMRI, `brain-axt2`):

- Coils: 8 to 16 loops on an ellipse around the head, in rings along the body's axis. Near loops see a part of the head, those
  of a far ring almost nothing [the energies of 16 coils lie within a factor of 2600]. A loop's field is that of
  the first terms of its expansion about its axis; its transverse part is what the coil receives.
- Shading: the coils' root sum of squares is bright near the coils, and fastMRI's targets show this; how much of it stays
  is drawn, because the images have passed through one scanner already.
- Phase: a coarse random field drawn out smoothly, and a slope; a magnitude image has lost its own.
- Noise: white and complex, in the target as well, where its root sum of squares is a floor [0.021 of the largest value].
  Sigma is 1/40 to 1/160 of the head's mean [1/102], differs between coils and is correlated [0.12 in the mean].
- Scale: that of raw fastMRI files, so that no code may count on values near one.
- The readout is oversampled twice, and all of k-space is measured.

The images are band-limited and the maps smooth, so that their product needs no finer grid than the scan's: it holds the
truncation of the scan from which the image came.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import interpolate

__all__ = ["Receiver", "draw_receiver", "simulate_scan"]

_N_COILS = (8, 16)
_SNR = (40.0, 160.0)
_SCALE = (3e-5, 3e-4)  # of the head's mean


@dataclass(frozen=True, eq=False)
class Receiver:
    """A scanner's coils around one head, and what else is the same for all slices of a scan.

    Lengths are in units of half the field of view, the origin at index `n // 2`, axes (x, y, z).

    Parameters
    ----------
    places, normals : Tensor
        `(coil, 3)`: the center of each loop, and the unit vector along its axis.
    gains : Tensor
        complex `(coil,)`.
    radius : float
        Of the loops.
    shading : float
        From 0, a root sum of squares of the maps of one everywhere, to 1, as the loops give it.
    phase : Tensor
        `(n, n)` radians: the phase on a coarse grid over the field of view.
    mixing : Tensor
        complex `(coil, coil)`: what turns independent noise of unit variance in each part into this scanner's, in units of
        the mean of the head.
    scale : float
        The value in the file of what is one in the image.
    """

    places: Tensor
    normals: Tensor
    gains: Tensor
    radius: float
    shading: float
    phase: Tensor
    mixing: Tensor
    scale: float

    @property
    def sigma(self) -> float:
        """The noise of a coil's real part, and of its imaginary part, before `scale`, in quadratic mean over the coils."""
        return float(torch.linalg.vector_norm(self.mixing)) / math.sqrt(len(self.mixing))

    def phases(self, shape: tuple[int, int]) -> Tensor:
        """Give the phase over the field of view, in radians `(y, x)`."""
        drawn: Tensor = interpolate(self.phase[None, None], shape, mode="bicubic", align_corners=True)[0, 0]
        return drawn

    def maps(self, shape: tuple[int, int], height: float = 0.0) -> Tensor:
        """Give the coil maps at a height along the body, complex64 `(coil, y, x)`.

        A loop of radius a at distance d along its axis n, and r across, receives the transverse part `Bx - i By` of
        `B = a^2 (n + 1.5 d r / rho^2) / rho^3`, `rho^2 = d^2 + |r|^2 + a^2`. The mean of the root sum of squares
        is one, over the disc of 0.7 in radius, in which the head lies.
        """
        y, x = ((torch.arange(n) - n // 2) * (2.0 / n) for n in shape)
        dx, dy = x - self.places[:, :1], y - self.places[:, 1:2]
        dz = (height - self.places[:, 2])[:, None, None]
        nx, ny, nz = (self.normals[:, i, None, None] for i in range(3))
        along = nx * dx[:, None, :] + ny * dy[:, :, None] + nz * dz
        rho2 = (dx**2)[:, None, :] + (dy**2)[:, :, None] + dz**2 + self.radius**2
        strength = self.radius**2 * rho2.pow(-1.5)
        bend = 1.5 * along / rho2
        real = strength * (nx + bend * (dx[:, None, :] - along * nx))
        imaginary = -strength * (ny + bend * (dy[:, :, None] - along * ny))
        maps = torch.complex(real, imaginary) * self.gains[:, None, None]
        rss = _root_sum_of_squares(maps)
        shading = (rss / rss.mean()).pow(self.shading)
        shading /= shading[(y**2)[:, None] + x**2 < 0.49].mean()
        return maps * (shading / rss)


def draw_receiver(generator: torch.Generator, n_coils: int | None = None) -> Receiver:
    """Draw a scanner; without `n_coils`, with 8 to 16 coils. `generator` is one of the CPU."""

    def uniform(low: float, high: float, *shape: int) -> Tensor:
        return low + (high - low) * torch.rand(shape, generator=generator)

    def logarithmic(low: float, high: float) -> float:
        return math.exp(float(uniform(math.log(low), math.log(high))))

    low, high = _N_COILS
    drawn = int(torch.randint(low, high + 1, (), generator=generator))
    coils = torch.arange(n_coils or drawn)
    per_ring = math.ceil(len(coils) / int(torch.randint(2, 4, (), generator=generator)))
    angle = 2 * math.pi * (coils + 0.5 * (coils // per_ring) + uniform(-0.25, 0.25, len(coils))) / per_ring
    angle = angle + 2 * math.pi * uniform(0, 1)
    height = 0.4 - (coils // per_ring) * uniform(0.5, 1.1) + uniform(-0.15, 0.15, len(coils))
    outward = torch.stack([torch.cos(angle), torch.sin(angle), torch.zeros(len(coils))], dim=1)
    around = torch.stack([uniform(0.8, 1.1), uniform(0.95, 1.25), torch.ones(())])
    places = around * outward
    places[:, 2] = height
    tilted = -outward + 0.15 * torch.randn(len(coils), 3, generator=generator)
    gains = torch.polar(
        torch.exp(0.25 * torch.randn(len(coils), generator=generator)), uniform(0, 2 * math.pi, len(coils))
    )
    return Receiver(
        places=places,
        normals=tilted / torch.linalg.vector_norm(tilted, dim=1, keepdim=True),
        gains=gains,
        radius=float(uniform(0.3, 0.55)),
        shading=float(uniform(0, 1)),
        phase=_coarse_phase(generator),
        mixing=_mixing(len(coils), generator) / logarithmic(*_SNR),
        scale=logarithmic(*_SCALE),
    )


def simulate_scan(
    image: Tensor, receiver: Receiver, generator: torch.Generator, height: float = 0.0, *, oversampling: int = 2
) -> tuple[Tensor, Tensor]:
    """Scan a magnitude image: `y_c = F (C_c exp(i phase) x + n_c)`, target `sqrt(sum_c |C_c exp(i phase) x + n_c|^2)`.

    F is unitary, so that noise of the images is noise of k-space.

    Parameters
    ----------
    image : Tensor
        float32 `(y, x)` in units of the head's mean, on square pixels, both sizes even.
    receiver : Receiver
        The scanner.
    generator : torch.Generator
        The source of the noise, of the CPU.
    height : float
        The plane's, in units of half the field of view.
    oversampling : int
        Of the readout; with 1 it is as if it had been removed.

    Returns
    -------
    tuple of Tensor
        k-space, complex64 `(coil, ky, kx)` of size `(coil, oversampling y, x)`, and the target, float32 `(y, x)`.

    Raises
    ------
    ValueError
        If the image is no real one of two even axes.
    """
    if image.ndim != 2 or image.is_complex() or any(n % 2 for n in image.shape):
        got = f"{tuple(image.shape)} {str(image.dtype).removeprefix('torch.')}"
        raise ValueError(f"simulate_scan takes a real image (y, x) of even sizes, got {got}")
    ny, nx = image.shape
    n_coils = len(receiver.gains)
    rows = oversampling * ny
    noise = torch.randn(n_coils, rows * nx, 2, generator=generator)
    coil_images = ((receiver.scale * receiver.mixing) @ torch.view_as_complex(noise)).reshape(n_coils, rows, nx)
    middle = coil_images[:, (rows - ny) // 2 : (rows + ny) // 2]
    # An alternating sign before the transform and one after it center it; the noise is as random with the sign as without.
    middle += receiver.maps((ny, nx), height) * torch.polar(image * receiver.scale, receiver.phases((ny, nx))).mul_(
        _signs(ny, nx)
    )
    target = _root_sum_of_squares(middle)
    kspace = torch.fft.fft2(coil_images, norm="ortho")
    kspace *= _signs(rows, nx)
    return kspace, target


def _root_sum_of_squares(images: Tensor) -> Tensor:
    """Give that over the first axis, several times faster than `vector_norm` along it."""
    return torch.view_as_real(images).square().sum(dim=(0, -1)).sqrt()


def _signs(ny: int, nx: int) -> Tensor:
    """Give `(-1)^(y - ny // 2 + x - nx // 2)`, `(y, x)`."""
    signs: Tensor = 1.0 - 2.0 * (((torch.arange(ny) - ny // 2)[:, None] + torch.arange(nx) - nx // 2) % 2)
    return signs


def _coarse_phase(generator: torch.Generator) -> Tensor:
    """Draw 5 x 5 phases: independent ones of up to 0.6 radians in standard deviation, and a slope of up to pi over the field."""
    strength, up, right = torch.rand(3, generator=generator)
    ramp = torch.linspace(-1, 1, 5) * math.pi / 2
    slopes = (2 * up - 1) * ramp[:, None] + (2 * right - 1) * ramp
    phase: Tensor = slopes + 0.6 * strength * torch.randn(5, 5, generator=generator)
    return phase


def _mixing(n_coils: int, generator: torch.Generator) -> Tensor:
    """Draw a matrix that correlates noise by 0.1 in the mean, and makes it differ between coils by a tenth."""
    crossed = torch.randn(n_coils, n_coils, dtype=torch.complex64, generator=generator)
    matrix = torch.eye(n_coils) + 0.08 * crossed
    levels = torch.exp(0.1 * torch.randn(n_coils, generator=generator))
    mixing: Tensor = levels[:, None] * matrix / torch.linalg.vector_norm(matrix, dim=1, keepdim=True)
    return mixing
