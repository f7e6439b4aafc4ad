"""From which offset on an axis of rotation that lies elsewhere than the geometry says is found, and how exactly it is measured.

    python performance/axis_of_rotation.py [--keep]

Sections of the abdomen and of the head in closed form are seen by a detector that is displaced, which the geometry does not say.
A cell says by how many of the scans the check was stirred, and the median error of the offset that `--offset auto` would take.
"""

from __future__ import annotations

import argparse
import statistics
from dataclasses import replace

import torch
from sound_ct import BINS, geometries, noisy, phantoms, sample_of
from tables import publish

from medrecon.data.ct.simulation import measured_sinogram
from medrecon.errors import InputError
from medrecon.findings import Severity
from medrecon.geometry import Geometry, Grid
from medrecon.scans.ct_checks import sinogram_findings
from medrecon.scans.ct_geometry_checks import measured_offset

OFFSETS = (0.0, 0.05, 0.25, 0.5, 1.0, 2.0, 5.0, 20.0)
PHOTONS = (300.0, 1000.0, 10_000.0, None)
KINDS = ("parallel, half a turn", "parallel, a turn", "fan", "half-fan")
VIEWS = (90, 360)
OBJECTS = ("abdomen", "head")


def cell(sinograms: list[tuple[torch.Tensor, Geometry, Grid]], photons: float | None, bins: float) -> str:
    """How many of the sinograms, each measured with so many bins more of offset than stated, are found out."""
    found, errors = 0, []
    for seed, (clean, stated, grid) in enumerate(sinograms):
        sample = sample_of(noisy(clean, photons, seed), stated, grid, photons)
        found += any(one.severity is not Severity.NOTE for one in sinogram_findings(sample))
        try:
            errors.append(abs((measured_offset(sample) - stated.offset) / stated.spacing - bins))
        except InputError:
            continue
    exact = f" ({statistics.median(errors):.2f})" if errors else ""
    return f"{found} of {len(sinograms)}{exact}"


def scans(kind: str, bins: float) -> list[tuple[torch.Tensor, Geometry, Grid]]:
    """Sinograms measured with an offset of so many bins more than the geometry beside them states."""
    made = []
    for views in VIEWS:
        for name in OBJECTS:
            phantom, field = phantoms()[name]
            stated = geometries(views, field)[kind]
            true = replace(stated, offset=stated.offset + bins * stated.spacing)
            made.append((measured_sinogram(phantom, true, field / 2), stated, Grid((BINS, BINS), field / BINS)))
    return made


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--keep", action="store_true", help="write the table for the pages")
    options = parser.parse_args()
    rows = []
    for kind in KINDS:
        for bins in OFFSETS:
            sinograms = scans(kind, bins)
            rows.append([kind, f"{bins:g}", *(cell(sinograms, photons, bins) for photons in PHOTONS)])
            print(rows[-1], flush=True)
    columns = ["scan", "offset, bins", *("no noise" if one is None else f"{one:g} photons" for one in PHOTONS)]
    notes = [
        f"{len(VIEWS) * len(OBJECTS)} scans a cell: abdomen and head, {' and '.join(map(str, VIEWS))} views, {BINS} bins. In "
        "brackets the median error of the measured offset, in bins. The row of offset 0 counts false alarms.",
    ]
    command = "python performance/axis_of_rotation.py --keep"
    publish("axis_of_rotation", "An axis that lies off", command, columns, rows, notes, keep=options.keep)


if __name__ == "__main__":
    torch.set_grad_enabled(mode=False)
    torch.set_num_threads(1)
    main()
