"""Convolution of the views of a sinogram along the detector."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import final

import numpy as np
import torch
from torch import Tensor

from medrecon.operators.kernels.threads import ranges, run_all
from medrecon.operators.linear import LinearOperator
from medrecon.spaces import Space

__all__ = ["DetectorFilter"]

_VIEWS = 64  # that a thread takes at a time


@final
@dataclass(frozen=True, eq=False, repr=False)
class DetectorFilter(LinearOperator):
    """Convolution with an even kernel along the last axis, beyond whose ends the data are zero.

    `y[k] = sum_j h[|k - j|] x[j]` for `-before <= k < n + after`: a filter of infinite length also gives values beyond the ends of
    the detector. The kernel is given by its frequency response, the real discrete Fourier transform of `h` at an even length L:
    nothing wraps around as long as no lag exceeds `L / 2`.

    Parameters
    ----------
    response
        real `(L // 2 + 1,)`, from the zero frequency to that of L / 2.
    space
        of the sinograms taken, `(..., angle, detector)`.
    before, after
        values given in front of the first bin and behind the last one.

    Raises
    ------
    ValueError
        if the response is not real, or too short.
    """

    response: Tensor
    space: Space
    before: int = 0
    after: int = 0

    def __post_init__(self) -> None:
        if not self.response.is_floating_point() or self.response.ndim != 1:
            raise ValueError(
                f"DetectorFilter takes a real response with one axis, got {self.response.dtype} {tuple(self.response.shape)}"
            )
        if self.space.is_complex or min(self.before, self.after) < 0:
            raise ValueError(
                f"DetectorFilter takes a real space, and before and after of at least 0, got {self.space}, {self.before} "
                f"and {self.after}"
            )
        lag = self.space.shape[-1] - 1 + max(self.before, self.after)
        if self.length < 2 * lag or self.length < 2:
            raise ValueError(
                f"DetectorFilter on {self.space} has lags of up to {lag}, and takes a response of a length of at least "
                f"{max(lag, 1) + 1}, got {len(self.response)}: pad the kernel with zeros before its transform"
            )

    @property
    def length(self) -> int:
        """That of the periodic convolution which it is done by."""
        return 2 * (len(self.response) - 1)

    @property
    def domain(self) -> Space:
        return self.space

    @property
    def range(self) -> Space:
        *others, n = self.space.shape
        return replace(self.space, shape=(*others, self.before + n + self.after))

    def _forward(self, x: Tensor) -> Tensor:
        padded = torch.nn.functional.pad(x, (self.before, 0)) if self.before else x
        return self._filtered(padded, 0, self.range.shape[-1])

    def _adjoint(self, y: Tensor) -> Tensor:
        return self._filtered(y, self.before, self.space.shape[-1])

    def _filtered(self, x: Tensor, first: int, count: int) -> Tensor:
        """`count` values, from the one at `first`, of the periodic convolution of `x`, padded with zeros behind."""
        response = self.response.to(x)
        records = torch.is_grad_enabled() and (x.requires_grad or response.requires_grad)
        if records or x.device.type != "cpu" or torch.compiler.is_compiling():
            return _periodic(x, response)[..., first : first + count]
        return self._in_threads(x.contiguous(), response, first, count)

    def _in_threads(self, x: Tensor, response: Tensor, first: int, count: int) -> Tensor:
        """The same some views at a time, whose spectra stay in the cache, by the threads of the projectors.

        Those of torch spin for a while when they are done, and the projector that follows would wait for its processors.
        """
        kept = x.new_empty((*x.shape[:-1], count))
        source, target = x.detach().numpy().reshape(-1, x.shape[-1]), kept.numpy().reshape(-1, count)
        factors, length = response.detach().numpy(), self.length

        def work(start: int, stop: int) -> None:
            spectrum = np.fft.rfft(source[start:stop], n=length)
            spectrum *= factors
            target[start:stop] = np.fft.irfft(spectrum, n=length)[:, first : first + count]

        run_all(work, ranges(len(source), _VIEWS))
        return kept

    def _norm_bound(self) -> float | None:
        return float(self.response.detach().abs().max())


def _periodic(x: Tensor, response: Tensor) -> Tensor:
    length = 2 * (len(response) - 1)
    spectrum = torch.fft.rfft(x, n=length)
    spectrum = spectrum * response if response.requires_grad else spectrum.mul_(response)
    filtered: Tensor = torch.fft.irfft(spectrum, n=length)
    return filtered
