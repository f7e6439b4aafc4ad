"""What methods make of objects that are wider than the detector, with and without projections that are continued.

    python performance/ct_truncation.py [--chests FOLDER] [--keep]

Parallel views over half a turn see a field of so much of the object's radius, with the noise of 10 000 photons a ray: of phantoms,
and with `--chests` of a slice each of some people, of `hu.npz` (`hu`, Hounsfield units, slice by slice) and `index.csv` (its
`patient` and `spacing`) in a folder. Figures are those within .85 of the radius of the field: the error of the mean value, and PSNR
over the largest value there. "Before" is the method on the data and the grid as they are.
"""

from __future__ import annotations

import argparse
import csv
import math
import statistics
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from rich.progress import track
from tables import publish
from torch import Tensor
from torch.nn.functional import avg_pool2d

from medrecon.data.ct.attenuation import AttenuationUnit, attenuation_from_hounsfield
from medrecon.data.ct.photons import count_photons
from medrecon.data.ct.projections import phantom_image, phantom_sinogram
from medrecon.data.ct.sinograms import SinogramSample
from medrecon.data.phantoms.ellipses import Ellipse, Phantom
from medrecon.geometry import Arc, Grid, ParallelBeam
from medrecon.metrics import psnr
from medrecon.operators import Radon
from medrecon.problem import ct_problem
from medrecon.reconstructor import Reconstructor
from medrecon.reconstructors import FilteredBackprojection, NonnegativeTotalVariation, PoissonTotalVariation, Sirt
from medrecon.scans.ct_extent import is_cut, problem_of

SIZE, VIEWS, PHOTONS = 128, 180, 1e4
FIELDS = (0.95, 0.8, 0.7, 0.6)
SEEN = 0.05  # of the largest value of a profile: where the object ends
METHODS: dict[str, Reconstructor] = {
    "fbp": FilteredBackprojection(),
    "sirt": Sirt(),
    "tv": NonnegativeTotalVariation(),
    "tv-poisson": PoissonTotalVariation(photons=PHOTONS),
}
PHANTOMS = {
    "disk with an insert": Phantom((Ellipse(0.02, (0.0, 0.0), (45.0, 45.0)), Ellipse(0.02, (-8.0, 12.0), (7.0, 7.0)))),
    "ellipse off the center": Phantom(
        (Ellipse(0.02, (4.0, -5.0), (36.0, 46.0), 0.4), Ellipse(-0.01, (9.0, 4.0), (6.0, 9.0)))
    ),
    "two lungs": Phantom(
        (
            Ellipse(0.02, (0.0, 0.0), (34.0, 48.0)),
            Ellipse(-0.014, (0.0, -20.0), (21.0, 14.0)),
            Ellipse(-0.014, (0.0, 20.0), (21.0, 14.0)),
        )
    ),
}


def objects(folder: Path | None, people: int) -> Iterator[tuple[str, Tensor, Tensor, Grid, ParallelBeam]]:
    """Kind, image, line integrals without noise of all of it, grid and rays."""
    grid, rays = Grid((SIZE, SIZE), 0.8), ParallelBeam(Arc.half_turn(VIEWS), 184, 0.8)
    for phantom in PHANTOMS.values():
        yield "phantoms", phantom_image(phantom, grid), phantom_sinogram(phantom, rays), grid, rays
    if folder is None:
        return
    with (folder / "index.csv").open() as file:
        rows = list(csv.DictReader(file))
    slices = np.load(folder / "hu.npz")["hu"]
    first = {row["patient"]: int(row["i"]) for row in reversed(rows)}
    for index in sorted(first.values())[:people]:
        fine = attenuation_from_hounsfield(torch.from_numpy(slices[index].astype(np.float32))).clamp_min(0)
        spacing, shrink = float(rows[index]["spacing"]), slices.shape[-1] // SIZE
        rays = ParallelBeam(Arc.half_turn(VIEWS), 184, spacing * shrink)
        y = Radon(Grid(fine.shape, spacing), rays)(fine)
        yield "chests", avg_pool2d(fine[None], shrink)[0], y, Grid((SIZE, SIZE), spacing * shrink), rays


def cut(y: Tensor, rays: ParallelBeam, grid: Grid, share: float) -> SinogramSample:
    """What a detector sees of a share of the object's radius, with noise."""
    profile = y.amax(0)
    seen = (profile > SEEN * profile.max()).nonzero()
    middle = rays.n_bins / 2
    half = math.floor(share * max(middle - float(seen[0]), float(seen[-1]) + 1 - middle))
    noisy = count_photons(y.float(), PHOTONS, torch.Generator().manual_seed(1))
    bins = slice(rays.n_bins // 2 - half, rays.n_bins // 2 + half)
    return SinogramSample(
        sinogram=noisy[:, bins].contiguous(),
        geometry=replace(rays, n_bins=2 * half),
        grid=grid,
        target=None,
        unit=AttenuationUnit.PER_MM,
        photons=PHOTONS,
        name="",
        index=0,
    )


def figures(image: Tensor, target: Tensor, sample: SinogramSample) -> tuple[float, float]:
    """Error of the mean in per cent, and PSNR in dB."""
    y, x = (torch.from_numpy(axis) for axis in sample.grid.coordinates())
    inside = torch.hypot(y[:, None], x) < 0.85 * sample.geometry.field_radius
    got, want = image[inside].double(), target[inside].double()
    peak = float(want.max())
    return 100 * float(got.mean() / want.mean() - 1), psnr(got[None], want[None], data_range=peak)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--chests", type=Path, help="a folder with hu.npz and index.csv")
    parser.add_argument("--people", type=int, default=6, help="of whom a slice each is taken")
    parser.add_argument("--keep", action="store_true", help="write docs/benchmarks/ct_truncation.json")
    options = parser.parse_args()
    found: dict[tuple[str, float, str], list[tuple[float, float, float, float]]] = {}
    device = torch.device("cpu")
    for kind, target, y, grid, rays in track(list(objects(options.chests, options.people))):
        for share in FIELDS:
            sample = cut(y, rays, grid, share)
            for name, reconstruct in METHODS.items():
                plain = ct_problem([sample])
                whole = problem_of([sample], reconstruct, device, cut=is_cut(sample))
                images = [one.display_image(reconstruct(one.y, one.A))[0] for one in (plain, whole)]
                before, after = (figures(image, target, sample) for image in images)
                found.setdefault((kind, share, name), []).append((*before, *after))
    rows = []
    for (kind, part, name), values in found.items():
        error, decibel, better_error, better = (statistics.fmean(column) for column in zip(*values, strict=True))
        worst = max(abs(value[2]) for value in values)
        rows.append([kind, f"{part:g}", name, f"{error:+.1f} %", f"{decibel:.1f}"])
        rows[-1] += [f"{better_error:+.1f} %", f"{worst:.1f} %", f"{better:.1f}"]
    publish(
        "ct_truncation",
        "CT: objects wider than the detector",
        "python performance/ct_truncation.py --chests FOLDER --keep",
        ["objects", "field / object", "method", "mean, before", "PSNR, before", "mean", "mean, worst", "PSNR"],
        rows,
        [
            f"Means over {len(PHANTOMS)} phantoms and {options.people if options.chests else 0} chests, {PHOTONS:.0f} photons a "
            f"ray, {VIEWS} parallel views, images of {SIZE} x {SIZE}."
        ],
        keep=options.keep,
    )


if __name__ == "__main__":
    torch.set_grad_enabled(mode=False)
    main()
