"""ESPIRiT coil sensitivity maps, solved on a coarse grid and interpolated."""

import math
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from medrecon.calibration.interpolation import interpolate_directions, lagrange_weights
from medrecon.calibration.region import center, principal_coil, require_multicoil, turn
from medrecon.spaces import root_sum_of_squares

__all__ = ["Crop", "HardCrop", "SoftCrop", "espirit"]

_NODES_PER_TAP = 12  # coarse grid: 12 nodes per kernel sample; a lag then has at least 12 nodes in a period
_STRETCH = 3e-4  # interpolated unit vectors whose length is off by more than this are solved for anew
_MARGIN = 0.02  # interpolated eigenvalues are trusted to this much where they decide which pixels to solve anew
_NOISE_EDGE = 1.05  # the overlap of the patches moves the edge by up to 2 per cent
_CHUNK = 1 << 22  # matrix entries held at a time
_MANY, _FEW, _REFINED = (
    24,
    16,
    2,
)  # coils, above which eigenvectors are found in few dimensions first, and refined so often


class Crop(Protocol):
    """How much of a map is kept, from the largest eigenvalue at each pixel (1: explained by the coils in full)."""

    def __call__(self, eigenvalue: Tensor, /) -> Tensor:
        """Return weights between 0 and 1, in the shape of `eigenvalue`."""
        ...


@dataclass(frozen=True)
class HardCrop:
    """Keep a map in full where the eigenvalue exceeds `threshold`, and set it to zero elsewhere."""

    threshold: float = 0.95

    def __call__(self, eigenvalue: Tensor, /) -> Tensor:
        """Return 1 or 0."""
        return (eigenvalue > self.threshold).to(eigenvalue.dtype)


@dataclass(frozen=True)
class SoftCrop:
    """Fade a map out smoothly, over an interval around `threshold` that ends at 1.

    The weight is `(1 + sin(pi t / 2)) / 2` of `t = (eigenvalue - threshold) / (1 - threshold)` clipped to [-1, 1].
    """

    threshold: float = 0.95

    def __call__(self, eigenvalue: Tensor, /) -> Tensor:
        """Return weights between 0 and 1."""
        t = ((eigenvalue - self.threshold) / (1 - self.threshold)).clamp(-1, 1)
        return (1 + torch.sin(t * (math.pi / 2))) / 2


