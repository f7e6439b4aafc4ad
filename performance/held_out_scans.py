"""Scans that are unlike each other, for `held_out_weights.py`: simulated from a folder of images, measured, and of phantoms.

People are of validation or of test, never of both: choices are made on the former, and the table shows the latter.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import nibabel
import numpy as np
import torch
from torch import Tensor

from medrecon.data.ct.attenuation import attenuation_from_hounsfield
from medrecon.data.ct.lodopab import LoDoPaBFile
from medrecon.data.ct.phantoms import ABDOMEN_FIELD, abdomen_volume
from medrecon.data.ct.photons import count_photons
from medrecon.data.mri.fastmri import FastMRIFile, KSpaceSample
from medrecon.data.mri.masks import SamplingMask, equispaced_fraction_mask, random_mask
from medrecon.data.mri.noise import add_noise_of_sigma
from medrecon.data.mri.receivers import draw_receiver, simulate_scan
from medrecon.data.mri.variable_density import gaussian_mask, poisson_mask, radial_mask
from medrecon.data.phantoms.mri_phantoms import brain, shepp_logan
from medrecon.data.sets.fetch import path
from medrecon.geometry import Arc, FanBeam, Geometry, Grid, ParallelBeam
from medrecon.metrics import psnr, ssim
from medrecon.modality import Modality
from medrecon.operators import LinearOperator, Radon
from medrecon.problem import Problem, full_reconstruction, sense_problem, undersample

__all__ = ["CTCase", "Case", "MRICase", "Posed", "cases"]

PARTS = ("validation", "test")
Score = tuple[float, float]


@dataclass(frozen=True, eq=False)
class Posed:
    """A problem, the image that it is scored against, and the noise of its measurements where it is known."""

    problem: Problem
    target: Tensor
    variance: Tensor | None = None  # of a real number of `y`; it broadcasts against it

    def score(self, x: Tensor) -> Score:
        """PSNR and SSIM by the protocol of the modality: the range is the target's maximum, in CT less its minimum."""
        image = self.problem.display_image(x).reshape(self.target.shape)
        low = 0.0 if x.is_complex() else float(self.target.min())
        spread = float(self.target.max()) - low
        return psnr(image, self.target, data_range=spread), ssim(image, self.target, data_range=spread)


@dataclass(frozen=True, kw_only=True)
class MRICase:
    """K-space of one image: `field` is the width of the field of view over that of the head, which wraps below 1."""

    group: str
    source: str
    coils: int = 8
    snr: float = 60.0
    field: float = math.inf
    mask: str = "equispaced"
    acceleration: float = 4.0
    modality = Modality.MRI

    def pose(self, folder: Path, part: str, number: int) -> Posed:
        seed = 1000 * PARTS.index(part) + number
        generator = torch.Generator().manual_seed(seed)
        sample = _measured(folder, self.source, part)
        variance = None
        if sample is None:
            sample, sigma = self._simulated(_head(folder, self.source, part, number), generator)
            variance = torch.tensor(sigma**2)
        ny, nx = sample.kspace.shape[-2:]
        mask = _mask(self.mask, (ny, nx), self.acceleration, seed)
        return Posed(sense_problem(undersample(sample, mask)), full_reconstruction(sample), variance)

    def _simulated(self, image: Tensor, generator: torch.Generator) -> tuple[KSpaceSample, float]:
        receiver = draw_receiver(generator, self.coils)
        receiver = replace(receiver, mixing=torch.zeros_like(receiver.mixing), scale=1.0)
        kspace, _ = simulate_scan(image, receiver, generator, oversampling=1)
        seen = (image > 0.1 * image.max()).any(0).nonzero()
        width = 2 * round(min(self.field * float(seen.max() - seen.min() + 1), image.shape[1]) / 2)
        kspace = _folded(kspace, width)
        sigma = 1 / self.snr
        kspace = add_noise_of_sigma(kspace, sigma, generator)
        return KSpaceSample.full(kspace, None, (kspace.shape[-2], kspace.shape[-1]), self.group), sigma

    def __str__(self) -> str:
        wrapped = f", field {self.field:g}" if self.field < 1 else ""
        simulated = "" if self.source in ("ulf", "axt2") else f", {self.coils} coils, SNR {self.snr:g}"
        return f"{self.group}: {self.source}{simulated}{wrapped}, {self.mask} {self.acceleration:g}x"


