"""ESPIRiT coil sensitivity maps, solved on a coarse grid and interpolated."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from medrecon.calibration.crop import Crop, HardCrop
from medrecon.calibration.eigenvectors import (
    Field,
    leading_eigenpair,
    leading_eigenpair_beside,
    rest_bound,
    waves,
)
from medrecon.calibration.interpolation import interpolate_directions, lagrange_weights
from medrecon.calibration.low_resolution import zero_padded_images
from medrecon.calibration.region import center, principal_coil, require_multicoil, turn
from medrecon.spaces import root_sum_of_squares

__all__ = ["SecondSet", "espirit", "espirit_sets"]

_NODES_PER_TAP = 12  # coarse grid: 12 nodes per kernel sample; a lag then has at least 12 nodes in a period
_STRETCH = 3e-4  # interpolated unit vectors whose length is off by more than this are solved for anew
_MARGIN = 0.02  # interpolated eigenvalues are trusted to this much where they decide which pixels to solve anew
_NOISE_EDGE = 1.05  # the overlap of the patches moves the edge by up to 2 per cent
_OBJECT = 0.8  # of the mean first eigenvalue, above which a pixel is one of the object
_HARD = HardCrop()
_CHUNK = 1 << 22  # matrix entries held at a time


@torch.no_grad()
def espirit(
    kspace: Tensor,
    *,
    calibration: int | tuple[int, int] = 24,
    kernel: int = 6,
    threshold: float = 0.02,
    noise: float | Tensor = 0.0,
    crop: Crop = _HARD,
) -> Tensor:
    r"""Estimate coil maps as the leading eigenvectors of the ESPIRiT operator.

    At each pixel `r` the map is the eigenvector of the largest eigenvalue of
    `G(r) = 1/kernel^2 \sum_v v(r) v(r)^H`, where `v` runs over the right singular vectors of the calibration matrix
    with singular values above `threshold` times the largest, each zero-padded and transformed to the image.
    `G` is a trigonometric polynomial with `(2 kernel - 1)^2` coefficients, so it is solved on a coarse grid; the
    eigenvectors are interpolated, and pixels where that is not accurate (two maps crossing) are solved one by one.

    Maps have a root-sum-of-squares of one (times the weight of `crop`). Their phase makes the combination of coils that
    holds most energy of the calibration block real and positive.

    Parameters
    ----------
    kspace
        `(..., coil, ky, kx)`, fully sampled in the calibration block; its scale does not matter.
    calibration
        Samples of the block centered on DC, for both axes or as `(ky, kx)`; at most those that there are.
    kernel
        Samples of the kernel along each axis.
    threshold
        Smallest singular value that is kept, relative to the largest.
    noise
        Standard deviation of the complex noise in k-space, one number or one a slice `(...)`. Singular values that such
        noise alone would reach are dropped, too.
    crop
        `HardCrop(threshold)` or `SoftCrop(threshold)`.

    Returns
    -------
    Tensor
        Maps `(..., coil, y, x)` in the dtype of `kspace`; zero for a slice whose calibration block is zero.

    Raises
    ------
    ValueError
        If `kspace` is not complex multi-coil k-space or not finite in the block, or the block is smaller than `kernel`.

    References
    ----------
    M. Uecker et al., ESPIRiT: an eigenvalue approach to autocalibrating parallel MRI, Magn. Reson. Med. 71 (2014).
    """
    settings = _Settings(calibration, kernel, threshold, crop)
    return _solve_slices("espirit", kspace, settings, noise, None)[0]


@dataclass(frozen=True)
class SecondSet:
    """When one set of maps is not enough: a second eigenvalue above `level` in more than `share` of the object's energy.

    The object is where the first eigenvalue is above 0.8 and the low-resolution image has more than `floor` of its mean energy;
    `level` and that are relative to the first eigenvalue's mean over the image's energy, which is below 1 where few calibration
    lines were measured. All is looked at on the coarse grid, where edges that nearly meet across the border of the field look like
    two to a kernel. The numbers were chosen on heads and phantoms in 4 to 32 coils, of signal-to-noise ratios from 15 to 100.
    """

    level: float = 0.6
    share: float = 0.065
    floor: float = 0.5


@torch.no_grad()
def espirit_sets(
    kspace: Tensor,
    *,
    calibration: int | tuple[int, int] = 24,
    kernel: int = 6,
    threshold: float = 0.02,
    noise: float | Tensor = 0.0,
    crop: Crop = _HARD,
    rule: SecondSet | None = SecondSet(),
) -> tuple[Tensor, Tensor | None]:
    """Estimate coil maps as `espirit`, and a second set of them, of the second eigenvectors, where one does not suffice.

    An object that is wider than its field of view lies twice in a pixel, and the coils see the two in different ways.

    Parameters
    ----------
    kspace, calibration, kernel, threshold, noise, crop
        as `espirit` takes them; `crop` is for both sets.
    rule
        when a slice gets a second set; None for never.

    Returns
    -------
    tuple
        The maps of `espirit`; and the second ones, orthogonal to them at each pixel, with zeros for slices that need none, or None
        where no slice does.
    """
    settings = _Settings(calibration, kernel, threshold, crop)
    return _solve_slices("espirit_sets", kspace, settings, noise, rule)


@dataclass(frozen=True)
class _Settings:
    """What both functions take; see `espirit`."""

    calibration: int | tuple[int, int]
    kernel: int
    threshold: float
    crop: Crop


def _solve_slices(
    who: str, kspace: Tensor, settings: _Settings, noise: float | Tensor, rule: SecondSet | None
) -> tuple[Tensor, Tensor | None]:
    require_multicoil(who, kspace)
    kernel = settings.kernel
    size = _block_size(kspace, settings.calibration, kernel)
    if not 0 < settings.threshold < 1:
        raise ValueError(f"{who} takes a threshold between 0 and 1, got {settings.threshold}")
    block = center(kspace, size)
    if not bool(torch.isfinite(block).all()):
        raise ValueError(f"{who} takes finite k-space, got NaN or infinity in its {size[0]} x {size[1]} center")
    slices = block.reshape(-1, *block.shape[-3:])
    levels = torch.as_tensor(noise).expand(kspace.shape[:-3]).flatten().tolist()
    maps = kspace.new_zeros(slices.shape[0], *kspace.shape[-3:])
    second: Tensor | None = None
    for n, (one, level) in enumerate(zip(slices, levels, strict=True)):
        scale = float(one.abs().max())
        if scale == 0:
            continue
        lags = _autocorrelation(_signal_kernels(one / scale, kernel, settings.threshold, level / scale))
        solver = _Solver(lags, one / scale, (kspace.shape[-2], kspace.shape[-1]), settings.crop)
        maps[n] = solver.first
        if rule is not None and solver.needs_two(rule):
            second = torch.zeros_like(maps) if second is None else second
            second[n] = solver.second
    return maps.reshape(kspace.shape), None if second is None else second.reshape(kspace.shape)


def _block_size(kspace: Tensor, calibration: int | tuple[int, int], kernel: int) -> tuple[int, int]:
    wanted = (calibration, calibration) if isinstance(calibration, int) else calibration
    size = (min(wanted[0], kspace.shape[-2]), min(wanted[1], kspace.shape[-1]))
    if not 0 < kernel <= min(size):
        raise ValueError(
            f"espirit takes a calibration block at least as large as its kernel, got a block of {size[0]} x {size[1]} "
            f"(ky x kx) and kernel={kernel}: use more calibration lines, a smaller kernel, or low_resolution_maps"
        )
    return size


@dataclass(frozen=True, eq=False)
class _Solver:
    """The maps `(coil, y, x)` of the operator with coefficients `lags`, which come of the calibration `block`."""

    lags: Tensor
    block: Tensor
    shape: tuple[int, int]
    crop: Crop

    @cached_property
    def _reference(self) -> Tensor:
        """The coils `(coil)` that fix the phase."""
        return principal_coil(self.block)

    @property
    def _kernel(self) -> int:
        return self.lags.shape[0] // 2

    @cached_property
    def _nodes(self) -> tuple[int, int]:
        most = _NODES_PER_TAP * self._kernel
        return min(self.shape[0], most), min(self.shape[1], most)

    @cached_property
    def _weights(self) -> list[Tensor]:
        like = self.lags.real
        return [lagrange_weights(n, m, like=like) for n, m in zip(self.shape, self._nodes, strict=True)]

    def _field(self, shape: tuple[int, int]) -> Field:
        return Field(self.lags, *(waves(n, self._kernel, self.lags) for n in shape))

    @cached_property
    def _matrices(self) -> Tensor:
        return self._field(self._nodes).everywhere()

    @cached_property
    def _coarse(self) -> tuple[Tensor, Tensor]:
        return leading_eigenpair(self._matrices)

    @cached_property
    def _fine(self) -> tuple[Tensor, Tensor, Tensor]:
        """Vectors `(y, x, coil)`, their eigenvalues and their lengths `(y, x)`."""
        vectors, values = self._coarse
        maps = interpolate_directions(vectors, *self._weights)
        values = self._weights[0] @ values @ self._weights[1].mT
        length = root_sum_of_squares(maps, -1).clamp_min(torch.finfo(values.dtype).tiny)
        doubtful = ((length - 1).abs() > _STRETCH) & (self.crop(values + _MARGIN) > 0)
        for y, x, matrices in self._matrices_at(doubtful):
            maps[y, x], values[y, x] = leading_eigenpair(matrices)
            length[y, x] = 1
        return maps, values, length

    def _matrices_at(self, pixels: Tensor) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """Yield rows, columns and matrices of the pixels that are true, some at a time."""
        field = self._field(self.shape)
        chunk = max(1, _CHUNK // len(self._reference) ** 2)
        rows, columns = torch.nonzero(pixels, as_tuple=True)
        for y, x in zip(torch.split(rows, chunk), torch.split(columns, chunk), strict=True):
            yield y, x, field.at(y, x)

    @property
    def first(self) -> Tensor:
        return self._weighted(*self._fine)

    def _weighted(self, maps: Tensor, values: Tensor, length: Tensor) -> Tensor:
        factor = turn(maps @ self._reference.conj()) * (self.crop(values) / length)
        weighted: Tensor = maps * factor[..., None]
        return weighted.movedim(-1, 0)

    @cached_property
    def _rest(self) -> Tensor:
        """What the second eigenvalue is at most, at each node."""
        return rest_bound(self._matrices, self._coarse[1])

    def needs_two(self, rule: SecondSet) -> bool:
        """Whether more of the object's energy shows two maps than the rule allows."""
        vectors, values = self._coarse
        energy = zero_padded_images(self.block, self._nodes).abs().square().sum(0)
        usual = float((values * energy).sum() / energy.sum())
        inside = (values > _OBJECT * usual) & (energy > rule.floor * energy.mean())
        least, level = rule.share * float(energy[inside].sum()), rule.level * usual
        doubtful = inside & (self._rest > level)
        if float(energy[doubtful].sum()) <= least:
            return False
        _, second = leading_eigenpair_beside(self._matrices[doubtful], vectors[doubtful])
        return float(energy[doubtful][second > level].sum()) > least

    @property
    def second(self) -> Tensor:
        """The second maps, where there is more than the crop takes away."""
        first, _, length = self._fine
        maps, values = torch.zeros_like(first), torch.zeros_like(length)
        at_most = self._weights[0] @ self._rest @ self._weights[1].mT
        for y, x, matrices in self._matrices_at(self.crop(at_most + _MARGIN) > 0):
            maps[y, x], values[y, x] = leading_eigenpair_beside(matrices, first[y, x] / length[y, x][:, None])
        return self._weighted(maps, values, torch.ones_like(length))


