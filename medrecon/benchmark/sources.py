"""Where the images of a scenario come from: files of data sets, and phantoms; each is read by its name and number."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import torch

from medrecon.config import CTPhantomName, MRIPhantomName
from medrecon.config.benchmark import (
    CTSource,
    FastMRISource,
    LoDoPaBSource,
    MRISource,
    PhantomCTSource,
    PhantomMRISource,
)
from medrecon.data.ct.attenuation import AttenuationUnit
from medrecon.data.ct.geometry_files import CTScan
from medrecon.data.ct.lodopab import LoDoPaB
from medrecon.data.ct.phantoms import ABDOMEN_FIELD, HEAD_FIELD, abdomen_volume, head_volume
from medrecon.data.ct.simulation import CTSimulation, simulate_sections
from medrecon.data.ct.sinograms import SinogramSample
from medrecon.data.mri.fastmri import FastMRIFile, KSpaceSample
from medrecon.data.mri.simulation import Simulation, simulate_volume
from medrecon.data.phantoms.mri_phantoms import brain_volume, shepp_logan_volume
from medrecon.data.sets.fetch import path as dataset_path
from medrecon.errors import InputError
from medrecon.findings import FindingName
from medrecon.geometry import Arc, Grid, ParallelBeam
from medrecon.memory import require_memory
from medrecon.scans.mended import MendedKSpace

__all__ = [
    "ImageReference",
    "pixel_sides",
    "read_kspace",
    "read_sinogram",
    "source_images",
    "spread",
    "volume",
]

_IMAGE_BYTES = 1000  # of an image, in lists of cases
_PHANTOM = "phantom"


@dataclass(frozen=True)
class ImageReference:
    """One image of a source: the file's name, where it lies, and the place in it."""

    file: str
    path: str
    index: int

    def generator(self, seed: int, what: str) -> torch.Generator:
        """Randomness of this image, whichever others are looked at."""
        digest = hashlib.sha256(f"{seed}/{self.file}/{self.index}/{what}".encode()).digest()
        return torch.Generator().manual_seed(int.from_bytes(digest[:7], "big"))


def source_images(source: MRISource | CTSource) -> list[ImageReference]:
    """The images of a source.

    Raises
    ------
    InputError
        If data are missing (the text says which command gets them), or a file cannot be read.
    """
    match source:
        case FastMRISource():
            return _fastmri_images(source)
        case LoDoPaBSource():
            return _lodopab_images(source)
        case PhantomMRISource() | PhantomCTSource():
            _require_modest(source)
            return [ImageReference(f"{_PHANTOM} {source.phantom}", "", index) for index in range(source.slices)]


def _require_modest(source: PhantomMRISource | PhantomCTSource) -> None:
    """Refuse phantoms of more slices than memory holds at once."""
    if isinstance(source, PhantomMRISource):
        y, x = source.size
        each = 24 * source.coils * y * x
    else:
        each = 8 * source.size * (2 * source.views + source.size)

    def fits(free: int) -> str:
        return f"{free // each} slices would fit"

    require_memory(source.slices * (each + _IMAGE_BYTES), f"data.slices: {source.slices} slices of a phantom", fits)


