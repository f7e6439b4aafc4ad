"""Sound sinograms, simulated and real, by groups; see `false_alarms.py`."""

from __future__ import annotations

import importlib
import math
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch

from medrecon.data.ct.attenuation import AttenuationUnit
from medrecon.data.ct.lodopab import LoDoPaBFile
from medrecon.data.ct.phantoms import ABDOMEN_FIELD, HEAD_FIELD, abdomen_volume, head_volume
from medrecon.data.ct.photons import count_photons
from medrecon.data.ct.simulation import measured_sinogram
from medrecon.data.ct.sinograms import SinogramSample
from medrecon.data.phantoms.ellipses import Ellipse, Phantom
from medrecon.data.sets.fetch import path
from medrecon.errors import InputError
from medrecon.geometry import Arc, FanBeam, Geometry, Grid, ParallelBeam

Scans = Iterator[tuple[str, SinogramSample]]
GOLDEN = math.pi * (math.sqrt(5) - 1) / 2
VIEWS, MANY_VIEWS = (30, 100, 360), 2000
PHOTONS = (100.0, 1000.0, 1e4, 1e5, None)
BINS = 160
DISK = Phantom((Ellipse(0.02, (0.0, 0.0), (0.6, 0.6)),))
SMALL = Phantom((Ellipse(0.02, (0.3, 0.45), (0.25, 0.2)), Ellipse(0.03, (0.3, 0.5), (0.05, 0.05))))
TOOTH_AXIS = 23.5  # bins by which the axis of tomopy's tooth lies off the middle


def groups(folders: Sequence[Path]) -> dict[str, Scans]:
    """The groups of scans by name, each read as it is asked for."""
    return {
        "CT, demo": _demo(),
        "CT, contract phantoms": _contracts(),
        **{f"CT, simulated: {kind}": _simulated(kind) for kind in geometries(30, 1.0)},
        f"CT, simulated: {MANY_VIEWS} views": _many_views(),
        "CT, lodopab-small": _lodopab(),
        "CT, HTC 2022": _htc(folders),
        "CT, tooth": _tooth(folders),
    }


def sample_of(sinogram: torch.Tensor, geometry: Geometry, grid: Grid, photons: float | None = None) -> SinogramSample:
    return SinogramSample(
        sinogram=sinogram.float(),
        geometry=geometry,
        grid=grid,
        target=None,
        unit=AttenuationUnit.PER_MM,
        photons=photons,
        name="sound",
        index=0,
    )


def phantoms() -> dict[str, tuple[Phantom, float]]:
    """Sections with the field of view in millimeters, of which half is their unit."""
    head, abdomen = head_volume().section(0.0), abdomen_volume().section(0.0)
    assert head is not None
    assert abdomen is not None
    return {
        "abdomen": (abdomen, ABDOMEN_FIELD),
        "head": (head, HEAD_FIELD),
        "centered disk": (DISK, 200.0),
        "small disk off the center": (SMALL, 200.0),
    }


def geometries(views: int, field: float) -> dict[str, Geometry]:
    """Scans that see a field whole, by kind."""
    step, source, other = 1.25 * field / BINS, 2 * field, field
    fan = FanBeam(Arc.full_turn(views), BINS, 1.6 * field / BINS, source, other)
    opening = 2 * math.atan(0.8 * field / (source + other))
    half_step = fan.spacing / 2
    return {
        "parallel, half a turn": ParallelBeam(Arc.half_turn(views), BINS, step),
        "parallel, a turn": ParallelBeam(Arc.full_turn(views), BINS, step),
        "parallel, offset": ParallelBeam(Arc.full_turn(views), BINS, step, 3.25 * step),
        "golden angle": ParallelBeam(tuple(k * GOLDEN % math.pi for k in range(views)), BINS, step),
        "fan": fan,
        "fan, curved": replace(fan, spacing=1.6 * field / BINS, curved=True),
        "fan, short scan": replace(fan, angles=Arc(0.3, (math.pi + opening) / (views - 1), views)),
        "half-fan": replace(fan, spacing=half_step, offset=0.45 * BINS * half_step),
    }


def noisy(clean: torch.Tensor, photons: float | None, seed: int) -> torch.Tensor:
    return clean if photons is None else count_photons(clean, photons, torch.Generator().manual_seed(seed))


