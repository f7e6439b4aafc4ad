"""What every file of raw k-space is, whatever its format."""

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import numpy as np
from torch import Tensor

from medrecon.data.mri.fastmri import KSpaceSample
from medrecon.data.mri.fastmri_header import FastMRIHeader

__all__ = ["KSpaceFile"]


class KSpaceFile(Protocol):
    """K-space of one scan, read one slice at a time: `file[i]` gives a `KSpaceSample`, and no handle is held between reads.

    `header` states what the scanner says: fields of view in millimeters, matrices, acquisition.
    """

    @property
    def path(self) -> Path: ...
    @property
    def shape(self) -> tuple[int, int, int, int]:
        """`(slice, coil, ky, kx)`; the readout runs along ky."""
        ...

    @property
    def dtype(self) -> np.dtype[np.generic]: ...
    @property
    def matrix(self) -> tuple[int, int]:
        """`(y, x)` to crop images to."""
        ...

    @property
    def oversampling(self) -> float:
        """That of the readout."""
        ...

    @property
    def padding(self) -> tuple[int, int] | None:
        """Lines outside `left <= kx < right` were never acquired by the scanner; None where that is not stated."""
        ...

    @property
    def header(self) -> FastMRIHeader: ...
    @property
    def has_header(self) -> bool: ...
    @property
    def has_mask(self) -> bool:
        """Whether the file states which samples were acquired."""
        ...

    @property
    def calibration_name(self) -> str | None:
        """What k-space of a calibration is called that the file holds beside its own; it is not read."""
        ...

    @property
    def target_name(self) -> str | None:
        """What the reconstruction is called that the file holds."""
        ...

    @property
    def noise_covariance(self) -> Tensor | None:
        """That of the coils, complex `(coil, coil)`, as readouts without excitation tell it; None where there are none."""
        ...

    @property
    def notes(self) -> tuple[str, ...]:
        """What was assumed of it."""
        ...

    def __len__(self) -> int: ...
    def __iter__(self) -> Iterator[KSpaceSample]: ...
    def __getitem__(self, index: int, /) -> KSpaceSample: ...