@torch.no_grad()
def espirit(
    kspace: Tensor,
    *,
    calibration: int | tuple[int, int] = 24,
    kernel: int = 6,
    threshold: float = 0.02,
    noise: float | Tensor = 0.0,
    crop: Crop = HardCrop(),
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
    require_multicoil("espirit", kspace)
    size = _block_size(kspace, calibration, kernel)
    if not 0 < threshold < 1:
        raise ValueError(f"espirit takes a threshold between 0 and 1, got {threshold}")
    block = center(kspace, size)
    if not bool(torch.isfinite(block).all()):
        raise ValueError(f"espirit takes finite k-space, got NaN or infinity in its {size[0]} x {size[1]} center")
    slices = block.reshape(-1, *block.shape[-3:])
    levels = torch.as_tensor(noise).expand(kspace.shape[:-3]).flatten().tolist()
    maps = kspace.new_empty(slices.shape[0], *kspace.shape[-3:])
    for one, level, out in zip(slices, levels, maps, strict=True):
        scale = float(one.abs().max())
        if scale == 0:
            out.zero_()
            continue
        lags = _autocorrelation(_signal_kernels(one / scale, kernel, threshold, level / scale))
        out.copy_(_solve(lags, (kspace.shape[-2], kspace.shape[-1]), principal_coil(one / scale), crop))
    return maps.reshape(kspace.shape)


def _block_size(kspace: Tensor, calibration: int | tuple[int, int], kernel: int) -> tuple[int, int]:
    wanted = (calibration, calibration) if isinstance(calibration, int) else calibration
    size = (min(wanted[0], kspace.shape[-2]), min(wanted[1], kspace.shape[-1]))
    if not 0 < kernel <= min(size):
        raise ValueError(
            f"espirit takes a calibration block at least as large as its kernel, got a block of {size[0]} x {size[1]} "
            f"(ky x kx) and kernel={kernel}: use more calibration lines, a smaller kernel, or low_resolution_maps"
        )
    return size


def _solve(lags: Tensor, shape: tuple[int, int], reference: Tensor, crop: Crop) -> Tensor:
    """Return the maps `(coil, y, x)` of the operator with coefficients `lags`; `reference` `(coil)` fixes the phase."""
    kernel = lags.shape[0] // 2
    nodes = [min(n, _NODES_PER_TAP * kernel) for n in shape]
    field = _Field(lags, *(_waves(n, kernel, lags) for n in nodes))
    vectors, values = _leading_eigenpair(field.everywhere())

    weights = [lagrange_weights(n, m, like=values) for n, m in zip(shape, nodes, strict=True)]
    maps = interpolate_directions(vectors, weights[0], weights[1])
    values = weights[0] @ values @ weights[1].mT
    length = root_sum_of_squares(maps, -1).clamp_min(torch.finfo(values.dtype).tiny)
    doubtful = ((length - 1).abs() > _STRETCH) & (crop(values + _MARGIN) > 0)
    rows, columns = torch.nonzero(doubtful, as_tuple=True)
    field = _Field(lags, *(_waves(n, kernel, lags) for n in shape))
    chunk = max(1, _CHUNK // len(reference) ** 2)
    for y, x in zip(torch.split(rows, chunk), torch.split(columns, chunk), strict=True):
        maps[y, x], values[y, x] = _leading_eigenpair(field.at(y, x))
        length[y, x] = 1

    factor = turn(maps @ reference.conj()) * (crop(values) / length)
    weighted: Tensor = maps * factor[..., None]
    return weighted.movedim(-1, 0)


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


def _waves(n: int, kernel: int, like: Tensor) -> Tensor:
    """Return `exp(2 pi i l x)` at the pixels `x = (j - n//2) / n`, as `(pixel, lag)`."""
    lags = torch.arange(-kernel, kernel, dtype=torch.float64, device=like.device)
    x = (torch.arange(n, dtype=torch.float64, device=like.device) - n // 2) / n
    phase = 2 * math.pi * x[:, None] * lags
    return torch.polar(torch.ones_like(phase), phase).to(like.dtype)


@dataclass(frozen=True)
class _Field:
    """The matrices `G(r)` of a slice, from `lags` `(lag y, lag x, a, b)` and the waves of the rows and columns."""

    lags: Tensor
    rows: Tensor
    columns: Tensor

    def everywhere(self) -> Tensor:
        """Return `(y, x, a, b)`."""
        n, m, a, b = self.lags.shape
        half = (self.rows @ self.lags.reshape(n, -1)).reshape(-1, m, a * b)
        return (self.columns @ half).reshape(len(self.rows), len(self.columns), a, b)

    def at(self, y: Tensor, x: Tensor) -> Tensor:
        """Return `(pixel, a, b)` at the pixels `(y, x)`."""
        waves = self.rows[y][:, :, None] * self.columns[x][:, None, :]
        n, m, a, b = self.lags.shape
        return (waves.flatten(1) @ self.lags.reshape(n * m, a * b)).reshape(-1, a, b)


def _leading_eigenpair(matrices: Tensor) -> tuple[Tensor, Tensor]:
    """Return the leading eigenvectors `(..., n)` and eigenvalues `(...)` of positive semidefinite `(..., n, n)`.

    A hundred power iterations from the vector of ones, done as `G^64 G^32 G^4 1` by repeated squaring: in batches of
    small matrices far faster than a decomposition. Where two eigenvalues coincide to a percent the vector is a blend of
    both that varies smoothly over the image.
    """
    if matrices.shape[-1] > _MANY and len(matrices):
        return _leading_eigenpair_of_many(matrices)
    tiny = torch.finfo(matrices.dtype).tiny
    power = matrices
    vector = torch.ones_like(matrices[..., :1])
    for exponent in range(7):
        if exponent:
            trace = power.diagonal(dim1=-2, dim2=-1).real.sum(-1).clamp_min(tiny)
            power = power / trace[..., None, None]
            power = power @ power
        if exponent in (2, 5, 6):
            vector = _unit(power @ vector)
    value = torch.linalg.vecdot(vector, matrices @ vector, dim=-2).real
    return vector[..., 0], value[..., 0]


def _leading_eigenpair_of_many(matrices: Tensor) -> tuple[Tensor, Tensor]:
    """The same of large matrices: in the few dimensions that hold most of their mean, then some power iterations in all of them.

    Squaring costs the third power of the coils, a power iteration the second. What the few dimensions lack of an eigenvector falls
    in each iteration by the ratio of the second eigenvalue to the first.
    """
    n = matrices.shape[-1]
    flat = matrices.reshape(-1, n, n)
    some = flat[:: max(1, len(flat) // 256)]
    basis = torch.linalg.eigh(some.mean(0).to(torch.complex128)).eigenvectors[:, -_FEW:].to(flat)
    seen = flat @ basis
    vector = _unit(seen @ _leading_eigenpair(basis.mH @ seen)[0][..., None])
    for _ in range(_REFINED):
        vector = _unit(flat @ vector)
    value = torch.linalg.vecdot(vector, flat @ vector, dim=-2).real
    return vector.reshape(matrices.shape[:-1]), value.reshape(matrices.shape[:-2])


def _unit(vectors: Tensor) -> Tensor:
    length = torch.linalg.vector_norm(vectors, dim=-2, keepdim=True)
    unit: Tensor = vectors / length.clamp_min(torch.finfo(length.dtype).tiny)
    return unit