def _simulated(kind: str) -> Scans:
    for views in VIEWS:
        for name, (phantom, field) in phantoms().items():
            geometry, grid = geometries(views, field)[kind], Grid((BINS, BINS), field / BINS)
            clean = measured_sinogram(phantom, geometry, field / 2)
            for seed, photons in enumerate(PHOTONS):
                yield (
                    f"{name}, {views} views, {photons} photons",
                    sample_of(noisy(clean, photons, seed), geometry, grid, photons),
                )


def _many_views() -> Scans:
    for kind in ("parallel, half a turn", "fan"):
        for name, (phantom, field) in phantoms().items():
            geometry, grid = geometries(MANY_VIEWS, field)[kind], Grid((BINS, BINS), field / BINS)
            clean = measured_sinogram(phantom, geometry, field / 2)
            for seed, photons in enumerate(PHOTONS):
                yield f"{kind}, {name}, {photons}", sample_of(noisy(clean, photons, seed), geometry, grid, photons)


def _demo() -> Scans:
    phantom, field = phantoms()["abdomen"]
    grid = Grid((256, 256), field / 256)
    bins = math.ceil(math.hypot(*grid.shape))
    geometry = ParallelBeam(Arc.half_turn(60), bins, 2 * grid.radius / bins)
    clean = measured_sinogram(phantom, geometry, field / 2)
    for seed in range(4):
        yield f"seed {seed}", sample_of(noisy(clean, 50_000.0, seed), geometry, grid, 50_000.0)


def _contracts() -> Scans:
    """Those of the contract tests of the reconstructors."""
    sys.path.insert(0, str(Path(__file__).parent.parent))
    problems: Any = importlib.import_module("tests.problems")
    for fan in (False, True):
        for seed in range(6):
            for shape, views, noise in (((20, 18), 30, 0.4), ((20, 18), 12, 0.0), ((48, 40), 60, 0.1)):
                scan = problems.ct(shape, views=views, noise=noise, level=0.02, fan=fan, seed=seed)
                yield f"{shape}, fan {fan}, seed {seed}", sample_of(scan.y[0], scan.A.geometry, scan.A.grid)


def _lodopab() -> Scans:
    try:
        files = sorted(path("lodopab-small").glob("observation_*.hdf5"))
    except InputError:
        return
    for file in map(LoDoPaBFile, files):
        for index in range(len(file)):
            yield f"{file.path.name} {index}", file[index]


def _found(folders: Sequence[Path], pattern: str) -> Iterator[Path]:
    for folder in folders:
        yield from sorted(folder.rglob(pattern))


def _htc(folders: Sequence[Path]) -> Scans:
    for file in _found(folders, "tb_*.mat"):
        data = importlib.import_module("scipy.io").loadmat(file, struct_as_record=False, squeeze_me=True)
        scan = next(value for name, value in data.items() if not name.startswith("__"))
        p = scan.parameters
        views, bins = scan.sinogram.shape
        angles = tuple(np.deg2rad(np.asarray(p.angles, np.float64)).tolist())
        apart = float(p.distanceSourceDetector - p.distanceSourceOrigin)
        geometry = FanBeam(angles, bins, float(p.pixelSizePost), float(p.distanceSourceOrigin), apart)
        sinogram = torch.from_numpy(np.asarray(scan.sinogram, np.float64))
        grid = Grid((512, 512), float(p.effectivePixelSizePost) * bins / 512)
        yield file.name, sample_of(sinogram, geometry, grid)
        yield f"{file.name}, every other view", sample_of(sinogram[::2], geometry[:views:2], grid)


def _tooth(folders: Sequence[Path]) -> Scans:
    for name in _found(folders, "tooth.h5"):
        with h5py.File(name) as file:
            exchange = file["exchange"]
            counts, white, dark = (exchange[key][...].astype(np.float64) for key in ("data", "data_white", "data_dark"))
            angles = tuple(np.deg2rad(exchange["theta"][...].astype(np.float64)).tolist())
        transmission = (counts - dark.mean(0)) / (white.mean(0) - dark.mean(0))
        lines = -np.log(np.clip(transmission, 1e-4, None))
        geometry = ParallelBeam(angles, lines.shape[-1], 1.0, TOOTH_AXIS)
        for row in range(lines.shape[1]):
            sinogram = torch.from_numpy(np.ascontiguousarray(lines[:, row]))
            yield f"row {row}", sample_of(sinogram, geometry, Grid((640, 640), 1.0))
