"""The covariance of the coils' noise, of readouts without excitation.

Kellman & McVeigh, Magn Reson Med 54:1439 (2005); the bandwidth rule is that of ISMRMRD's programs.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from medrecon.data.mri.acquisitions import Acquisitions, Heads
from medrecon.words import counted

__all__ = ["noise_of"]

_USUAL_BANDWIDTH = 0.793  # of the noise over the sampling rate, where a header does not say it
_LEAST = 1e-12  # of the largest variance: less is none
_PER_COIL = 4  # samples a coil that a covariance takes at least


def noise_of(
    acquisitions: Acquisitions, places: NDArray[np.intp], image: Heads
) -> tuple[Tensor | None, tuple[str, ...]]:
    """The covariance complex128 `(coil, coil)` of the noise in lines of the image, `E[n n^H]`, and what is said of it.

    `Psi = N N^H / (n - 1)` of all samples of noise, times `t_noise / (t_image b)` for sampling times `t` and the relative bandwidth
    `b`, as far as times are stated. Where the measurement has no readouts of noise, that before it may. None without noise of the
    same coils.

    Raises
    ------
    InputError
        If a readout cannot be read.
    """
    if len(places) == 0:
        if acquisitions.noise is None:
            return None, ()
        acquisitions = acquisitions.noise
        places = np.arange(len(acquisitions.heads))
    heads = acquisitions.heads[places]
    n_coils = int(image["active_channels"][0])
    total, count = np.zeros((n_coils, n_coils), np.complex128), 0
    if (heads["active_channels"] != n_coils).any():
        return None, (f"{counted(len(places), 'noise scan')} of other coils than the image are not used",)
    for head, samples in zip(heads, acquisitions.samples(places), strict=True):
        kept = samples[:, head["discard_pre"] : samples.shape[1] - head["discard_post"]].astype(np.complex128)
        total += kept @ kept.conj().T
        count += kept.shape[1]
    covariance = total / max(1, count - 1)
    if count < _PER_COIL * n_coils or not _is_definite(covariance):
        return None, (f"{counted(len(places), 'noise scan')} of too few samples, or of silent coils, are not used",)
    bandwidth = acquisitions.header.bandwidth or _USUAL_BANDWIDTH
    times = float(heads["sample_time_us"][0]), float(image["sample_time_us"][0])
    scale = times[0] / (times[1] * bandwidth) if min(times) > 0 and np.isfinite(times).all() else 1.0
    told = f"coils are weighted by the noise of {counted(len(places), 'noise scan')}, {count} samples each"
    return torch.from_numpy(covariance * scale), (told,)


def _is_definite(covariance: NDArray[np.complex128]) -> bool:
    if not np.isfinite(covariance).all():
        return False
    values = np.linalg.eigvalsh(covariance)
    return bool(values[0] > _LEAST * values[-1])
