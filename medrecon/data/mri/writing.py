"""Write k-space in the format of fastMRI."""

import math
import os
from collections.abc import Iterable

import torch

from medrecon.data.mri.fastmri_header import FastMRIHeader, write_header
from medrecon.data.writing import as_image, atomic_file, hdf5_file, tensor_words

__all__ = ["write_fastmri"]


def write_fastmri(
    path: str | os.PathLike[str],
    slices: Iterable[torch.Tensor],
    *,
    header: FastMRIHeader,
    targets: Iterable[torch.Tensor] | None = None,
    mask: torch.Tensor | None = None,
    overwrite: bool = False,
) -> None:
    """Write k-space slices `(coil, ky, kx)`, or `(ky, kx)` for a single-coil file, in the format of fastMRI.

    Slices and targets `(y, x)` are taken in turn, so that no more than one of each is held. A `mask`, `(kx,)` or
    `(ky, kx)`, is stored and applied. The attributes `max` and `norm` are the largest value and the Euclidean norm of
    the targets.

    Raises
    ------
    InputError
        If the file cannot be written (see `atomic_file`).
    ValueError
        If a slice or a target is of the wrong kind or shape, or there is none, or not as many targets as slices.
    """
    with atomic_file(path, overwrite=overwrite) as temporary, hdf5_file(temporary) as output:
        norm, largest = 0.0, -math.inf
        pairs = ((k, None) for k in slices) if targets is None else zip(slices, targets, strict=True)
        for kspace, target in pairs:
            if not kspace.is_complex() or kspace.ndim not in (2, 3):
                raise ValueError(f"write_fastmri takes complex slices (coil, ky, kx), got {tensor_words(kspace)}")
            values = kspace if mask is None else kspace * mask.to(kspace.device)
            output.append("kspace", values.to(torch.complex64))
            if target is not None:
                name = "reconstruction_rss" if kspace.ndim == 3 else "reconstruction_esc"
                output.append(name, as_image(target))
                norm, largest = math.hypot(norm, float(target.double().norm())), max(largest, float(target.max()))
        file = output.file
        if "kspace" not in file:
            raise ValueError("write_fastmri takes at least one slice, got none")
        file["ismrmrd_header"] = write_header(header).encode()
        file.attrs["acquisition"] = header.acquisition
        file.attrs["patient_id"] = header.patient_id
        if targets is not None:
            file.attrs["max"], file.attrs["norm"] = largest, norm
        if mask is not None:
            output.reserve(mask.numel())
            file["mask"] = mask.cpu().numpy().astype(bool)
