"""One slice of a fastMRI brain scan, from the arrays of MIRTorch's example to a file in fastMRI's format."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from medrecon.data.foreign import reading
from medrecon.data.mri.fastmri_header import make_header
from medrecon.data.mri.writing import write_fastmri
from medrecon.errors import InputError

__all__ = ["convert_brain_axt2"]

KSPACE_SHAPE = (16, 768, 396)
MATRIX = (320, 320)
FULL_SCALE = 32767.0


def convert_brain_axt2(arrays: Path, output: Path) -> None:
    """Write the k-space of ``AXT2_210_6001736_layer11.npz`` as a fastMRI file of one slice `(1, 16, 768, 396)`.

    The arrays `k_r` and `k_i` are int16 `(coil, ky, kx)`: k = (k_r + i k_i) / 32767, the scale of the archive's own
    example (the scanner's is not told). The DC sample lies at (384, 198), that is n // 2; ky is the oversampled
    readout; the unitary centered inverse transform gives the head in the middle, in the orientation in which fastMRI
    stores it. The target is the central 320 x 320 of the root-sum-of-squares image, which holds the whole head. The
    field of view and the patient's number are not in the archive: the header states no lengths, and `patient_id` is
    "unknown".

    Raises
    ------
    InputError
        If the arrays are not the ones described.
    """
    kspace = torch.complex(_read(arrays, "k_r"), _read(arrays, "k_i"))
    header = make_header(KSPACE_SHAPE[1:], MATRIX, acquisition="AXT2", patient_id="unknown")
    header = replace(header, encoded_fov=None, recon_fov=None)
    write_fastmri(output, [kspace], header=header, targets=[_target(kspace, MATRIX)])


def _read(arrays: Path, name: str) -> torch.Tensor:
    with reading(arrays, f"its array '{name}'", "fetch it again"), np.load(arrays, allow_pickle=False) as stored:
        values = stored[name]
    if values.shape != KSPACE_SHAPE or values.dtype != np.int16:
        raise InputError(f"{arrays}: '{name}' is {values.shape} {values.dtype}, not {KSPACE_SHAPE} int16")
    return torch.from_numpy(values.astype(np.float32)) / FULL_SCALE


def _target(kspace: torch.Tensor, matrix: Sequence[int]) -> torch.Tensor:
    """Return the central `matrix` of sqrt(sum over coils of |F^H k|^2), for k-space `(coil, ky, kx)`."""
    axes = (-2, -1)
    coil_images = torch.fft.fftshift(torch.fft.ifft2(torch.fft.ifftshift(kspace, dim=axes), norm="ortho"), dim=axes)
    image: torch.Tensor = torch.linalg.vector_norm(coil_images, dim=0)
    top, left = ((size - wanted) // 2 for size, wanted in zip(image.shape, matrix, strict=True))
    return image[top : top + matrix[0], left : left + matrix[1]]
