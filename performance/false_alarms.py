"""What the checks of data say of sound scans, which should be nothing, and how long they take.

    python performance/false_alarms.py [FOLDER ...] [--only WORDS] [--keep]

Every scan below is sound: simulated in closed form, with noise, or measured and kept by its makers. The table counts what the
checks say, by severity and name. Sets of `medrecon data list` are taken where they were fetched; real files are looked for in the
folders: `*_T1W.nii.gz` and the like (magnitude images of heads, to which coils are simulated), `kspace*.npz` (single-coil k-space
`(ky, kx, slice)`), `tb_*.mat` (Helsinki Tomography Challenge 2022), `tooth.h5` (tomopy's tooth, taken with its own axis). What is
absent is left out, with a line that says so. `--only` keeps the groups whose names hold one of the words.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import sound_ct
import sound_mri
import torch
from tables import publish

from medrecon.data.ct.sinograms import SinogramSample
from medrecon.data.mri.fastmri import FastMRIFile, KSpaceSample
from medrecon.data.mri.fastmri_header import make_header
from medrecon.data.mri.writing import write_fastmri
from medrecon.findings import Finding, Severity
from medrecon.problem import ct_problem, sense_problem
from medrecon.reconstructors import FilteredBackprojection, WaveletSparsity
from medrecon.scans.ct_checks import geometry_findings, sinogram_findings
from medrecon.scans.mri_checks import check_kspace
from medrecon.scans.mri_inspection import inspect_kspace

Sample = KSpaceSample | SinogramSample
TIMED = 3  # scans of a group, of which a reconstruction is timed
COLUMNS = ["scans", "number", "problems", "mended", "notes", "checks, ms", "of a reconstruction, %"]


class Said(NamedTuple):
    """A finding, or what `inspect` alone says."""

    name: str
    severity: Severity
    text: str


@dataclass(frozen=True)
class Told:
    """What was said of a scan, how long that took, and how long its reconstruction where that was timed."""

    name: str
    findings: tuple[Said, ...]
    seconds: float
    reconstruction: float | None


def told(name: str, sample: Sample, *, timed: bool) -> Told:
    start = time.process_time()
    found = check_kspace(sample).findings if isinstance(sample, KSpaceSample) else _ct_findings(sample)
    seconds = time.process_time() - start
    said = [Said(finding.name, finding.severity, finding.text) for finding in found]
    if isinstance(sample, KSpaceSample):
        said += _inspected(sample)
    return Told(name, tuple(said), seconds, _reconstruction(sample) if timed else None)


def _ct_findings(sample: SinogramSample) -> tuple[Finding, ...]:
    return (*geometry_findings(sample.geometry), *sinogram_findings(sample))


def _inspected(sample: KSpaceSample) -> Iterator[Said]:
    """What `inspect` says of a slice beyond what `reconstruct` does: silent coils, spikes."""
    size = sample.kspace.shape[-2:]
    with TemporaryDirectory() as folder:
        path = Path(folder) / "scan.h5"
        mask = None if bool(sample.sampled.all()) else sample.sampled
        header = make_header((size[0], size[1]), sample.matrix, acquisition="", patient_id="")
        write_fastmri(path, [sample.kspace], header=header, mask=mask)
        inspected = inspect_kspace(FastMRIFile(path))
    known = {finding.text for finding in inspected.findings}
    for text in inspected.problems:
        if text not in known:
            yield Said("spikes" if "spike" in text else "silent-coil", Severity.PROBLEM, text)


def _reconstruction(sample: Sample) -> float:
    """The seconds of the default method on one slice, coil maps included."""
    for _ in range(2):  # loops are compiled in the first
        start = time.process_time()
        if isinstance(sample, KSpaceSample):
            problem = sense_problem(sample)
            WaveletSparsity()(problem.y, problem.A)
        else:
            problem = ct_problem([sample])
            FilteredBackprojection()(problem.y, problem.A)
        seconds = time.process_time() - start
    return seconds


def row_of(group: str, found: list[Told]) -> list[str]:
    by = {severity: Counter[str]() for severity in Severity}
    for one in found:
        for finding in one.findings:
            by[finding.severity][finding.name] += 1
    words = ["; ".join(f"{name} {count}" for name, count in sorted(by[one].items())) or "0" for one in Severity]
    times = [1000 * one.seconds for one in found]
    shares = [100 * one.seconds / one.reconstruction for one in found if one.reconstruction]
    share = f"{statistics.median(shares):.2g}" if shares else ""
    return [group, str(len(found)), *words, f"{statistics.median(times):.0f}, at most {max(times):.0f}", share]


def scans_of(group: str, samples: Iterator[tuple[str, Sample]]) -> list[Told]:
    found: list[Told] = []
    for name, sample in samples:
        found.append(told(name, sample, timed=len(found) < TIMED))
        for finding in found[-1].findings:
            if finding.severity is not Severity.NOTE:
                print(f"{group}: {name}: {finding.severity} {finding.name}: {finding.text}", flush=True)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("folders", nargs="*", type=Path, help="where real files are looked for")
    parser.add_argument("--only", nargs="*", default=[""], help="keep the groups whose names hold one of these words")
    parser.add_argument("--keep", action="store_true", help="write the table for the pages")
    options = parser.parse_args()
    rows: list[list[str]] = []
    groups: dict[str, Iterator[tuple[str, Sample]]] = {}
    groups.update(sound_mri.groups(options.folders))
    groups.update(sound_ct.groups(options.folders))
    for group, samples in groups.items():
        if not any(word in group for word in options.only):
            continue
        found = scans_of(group, samples)
        if not found:
            print(f"{group}: absent, left out", file=sys.stderr)
            continue
        rows.append(row_of(group, found))
        print(rows[-1], flush=True)
    notes = [
        "Checks of one slice, as `reconstruct` runs them; `inspect` also looks for silent coils and spikes, which are counted.",
        f"The reconstruction is wavelet with its coil maps, or fbp, of one slice ({TIMED} scans a group); one thread.",
        "Notes are true: the arc, the cut, or the side of k-space that is missing.",
    ]
    command = "python performance/false_alarms.py FOLDER --keep"
    publish("false_alarms", "What the checks say of sound scans", command, COLUMNS, rows, notes, keep=options.keep)


if __name__ == "__main__":
    torch.set_grad_enabled(mode=False)
    torch.set_num_threads(1)
    main()
