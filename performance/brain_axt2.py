"""Quality of the classical methods on a real scan, beside SigPy's on the same coil maps.

    medrecon data fetch brain-axt2
    python performance/brain_axt2.py [--keep] [--picture PNG]

A fully sampled fastMRI brain slice (16 coils) is undersampled in retrospect; coil maps come from its calibration lines. medrecon
runs with its defaults, which were chosen on other scans. SigPy has no default weight, so that its figure is the best of a search on
this very scan; medrecon's best by the same search stands beside it. Metrics by the fastMRI protocol.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import torch
from peers import sigpy_app
from tables import publish
from torch import Tensor

from medrecon.data.mri.fastmri import FastMRIFile, KSpaceSample
from medrecon.data.mri.masks import equispaced_fraction_mask, mask_seed, random_mask
from medrecon.data.sets.fetch import path
from medrecon.metrics import psnr, ssim
from medrecon.operators import CoilMaps, factor_of
from medrecon.problem import Problem, coil_problem, full_reconstruction, sense_problem, undersample
from medrecon.reconstructors import RootSumOfSquares, Sense, TotalVariation, WaveletSparsity, ZeroFilled

MASKS = {"equispaced fraction": equispaced_fraction_mask, "random": random_mask}
FACTORS = (0.1, 0.25, 0.5, 1.0, 2.0, 4.0)  # of medrecon's default weight, and of SigPy's middle one
SIGPY_MIDDLE = {"sense": 0.003, "wavelet": 1e-4, "tv": 1e-4}  # times the maximum of the zero-filled image
SIGPY_ITERATIONS = {"sense": 20, "wavelet": 100, "tv": 300}
METHODS: dict[str, Sense | WaveletSparsity | TotalVariation] = {
    "sense": Sense(),
    "wavelet": WaveletSparsity(),
    "tv": TotalVariation(),
}


def score(problem: Problem, image: Tensor, target: Tensor) -> tuple[float, float]:
    picture = problem.display_image(image)
    peak = float(target.max())
    return psnr(picture, target, data_range=peak), ssim(picture, target, data_range=peak)


def shown(value: tuple[float, float] | None) -> str:
    return "" if value is None else f"{value[0]:.2f} / {value[1]:.3f}"


def best_of_sigpy(method: str, problem: Problem, target: Tensor) -> tuple[float, float]:
    """The best structural similarity and the best PSNR of SigPy over the weights, each for itself."""
    maps = factor_of(problem.A, CoilMaps, "SigPy").maps.numpy()
    scale = float(problem.A.H(problem.y).abs().max())
    scores = []
    for factor in FACTORS:
        weight = factor * SIGPY_MIDDLE[method] * (1.0 if method == "sense" else scale)
        image = sigpy_app(method, problem.y.numpy(), maps, weight, SIGPY_ITERATIONS[method]).run()
        scores.append(score(problem, torch.from_numpy(image), target))
    return max(psnr for psnr, _ in scores), max(ssim for _, ssim in scores)


def best_of_ours(method: str, problem: Problem, target: Tensor) -> tuple[float, float]:
    default = METHODS[method]
    scores = [
        score(problem, replace(default, weight=factor * default.weight)(problem.y, problem.A), target)
        for factor in FACTORS
    ]
    return max(psnr for psnr, _ in scores), max(ssim for _, ssim in scores)


def rows_of(
    sample: KSpaceSample, target: Tensor, mask: str, acceleration: int
) -> tuple[list[list[str]], dict[str, Tensor]]:
    lines = MASKS[mask](sample.kspace.shape[-1], acceleration, 0.32 / acceleration, mask_seed(sample.name))
    sample = undersample(sample, lines)
    coils, problem = coil_problem(sample), sense_problem(sample)
    head = [mask, f"{acceleration}x ({sample.true_acceleration:.2f})"]
    pictures = {"rss": coils.display_image(RootSumOfSquares()(coils.y, coils.A))}
    pictures["zero-filled"] = problem.display_image(ZeroFilled()(problem.y, problem.A))
    rows = [[*head, name, shown(score(problem, picture, target)), "", ""] for name, picture in pictures.items()]
    for method, reconstructor in METHODS.items():
        image = reconstructor(problem.y, problem.A)
        pictures[method] = problem.display_image(image)
        figures = (
            score(problem, image, target),
            best_of_ours(method, problem, target),
            best_of_sigpy(method, problem, target),
        )
        rows.append([*head, method, *map(shown, figures)])
        print(rows[-1], flush=True)
    return rows, pictures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--keep", action="store_true", help="write the table for the README")
    parser.add_argument("--picture", type=Path, help="write the images of the equispaced masks")
    options = parser.parse_args()
    (file,) = path("brain-axt2").rglob("*.h5")
    sample = FastMRIFile(file)[0]
    target = full_reconstruction(sample)
    rows: list[list[str]] = []
    for acceleration in (4, 8):
        for mask in MASKS:
            more, pictures = rows_of(sample, target, mask, acceleration)
            rows += more
            if options.picture is not None and mask == "equispaced fraction":
                draw(options.picture.with_stem(f"{options.picture.stem}-{acceleration}x"), pictures, target)
    columns = ["mask", "acceleration", "method", "medrecon, default", "medrecon, best weight", "SigPy, best weight"]
    notes = [
        "PSNR in dB / SSIM, protocol fastmri-v1: center 320 x 320, range the maximum of the target.",
        f"Best: the best PSNR and the best SSIM over {len(FACTORS)} weights, searched for on this scan.",
        f"SigPy: {SIGPY_ITERATIONS['wavelet']} iterations of L1WaveletRecon, {SIGPY_ITERATIONS['tv']} of TotalVariationRecon.",
    ]
    command = "python performance/brain_axt2.py --keep"
    publish("brain_axt2", "A real brain slice, 16 coils", command, columns, rows, notes, keep=options.keep)


def draw(file: Path, pictures: dict[str, Tensor], target: Tensor) -> None:
    from medrecon.report.figures import compare, window_of
    from medrecon.scans.mri import DISPLAY

    peak = float(target.max())
    scores = {
        name: shown((psnr(picture, target, data_range=peak), ssim(picture, target, data_range=peak)))
        for name, picture in pictures.items()
    }
    compare(file, pictures, target, scores, heading="brain-axt2", window=window_of(target, DISPLAY))


if __name__ == "__main__":
    torch.set_grad_enabled(mode=False)
    main()