@dataclass(frozen=True, kw_only=True)
class CTCase:
    """Line integrals of one image."""

    group: str
    source: str
    views: int
    photons: float
    fan: bool = False
    modality = Modality.CT

    def pose(self, folder: Path, part: str, number: int) -> Posed:
        seed = 1000 * PARTS.index(part) + number
        fine, pixel = _section(folder, self.source, part, number)
        small = fine.reshape(128, fine.shape[0] // 128, 128, -1).mean((1, 3))
        grid = Grid((128, 128), pixel * fine.shape[0] / 128)
        clean = Radon(Grid(tuple(fine.shape), pixel), self._geometry(grid))(fine)
        y = count_photons(clean, self.photons, torch.Generator().manual_seed(seed))
        A: LinearOperator = Radon(grid, self._geometry(grid))
        return Posed(Problem(y, A, grid.shape), small, torch.exp(clean) / self.photons)

    def _geometry(self, grid: Grid) -> Geometry:
        bins = math.ceil(math.hypot(*grid.shape))
        if self.fan:
            distance = 3 * grid.radius
            return FanBeam(Arc.full_turn(self.views), 2 * bins, 2.4 * grid.radius / bins, distance, distance)
        return ParallelBeam(Arc.half_turn(self.views), bins, 2 * grid.radius / bins)

    def __str__(self) -> str:
        beam = "fan of " if self.fan else ""
        return f"{self.group}: {self.source}, {beam}{self.views} views, {self.photons:g} photons"


Case = MRICase | CTCase

MRI_CASES = (
    MRICase(group="usual", source="t1", coils=8, snr=60),
    MRICase(group="usual", source="clinical", coils=12, snr=100, mask="random"),
    MRICase(group="usual", source="3t", coils=16, snr=40),
    MRICase(group="usual", source="stripped", coils=10, snr=80, mask="equispaced", acceleration=8),
    MRICase(group="low factor", source="t1", coils=8, snr=100, acceleration=2),
    MRICase(group="low factor", source="clinical", coils=6, snr=30, mask="gaussian", acceleration=3),
    MRICase(group="noisy", source="t1", coils=8, snr=15),
    MRICase(group="noisy", source="clinical", coils=16, snr=20, mask="random", acceleration=6),
    MRICase(group="noisy", source="3t", coils=4, snr=15, mask="poisson", acceleration=3),
    MRICase(group="wrapped", source="t1", coils=8, snr=60, field=0.8),
    MRICase(group="wrapped", source="clinical", coils=8, snr=100, field=0.7, mask="random"),
    MRICase(group="wrapped", source="3t", coils=16, snr=60, field=0.85, acceleration=3),
    MRICase(group="wrapped", source="stripped", coils=4, snr=30, field=0.75, acceleration=2),
    MRICase(group="wrapped", source="t1", coils=20, snr=100, field=0.9),
    MRICase(group="wrapped", source="clinical", coils=12, snr=40, field=0.8, mask="poisson", acceleration=6),
    MRICase(group="points", source="t1", coils=8, snr=60, mask="poisson", acceleration=6),
    MRICase(group="points", source="clinical", coils=8, snr=30, mask="radial"),
    MRICase(group="points", source="3t", coils=6, snr=100, mask="poisson", acceleration=8),
    MRICase(group="few or many coils", source="clinical", coils=4, snr=60, mask="random", acceleration=3),
    MRICase(group="few or many coils", source="3t", coils=20, snr=50, acceleration=8),
    MRICase(group=".055 T", source="ulf", mask="random", acceleration=2),
    MRICase(group=".055 T", source="ulf", mask="poisson", acceleration=3),
    MRICase(group=".055 T", source="ulf", mask="gaussian", acceleration=4),
    MRICase(group="phantom", source="shepp-logan", coils=8, snr=100),
    MRICase(group="phantom", source="brain", coils=6, snr=20, mask="random"),
)
CT_CASES = (
    CTCase(group="few views", source="lung", views=30, photons=1e5),
    CTCase(group="few views", source="body", views=60, photons=1e4),
    CTCase(group="few views", source="lung", views=60, photons=1e3, fan=True),
    CTCase(group="usual", source="lung", views=360, photons=1e4),
    CTCase(group="usual", source="body", views=360, photons=1e5, fan=True),
    CTCase(group="usual", source="lodopab", views=500, photons=4096),
    CTCase(group="low dose", source="lung", views=120, photons=1e3),
    CTCase(group="low dose", source="body", views=1000, photons=1e3),
    CTCase(group="high dose", source="lung", views=1000, photons=1e5),
    CTCase(group="high dose", source="lodopab", views=120, photons=1e5),
    CTCase(group="phantom", source="abdomen", views=60, photons=1e5),
    CTCase(group="phantom", source="abdomen", views=360, photons=3e3),
)
BRAIN = MRICase(group="brain-axt2", source="axt2")


def cases(part: str, modality: Modality) -> Iterator[tuple[int, Case]]:
    """Scans of a part, numbered; the real slice of `brain-axt2`, of one person, is of the test."""
    yield from enumerate(MRI_CASES if modality is Modality.MRI else CT_CASES)
    if part == "test" and modality is Modality.MRI:
        yield len(MRI_CASES), BRAIN


def _folded(kspace: Tensor, width: int) -> Tensor:
    """The scan of a narrower field, about which its object wraps: images folded to `width` columns."""
    axes = (-2, -1)
    images = torch.fft.fftshift(torch.fft.ifft2(torch.fft.ifftshift(kspace, dim=axes), norm="ortho"), dim=axes)
    n = images.shape[-1]
    places = (torch.arange(n) - n // 2 + width // 2) % width
    folded = images.new_zeros((*images.shape[:-1], width)).index_add(-1, places, images)
    measured: Tensor = torch.fft.fftshift(torch.fft.fft2(torch.fft.ifftshift(folded, dim=axes), norm="ortho"), dim=axes)
    return measured


def _mask(kind: str, shape: tuple[int, int], acceleration: float, seed: int) -> SamplingMask:
    match kind:
        case "equispaced":
            return equispaced_fraction_mask(shape[1], acceleration, 0.32 / acceleration, seed)
        case "random":
            return random_mask(shape[1], acceleration, 0.32 / acceleration, seed)
        case "gaussian":
            return gaussian_mask(shape[1], acceleration, 0.32 / acceleration, seed)
        case "poisson":
            return poisson_mask(shape, acceleration, (16, 16), seed)
        case "radial":
            return radial_mask(shape, acceleration, seed)
    raise ValueError(kind)


def _of(part: str, people: list[str], number: int) -> str:
    """One of the people of the part: every other one."""
    mine = sorted(people)[PARTS.index(part) :: 2]
    return mine[number % len(mine)]


def _measured(folder: Path, source: str, part: str) -> KSpaceSample | None:
    """K-space as a scanner gave it, or None where the source is one of images."""
    if source == "axt2":
        return FastMRIFile(next(path("brain-axt2").rglob("*.h5")))[0]
    if source != "ulf":
        return None
    with np.load(folder / "mr_ulf_bispmri" / "kspace_0055t.npz") as file:
        name = {"validation": "F6A_0.055T_FSE", "test": "F7B_0.055T_FLAIR"}[part]
        values = file[f"{name}_kspace_postEMI"][..., 1]
    kspace = torch.from_numpy(np.ascontiguousarray(values))[None]
    peak = divmod(int(kspace.abs().argmax()), kspace.shape[-1])
    kspace = kspace.roll([n // 2 - at for n, at in zip(kspace.shape[-2:], peak, strict=True)], (-2, -1))
    return KSpaceSample.full(kspace, None, (kspace.shape[-2], kspace.shape[-1]), source)


def _head(folder: Path, source: str, part: str, number: int) -> Tensor:
    """A magnitude image of a head, of even sizes and in units of its mean."""
    if source in ("shepp-logan", "brain"):
        image = (shepp_logan() if source == "shepp-logan" else brain()).image((128, 128)).float()
    elif source == "clinical":
        files = sorted((folder / "mr_open_ms").glob("*.nii.gz"))
        person = _of(part, sorted({file.name[:9] for file in files}), number)
        mine = [file for file in files if file.name.startswith(person)]
        image = _clinical(mine[number % len(mine)])
    else:
        name, key = {
            "t1": ("mr_ds000011/t1_axial.npz", ""),
            "stripped": ("mr_ds002748_stripped/t1_axial.npz", ""),
            "3t": ("mr_ulf_bispmri/images_3t.npz", ("_3T_T2w", "_3T_FLAIR", "_3T_T1w")[number % 3]),
        }[source]
        with np.load(folder / name) as stored:
            person = _of(part, [name.removesuffix(key) for name in stored.files if name.endswith(key)], number)
            stack = stored[person + key]
        image = torch.from_numpy(stack[len(stack) // 2].astype(np.float32))
    image = _shrunk(image, 128)
    return image / image[image > 0.1 * image.max()].mean()


@cache
def _clinical(file: Path) -> Tensor:
    image = nibabel.load(file)
    assert isinstance(image, nibabel.Nifti1Pair)
    volume = np.asarray(image.dataobj, dtype=np.float32)
    return torch.from_numpy(np.ascontiguousarray(volume[:, :, volume.shape[2] // 2]))


def _shrunk(image: Tensor, size: int) -> Tensor:
    """The image at the resolution at which its larger side has at most `size` pixels; both sides even."""
    spectrum = torch.fft.fftshift(torch.fft.fft2(image))
    share = min(1.0, size / max(image.shape))
    ny, nx = (2 * int(share * n / 2) for n in image.shape)
    top, left = (image.shape[0] // 2 - ny // 2, image.shape[1] // 2 - nx // 2)
    smaller: Tensor = torch.fft.ifft2(torch.fft.ifftshift(spectrum[top : top + ny, left : left + nx])).abs()
    return smaller


def _section(folder: Path, source: str, part: str, number: int) -> tuple[Tensor, float]:
    """Attenuation in 1/mm on 256 x 256 or more pixels, and their size in millimeters."""
    if source == "abdomen":
        field = ABDOMEN_FIELD
        section = abdomen_volume().section(0.1 * PARTS.index(part))
        assert section is not None
        return section.image((512, 512)).float(), field / 512
    if source == "lodopab":
        file = LoDoPaBFile(path("lodopab-small") / f"observation_{part}_000.hdf5")
        sample = file[(7 * number) % len(file)]
        assert sample.target is not None
        return sample.target[53:309, 53:309].clone() * _disc(256), sample.grid.spacing[0]
    name = {"lung": "ct_tcga_lung", "body": "ct_covid_ny_sbu"}[source]
    with (folder / name / "index.csv").open() as lines:
        rows = list(csv.DictReader(lines))
    person = _of(part, sorted({row["patient"] for row in rows}), number)
    row = next(row for row in rows if row["patient"] == person)
    with np.load(folder / name / "hu.npz") as stored:
        hounsfield = torch.from_numpy(stored["hu"][int(row["i"])].astype(np.float32)).clamp_min(-1024)
    image = attenuation_from_hounsfield(hounsfield).clamp_min(0)
    return image.reshape(256, 2, 256, 2).mean((1, 3)), 2 * float(row["spacing"])


def _disc(n: int) -> Tensor:
    y = torch.arange(n) - (n - 1) / 2
    return ((y[:, None].square() + y.square()).sqrt() < n / 2).float()
