"""An object wider than its field of view: one set of coil maps, two, and what medrecon takes by itself, beside BART.

    python performance/two_map_sets.py [--keep] [--picture PNG]

Closed-form k-space of a head in a birdcage of 8 coils, SNR 50, on a field along the phase encoding that is narrower than the head
by a third, by a tenth or so, or has room. Every so-manieth line is kept, and as many in the center as make the acceleration. The
reference is the root sum of squares of the full scan; an error is |s x - t| / |t| with the best scale s. medrecon runs at its
default weights; of BART, where it is installed, stands the best of several weights on this very scan.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch
from peers import HAS_BART, bart_on
from tables import publish
from torch import Tensor

from medrecon.calibration import SecondSet, calibration_region, completed_maps, estimate_maps, noise_level
from medrecon.data.mri.birdcage import background_phase, birdcage_maps, normalize_maps
from medrecon.data.mri.fastmri import KSpaceSample
from medrecon.data.mri.noise import add_noise
from medrecon.data.mri.simulation import multicoil_kspace
from medrecon.data.phantoms.mri_phantoms import brain
from medrecon.operators import Fourier
from medrecon.problem import Problem, sense_problem
from medrecon.reconstructor import Reconstructor
from medrecon.reconstructors import Sense, TotalVariation, WaveletSparsity
from medrecon.spaces import kspace_space, root_sum_of_squares

ROWS, COILS, SNR, HALF = 192, 8, 50.0, 0.72  # half of the head's width, in units of half the rows' field
WIDTHS = {"wraps, 1.33 fields": 1.33, "wraps, 1.12 fields": 1.12, "within, .85 fields": 0.85}
STEPS = {1.6: 2, 2.0: 3, 4.0: 8}  # of the lines outside of the center, for each acceleration
METHODS: dict[str, Reconstructor] = {"sense": Sense(), "wavelet": WaveletSparsity(), "tv": TotalVariation()}
CELLS = ["medrecon, one set", "medrecon, two sets", "medrecon, automatic", "BART, one set", "BART, two sets"]
BART_WEIGHTS = (1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2)
BART_ITERATIONS = 60


def scan(width: float) -> Tensor:
    """The k-space `(coil, ky, kx)` of a head `width` times as wide as its field: every other line of a field twice as wide."""
    generator = torch.Generator().manual_seed(7)
    half = HALF / width
    n = 2 * round(ROWS * half / 2)
    extent = (1.0, 2 * half)
    fine = (math.ceil(1.5 * ROWS), 3 * n)
    maps = normalize_maps(birdcage_maps(COILS, fine, extent)) * background_phase(fine, generator, extent)
    return add_noise(multicoil_kspace(brain(), maps, (ROWS, 2 * n), extent)[..., n - 2 * (n // 2) :: 2], SNR, generator)


def undersampled(kspace: Tensor, acceleration: float) -> KSpaceSample:
    """Every so-manieth line, and a center that makes up the acceleration."""
    n, step = kspace.shape[-1], STEPS[acceleration]
    center = 2 * round(n * (1 / acceleration - 1 / step) / (1 - 1 / step) / 2)
    sampled = torch.arange(n) % step == 1
    sampled[n // 2 - center // 2 : n // 2 - center // 2 + center] = True
    return KSpaceSample(kspace * sampled, sampled, None, (ROWS, n), "head", 0, None, 1.0, (0, n))


def error(image: Tensor, target: Tensor) -> float:
    image, target = image.double(), target.double()
    scale = (image * target).sum() / image.square().sum()
    return float((scale * image - target).norm() / target.norm())


def fastest(call: Callable[[], object], repeats: int = 5) -> float:
    """The least of the seconds that calls take."""

    def once() -> float:
        start = time.perf_counter()
        call()
        return time.perf_counter() - start

    return min(once() for _ in range(repeats))


def forced(sample: KSpaceSample) -> Problem:
    """Posed with two sets wherever a second eigenvalue is high at all."""
    size = calibration_region(sample.kspace, sample.sampled)
    noise = noise_level(sample.kspace, sample.sampled)
    calibration, rule = (min(size[0], 24), min(size[1], 24)), SecondSet(share=0.0)
    maps, second = completed_maps(
        sample.kspace, sample.sampled, calibration=calibration, kernel=6, noise=noise, rule=rule
    )
    return sense_problem(sample, maps=maps if second is None else torch.stack((maps, second)))


def ours(sample: KSpaceSample, target: Tensor) -> tuple[list[list[str]], dict[str, Tensor]]:
    """Rows of method, maps, error and the seconds of the maps; and the images of the wavelets."""
    one, automatic = sense_problem(sample, most_sets=1), sense_problem(sample)
    kspace, sampled = sample.kspace, sample.sampled
    seconds = {
        "one set": fastest(lambda: estimate_maps(kspace, sampled)),
        "two sets": fastest(lambda: forced(sample)),
        "automatic": fastest(lambda: estimate_maps(kspace, sampled, most_sets=2)),
    }
    problems = {"one set": one, "two sets": forced(sample), "automatic": automatic}
    rows, pictures = [], {}
    for name, problem in problems.items():
        taken = "" if name != "automatic" else ": two" if problem.A.domain.ndim == 3 else ": one"
        for method, reconstruct in METHODS.items():
            image = problem.display_image(reconstruct(problem.y, problem.A))
            rows.append(["medrecon", name + taken, method, f"{error(image, target):.4f}", "", f"{seconds[name]:.2f}"])
            if method == "wavelet":
                pictures[f"medrecon, {name}"] = image
    return rows, pictures


def theirs(sample: KSpaceSample, target: Tensor) -> tuple[list[list[str]], dict[str, Tensor]]:
    """The same of BART, at the best of its weights."""
    rows, pictures = [], {}
    with bart_on(sample.kspace.numpy()) as bart:
        for sets, name in ((1, "one set"), (2, "two sets")):
            seconds = fastest(partial(bart.run, "ecalib", f"-m{sets}", "kspace", "maps"), 2)
            maps = torch.from_numpy(bart.read("maps")).reshape(*sample.kspace.shape[-2:], COILS, sets)
            for method in ("sense", "wavelet"):
                found: list[tuple[float, float, Tensor]] = []
                for weight in BART_WEIGHTS:
                    bart.pics(method, weight, BART_ITERATIONS)
                    x = torch.from_numpy(bart.read("image")).reshape(*sample.kspace.shape[-2:], 1, sets)
                    image = torch.linalg.vector_norm((maps * x).sum(-1), dim=-1)
                    found.append((error(image, target), weight, image))
                least, weight, image = min(found, key=lambda tried: tried[0])
                rows.append(["BART", name, method, f"{least:.4f}", f"{weight:g}", f"{seconds:.2f}"])
                if method == "wavelet":
                    pictures[f"BART, {name}"] = image
    return rows, pictures


COLUMNS = ["head", "acceleration", "method", *CELLS, "seconds of the maps"]


def side_by_side(rows: list[list[str]]) -> list[list[str]]:
    """One row a scan and method, an error a column."""
    found = {(*row[:2], row[4], f"{row[2]}, {row[3]}".removesuffix(": one").removesuffix(": two")): row for row in rows}
    taken = {(*row[:2], row[4]): row[3].partition(": ")[2] for row in rows if row[3].startswith("automatic")}
    table = []
    for case in dict.fromkeys(key[:3] for key in found):
        cells = {name: found.get((*case, name), [""] * 8) for name in CELLS}
        errors = [cell[5] for cell in cells.values()]
        errors[2] += f" ({taken[case]})"
        seconds = [
            next((row[7] for key, row in found.items() if (*key[:2], key[3]) == (*case[:2], name)), "")
            for name in ("medrecon, one set", "medrecon, automatic", "BART, one set", "BART, two sets")
        ]
        table.append([*case, *errors, f"{seconds[0]} / {seconds[1]}, {seconds[2]} / {seconds[3]}"])
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--keep", action="store_true", help="write the table for docs/benchmarks.md")
    parser.add_argument("--picture", type=Path, help="write the images of wavelets at 1.6x of the widest head")
    options = parser.parse_args()
    rows: list[list[str]] = []
    for name, width in WIDTHS.items():
        kspace = scan(width)
        target = root_sum_of_squares(
            Fourier(replace(kspace_space(COILS, kspace.shape[-2:]), axes=("coil", "y", "x"))).H(kspace), -3
        )
        for acceleration in STEPS:
            sample = undersampled(kspace, acceleration)
            found, pictures = ours(sample, target)
            if HAS_BART:
                more, others = theirs(sample, target)
                found, pictures = found + more, {**pictures, **others}
            rows += [[name, f"{sample.true_acceleration:.2f}", *row] for row in found]
            for row in rows[-len(found) :]:
                print(row, flush=True)
            if options.picture is not None and acceleration == 1.6 and width == 1.33:
                draw(options.picture, pictures, target)
    notes = [
        f"{ROWS} rows, {COILS} coils, SNR {SNR:g}; the reference holds this noise, too.",
        f"Two sets: wherever a second eigenvalue is above {SecondSet.level:g} of the first; automatic: what medrecon takes.",
        "Seconds of the maps: one set / automatic of medrecon, one / two sets of BART, on a machine that did other things, too.",
        f"BART: the best of {len(BART_WEIGHTS)} weights, searched for on this scan, {BART_ITERATIONS} iterations.",
        "medrecon: default weights.",
    ]
    command = "python performance/two_map_sets.py --keep"
    publish(
        "two_map_sets",
        "A head wider than its field of view",
        command,
        COLUMNS,
        side_by_side(rows),
        notes,
        keep=options.keep,
    )


def draw(file: Path, pictures: dict[str, Tensor], target: Tensor) -> None:
    from medrecon.report.figures import compare, window_of
    from medrecon.scans.mri import DISPLAY

    errors = {name: f"{error(image, target):.3f}" for name, image in pictures.items()}
    compare(file, pictures, target, errors, heading="wider than its field", window=window_of(target, DISPLAY))


if __name__ == "__main__":
    torch.set_grad_enabled(mode=False)
    main()
