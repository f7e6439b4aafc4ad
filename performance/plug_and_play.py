"""Plug-and-play and its sampler beside the classical methods, on people of `brain-small` and `lodopab-small`.

    python performance/plug_and_play.py [--part test] [--images 2] [--samples 0] [--keep]

Steps and levels were chosen on `--part validation`. Classical methods have their defaults; of MRI all give the root sum of squares
with the noise of a full scan (`rss-noise`), as the target has it. Images are evenly chosen; the network runs in bfloat16.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from tables import publish
from torch import Tensor

from medrecon.config.methods import DiffusionSettings, PlugAndPlaySettings, PrecisionName
from medrecon.config.mri import LineMaskSettings, MaskName
from medrecon.data.ct.lodopab import LoDoPaB
from medrecon.data.sets.fetch import path
from medrecon.evaluation import image_range
from medrecon.metrics import psnr
from medrecon.modality import Modality
from medrecon.networks import MeasuredRootSumOfSquares
from medrecon.problem import (
    Problem,
    add_dose_noise,
    ct_problem,
    remove_oversampling,
    sense_problem,
    subsample_views,
    undersample,
)
from medrecon.reconstructor import Reconstructor
from medrecon.reconstructors import PoissonTotalVariation, WaveletSparsity
from medrecon.scans.masks import build_mask
from medrecon.training.mri import FastMRISlices
from medrecon.workflows import build_reconstructor

COLUMNS = ["scans", "images", "classical", "pnp", "diffusion"]


@dataclass(frozen=True, eq=False)
class Scan:
    """A problem with its target, by its row, and the classical method that it is measured beside."""

    row: str
    problem: Problem
    classical: Reconstructor

    def score(self, method: Reconstructor) -> float:
        """PSNR by the protocol of the modality."""
        problem, target = self.problem, self.problem.target
        assert target is not None
        x = method(problem.y, problem.A)
        if not problem.A.domain.is_complex:
            return float(psnr(problem.display_image(x)[0], target[0], data_range=image_range(target[0])))

        def known(_: Tensor, __: object) -> Tensor:
            return x

        combined = MeasuredRootSumOfSquares(known, noise_floor=True)(problem.y, problem.A)
        return float(psnr(problem.display_image(combined), target, data_range=float(target.max())))


def mri_scans(part: str, images: int) -> Iterator[Scan]:
    slices = FastMRISlices(path("brain-small") / part)
    for acceleration in (4.0, 8.0):
        for index in _some(len(slices), images):
            full = remove_oversampling(slices.sample(index, None))
            mask = LineMaskSettings(kind=MaskName.EQUISPACED_FRACTION, acceleration=acceleration)
            shape = (full.kspace.shape[-2], full.kspace.shape[-1])
            problem = sense_problem(undersample(full, build_mask(mask, shape, full.name)))
            yield Scan(f"brain-small, {acceleration:g}x", replace(problem, target=full.target), WaveletSparsity())


def ct_scans(part: str, images: int) -> Iterator[Scan]:
    sinograms = LoDoPaB(path("lodopab-small"), part)
    for views, photons in ((1000, None), (60, None), (1000, 1000.0), (60, 1000.0)):
        for index in _some(len(sinograms), images):
            sample = subsample_views(sinograms[index], views)
            if photons is not None:
                sample = add_dose_noise(sample, photons, torch.Generator().manual_seed(index))
            dose = "" if photons is None else ", low dose"
            yield Scan(f"{views} views{dose}", ct_problem([sample]), PoissonTotalVariation(photons=sample.photons))


def _some(count: int, wanted: int) -> Iterator[int]:
    return ((2 * k + 1) * count // (2 * min(count, wanted)) for k in range(min(count, wanted)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--part", choices=("validation", "test"), default="test")
    parser.add_argument("--images", type=int, default=2, help="of each row")
    parser.add_argument("--samples", type=int, default=0, help="of diffusion; none leaves it out")
    parser.add_argument("--keep", action="store_true", help="write docs/benchmarks/plug_and_play.json")
    given = parser.parse_args()
    scores: dict[str, list[list[float]]] = {}
    for modality, scans in ((Modality.MRI, mri_scans), (Modality.CT, ct_scans)):
        half = PrecisionName.BF16
        methods = [build_reconstructor(PlugAndPlaySettings(precision=half, channels_last=True), modality)]
        if given.samples:
            sampler = DiffusionSettings(samples=given.samples, precision=half, channels_last=True)
            methods.append(build_reconstructor(sampler, modality))
        for scan in scans(given.part, given.images):
            scores.setdefault(scan.row, []).append([scan.score(method) for method in (scan.classical, *methods)])
            print(scan.row, *(f"{score:.2f}" for score in scores[scan.row][-1]), flush=True)
    rows = []
    for name, found in scores.items():
        means = [f"{statistics.fmean(column):.2f}" for column in zip(*found, strict=True)]
        rows.append([name, str(len(found)), *means, *([""] if not given.samples else [])])
    notes = ["PSNR in dB, means; classical: wavelet of MRI, tv-poisson of CT, with their defaults."]
    command = f"python performance/plug_and_play.py --part {given.part} --images {given.images}"
    publish("plug_and_play", "Plug-and-play by one denoiser", command, COLUMNS, rows, notes, keep=given.keep)


if __name__ == "__main__":
    main()
