"""Instance normalization and leaky ReLU of channels-last images in two passes, compiled for the CPU.

Pixels are taken in rows of several, so that the innermost loop is long whatever the number of channels. Sums are in double
precision and of fixed blocks of pixels: they do not depend on the number of threads. bfloat16, which numpy lacks, comes as its
bits in uint16: each number is computed with in single precision and rounded to the nearest once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from medrecon.operators.kernels.compiled import compiled
from medrecon.operators.kernels.threads import ranges, run_all

__all__ = ["backward", "forward"]

Floats = NDArray[Any]

_BLOCK = 4096  # pixels, what a core keeps in its cache
_ROW = 256  # numbers that the innermost loop takes at once, about


def forward(x: Floats, eps: float, slope: float) -> Floats:
    """Replace `x`, `(n, pixel, channel)`, by `leaky((x - mean) / std)`; gives `1 / std`, `(n, channel)`."""
    pixels, real = x.shape[1], _computed_in(x)
    moments, activate = (_moments_of_bits, _activate_bits) if x.dtype == np.uint16 else (_moments, _activate)
    first, second = _sums(lambda block, sums: moments(x[block].reshape(-1), sums), x.shape)
    mean = first / pixels
    inverse = 1 / np.sqrt(np.maximum(second / pixels - mean**2, 0) + eps)
    scale, center = _tiled(inverse.astype(real)), _tiled(mean.astype(real))
    _each_block(
        lambda _, block: activate(x[block].reshape(-1), scale[block[0]], center[block[0]], real(slope)), x.shape
    )
    found: Floats = inverse.astype(real)
    return found


def backward(y: Floats, inverse: Floats, gradient: Floats, slope: float) -> Floats:
    """The gradient by the input, from the output `y` alone, which a leaky ReLU lets one turn back."""
    pixels, real = y.shape[1], _computed_in(y)
    of_bits = y.dtype == np.uint16
    moments = _gradient_moments_of_bits if of_bits else _gradient_moments
    input_gradient = _input_gradient_bits if of_bits else _input_gradient
    first, second = _sums(
        lambda block, sums: moments(y[block].reshape(-1), gradient[block].reshape(-1), real(slope), sums),
        y.shape,
    )
    mean, correlation = _tiled((first / pixels).astype(real)), _tiled((second / pixels).astype(real))
    scale, out = _tiled(inverse), np.empty_like(gradient)

    def work(_: int, block: tuple[int, slice]) -> None:
        n = block[0]
        flat = y[block].reshape(-1), gradient[block].reshape(-1), out[block].reshape(-1)
        input_gradient(*flat, scale[n], mean[n], correlation[n], real(slope))

    _each_block(work, y.shape)
    return out


def _computed_in(x: Floats) -> Any:
    return np.float32 if x.dtype == np.uint16 else x.dtype.type


def _each_block(work: Callable[[int, tuple[int, slice]], None], shape: tuple[int, ...]) -> None:
    """Call `work(number, (n, pixels))` for every block of pixels."""
    n_blocks = -(-shape[1] // _BLOCK)
    count = shape[0] * n_blocks

    def some(start: int, stop: int) -> None:
        for number in range(start, stop):
            n, block = divmod(number, n_blocks)
            work(number, (n, slice(block * _BLOCK, (block + 1) * _BLOCK)))

    run_all(some, ranges(count, max(1, -(-count // (4 * torch.get_num_threads())))))


def _sums(add: Callable[[tuple[int, slice], Floats], None], shape: tuple[int, ...]) -> tuple[Floats, Floats]:
    """Two sums over the pixels, `(n, channel)` each, from the rows of sums that `add` fills for each block."""
    n, pixels, channels = shape
    sums = np.zeros((n * -(-pixels // _BLOCK), 2, _rows(channels) * channels))
    _each_block(lambda number, block: add(block, sums[number]), shape)
    first, second = sums.reshape(n, -1, 2, _rows(channels), channels).sum((1, 3)).transpose(1, 0, 2)
    return first, second


def _rows(channels: int) -> int:
    return max(1, _ROW // channels)


def _tiled(values: Floats) -> Floats:
    return np.tile(values, (1, _rows(values.shape[1])))


@compiled
def _moments(x: Floats, sums: Floats) -> None:
    size = sums.shape[1]
    for start in range(0, x.size, size):
        row = x[start : start + size]
        for j in range(row.size):
            value = np.float64(row[j])
            sums[0, j] += value
            sums[1, j] += value * value


@compiled
def _activate(x: Floats, scale: Floats, center: Floats, slope: Any) -> None:
    size = scale.size
    for start in range(0, x.size, size):
        row = x[start : start + size]
        for j in range(row.size):
            value = (row[j] - center[j]) * scale[j]
            row[j] = value if value > 0 else value * slope


@compiled
def _gradient_moments(y: Floats, gradient: Floats, slope: Any, sums: Floats) -> None:
    size, inverse_slope = sums.shape[1], 1 / slope
    for start in range(0, y.size, size):
        row, row_gradient = y[start : start + size], gradient[start : start + size]
        for j in range(row.size):
            rising = row[j] > 0
            arriving = np.float64(row_gradient[j] if rising else row_gradient[j] * slope)
            sums[0, j] += arriving
            sums[1, j] += arriving * np.float64(row[j] if rising else row[j] * inverse_slope)


@compiled
def _input_gradient(
    y: Floats, gradient: Floats, out: Floats, scale: Floats, mean: Floats, correlation: Floats, slope: Any
) -> None:
    size, inverse_slope = scale.size, 1 / slope
    for start in range(0, y.size, size):
        row, row_gradient, row_out = (
            y[start : start + size],
            gradient[start : start + size],
            out[start : start + size],
        )
        for j in range(row.size):
            rising = row[j] > 0
            arriving = row_gradient[j] if rising else row_gradient[j] * slope
            normal = row[j] if rising else row[j] * inverse_slope
            row_out[j] = scale[j] * (arriving - mean[j] - normal * correlation[j])


@compiled
def _widened(bits: Any) -> Any:
    return np.uint32(np.uint32(bits) << np.uint32(16)).view(np.float32)


@compiled
def _narrowed(value: Any) -> Any:
    """To the nearest, ties to even."""
    bits = np.float32(value).view(np.uint32)
    return np.uint16((bits + np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))) >> np.uint32(16))


@compiled
def _moments_of_bits(x: Floats, sums: Floats) -> None:
    size = sums.shape[1]
    for start in range(0, x.size, size):
        row = x[start : start + size]
        for j in range(row.size):
            value = np.float64(_widened(row[j]))
            sums[0, j] += value
            sums[1, j] += value * value


@compiled
def _activate_bits(x: Floats, scale: Floats, center: Floats, slope: Any) -> None:
    size = scale.size
    for start in range(0, x.size, size):
        row = x[start : start + size]
        for j in range(row.size):
            value = (_widened(row[j]) - center[j]) * scale[j]
            row[j] = _narrowed(value if value > 0 else value * slope)


@compiled
def _gradient_moments_of_bits(y: Floats, gradient: Floats, slope: Any, sums: Floats) -> None:
    size, inverse_slope = sums.shape[1], 1 / slope
    for start in range(0, y.size, size):
        row, row_gradient = y[start : start + size], gradient[start : start + size]
        for j in range(row.size):
            value, given = _widened(row[j]), _widened(row_gradient[j])
            arriving = np.float64(given if value > 0 else given * slope)
            sums[0, j] += arriving
            sums[1, j] += arriving * np.float64(value if value > 0 else value * inverse_slope)


@compiled
def _input_gradient_bits(
    y: Floats, gradient: Floats, out: Floats, scale: Floats, mean: Floats, correlation: Floats, slope: Any
) -> None:
    size, inverse_slope = scale.size, 1 / slope
    for start in range(0, y.size, size):
        row, row_gradient = y[start : start + size], gradient[start : start + size]
        row_out = out[start : start + size]
        for j in range(row.size):
            value, given = _widened(row[j]), _widened(row_gradient[j])
            arriving = given if value > 0 else given * slope
            normal = value if value > 0 else value * inverse_slope
            row_out[j] = _narrowed(scale[j] * (arriving - mean[j] - normal * correlation[j]))
