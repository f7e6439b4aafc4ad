"""Values that k-space of a slice may have, whatever the format."""

import torch
from torch import Tensor

from medrecon.errors import InputError

__all__ = ["require_sound"]

_BRIGHTEST = 1e30  # of a sample: the squares of a scan must add up in single precision


def require_sound(kspace: Tensor, place: str) -> Tensor:
    """Return the largest magnitude `(ky, kx)` of real and imaginary parts over the coils of `(coil, ky, kx)`.

    Raises
    ------
    InputError
        If k-space is NaN or infinite somewhere, zero everywhere, or beyond single precision; `place` begins the sentence.
    """
    peak = torch.view_as_real(kspace).abs().amax(dim=0).amax(dim=-1)  # NaN and infinities stay, nothing underflows
    if not peak.isfinite().all():
        count = int((~peak.isfinite()).sum())
        raise InputError(f"{place}: k-space is NaN or infinite at {count} samples; leave this slice out")
    if not peak.any():
        raise InputError(f"{place}: k-space is zero everywhere; leave this slice out")
    if (largest := float(peak.max())) > _BRIGHTEST:
        raise InputError(
            f"{place}: k-space goes up to {largest:.3g}, whose energy no single precision holds; divide all of it by one number"
        )
    return peak