def _signal_kernels(block: Tensor, kernel: int, threshold: float, noise: float) -> Tensor:
    """Return an orthonormal basis `(basis, coil, kernel, kernel)` of the patches of `(coil, ky, kx)` above the noise.

    The largest singular value of a noise matrix is about `noise (sqrt(rows) + sqrt(columns))`. The smaller Gram matrix
    of the calibration matrix is decomposed, in double precision as it squares the singular values.
    """
    patches = block.to(torch.complex128).unfold(1, kernel, 1).unfold(2, kernel, 1)
    matrix = patches.permute(1, 2, 0, 3, 4).flatten(0, 1).flatten(1)
    wide = matrix.shape[0] < matrix.shape[1]
    energy, vectors = torch.linalg.eigh(matrix @ matrix.mH if wide else matrix.mH @ matrix)
    floor = _NOISE_EDGE * noise * (math.sqrt(matrix.shape[0]) + math.sqrt(matrix.shape[1]))
    largest = float(energy[-1])
    kept = energy >= min(max(threshold**2 * largest, floor**2), largest)
    basis = vectors[:, kept].mH
    if wide:
        basis = (basis @ matrix) / energy[kept].sqrt()[:, None]
    kernels: Tensor = basis.reshape(-1, block.shape[0], kernel, kernel).to(block.dtype)
    return kernels


def _autocorrelation(kernels: Tensor) -> Tensor:
    """Return `1/k^2 sum_v sum_m v_a(m + l) conj(v_b(m))` as `(lag y, lag x, a, b)`, lags `l` from -k to k - 1."""
    k = kernels.shape[-1]
    spectra = torch.fft.fft2(kernels, s=(2 * k, 2 * k)).permute(2, 3, 1, 0)
    lags: Tensor = torch.fft.fftshift(torch.fft.ifft2(spectra @ spectra.mH, dim=(0, 1)), dim=(0, 1)) / k**2
    return lags