def spread(count: int, wanted: int | None) -> Sequence[int]:
    """Indices below `count`, at most so many, each in the middle of its share; all for None."""
    if wanted is None or wanted >= count:
        return range(count)
    return [(2 * k + 1) * count // (2 * wanted) for k in range(wanted)]


def read_kspace(source: MRISource, image: ImageReference) -> KSpaceSample:
    """Read a fully sampled slice.

    Raises
    ------
    InputError
        If it cannot be read, or is undersampled.
    """
    if isinstance(source, PhantomMRISource):
        return _mri_phantom(source)[image.index]
    sample = _fastmri(image.path, source.accept, source.allow_external)[image.index]
    if not sample.fully_sampled:
        raise InputError(
            f"{image.path}: slice {image.index} is undersampled already ({sample.true_acceleration:.2f} times); a benchmark takes "
            "fully sampled scans, so leave this file out (data.pattern)"
        )
    return sample


def read_sinogram(source: CTSource, image: ImageReference) -> SinogramSample:
    """Read a sinogram with its target.

    Raises
    ------
    InputError
        If it cannot be read, or has no target.
    """
    if isinstance(source, PhantomCTSource):
        return _ct_phantom(source)[image.index]
    sample = _lodopab(image.path, source.part, source.allow_external)[image.index]
    if sample.target is None:
        raise InputError(f"{image.path}: {image.file} has no ground truth beside it; take another part")
    return sample


def pixel_sides(source: MRISource, image: ImageReference) -> tuple[float, float] | None:
    """Millimeters of a pixel along y and x; None where the file does not state them."""
    if isinstance(source, PhantomMRISource):
        side = 256.0 / min(source.size)  # a field of view of 256 mm
        return side, side
    file = _fastmri(image.path, source.accept, source.allow_external).file
    field = file.header.recon_fov
    if field is None or not min(field[:2]) > 0:
        return None
    # `recon_fov` is (y, x, z) in millimeters, of `matrix`
    return float(field[0]) / file.matrix[0], float(field[1]) / file.matrix[1]


def volume(source: MRISource, image: ImageReference) -> Iterable[KSpaceSample]:
    """All slices of the volume that a slice belongs to."""
    return (
        _mri_phantom(source)
        if isinstance(source, PhantomMRISource)
        else _fastmri(image.path, source.accept, source.allow_external)
    )


def _fastmri_images(source: FastMRISource) -> list[ImageReference]:
    folder = _folder(source) / source.part
    paths = sorted(path for path in folder.glob(source.pattern) if path.is_file())
    if not paths:
        raise InputError(
            f"{folder}: holds no {source.pattern}; give the folder of fully sampled scans in data.folder and data.part"
        )
    allowed = source.allow_external
    files = [FastMRIFile(paths[index], allow_external=allowed) for index in spread(len(paths), source.files)]
    return [ImageReference(f.path.name, str(f.path), index) for f in files for index in spread(len(f), source.slices)]


def _lodopab_images(source: LoDoPaBSource) -> list[ImageReference]:
    folder = _folder(source)
    data = LoDoPaB(folder, source.part, allow_external=source.allow_external)
    places = [(file.path.name, place) for file in data.files for place in range(len(file))]
    return [ImageReference(places[index][0], str(folder), index) for index in spread(len(data), source.images)]


def _folder(source: FastMRISource | LoDoPaBSource) -> Path:
    if source.dataset is not None:
        return dataset_path(source.dataset)
    assert source.folder is not None
    if not source.folder.is_dir():
        raise InputError(f"{source.folder}: is no folder; set data.folder to that of the files")
    return source.folder


@lru_cache(maxsize=4)
def _lodopab(folder: str, part: str, allow_external: bool) -> LoDoPaB:
    return LoDoPaB(folder, part, allow_external=allow_external)


@lru_cache(maxsize=64)
def _fastmri(path: str, accept: tuple[FindingName, ...], allow_external: bool) -> MendedKSpace:
    return MendedKSpace(FastMRIFile(path, allow_external=allow_external), accept)


@lru_cache(maxsize=4)
def _mri_phantom(source: PhantomMRISource) -> tuple[KSpaceSample, ...]:
    phantom = brain_volume() if source.phantom is MRIPhantomName.BRAIN else shepp_logan_volume()
    snr = math.inf if source.snr is None else source.snr
    scan = Simulation(phantom, source.size, source.slices, source.coils, snr, source.seed)
    name = f"{_PHANTOM} {source.phantom}"
    return tuple(
        KSpaceSample.full(kspace, None, source.size, name, index) for index, kspace in enumerate(simulate_volume(scan))
    )


@lru_cache(maxsize=4)
def _ct_phantom(source: PhantomCTSource) -> tuple[SinogramSample, ...]:
    abdomen = source.phantom is CTPhantomName.ABDOMEN
    phantom, field = (abdomen_volume(), ABDOMEN_FIELD) if abdomen else (head_volume(), HEAD_FIELD)
    grid = Grid((source.size, source.size), field / source.size)
    bins = math.ceil(math.hypot(*grid.shape))
    scan = CTScan(ParallelBeam(Arc.half_turn(source.views), bins, 2 * grid.radius / bins), grid, source.photons)
    pairs = simulate_sections(CTSimulation(phantom, field / 2, scan, source.slices, source.seed))
    return tuple(
        SinogramSample(
            sinogram=sinogram,
            geometry=scan.geometry,
            grid=grid,
            target=target,
            unit=AttenuationUnit.PER_MM,
            photons=source.photons,
            name=f"{_PHANTOM} {source.phantom}",
            index=index,
        )
        for index, (sinogram, target) in enumerate(pairs)
    )
