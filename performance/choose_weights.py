"""How the default weights were chosen: a search on validation scans, none of which is reported on.

    python performance/choose_weights.py [--volumes FOLDER]

Simulated scans of phantoms and, with `--volumes`, of the middle slices of T1-weighted NIfTI volumes (needs `nibabel`): 8 to 16
birdcage coils, smooth phase, signal-to-noise ratios of 10 to 100, equispaced and random lines at 4x and 8x, coil maps from the
calibration lines. Scores are by the fastMRI protocol, against the noisy full reconstruction. The defaults of medrecon 0.1 were
chosen with three volumes of the package img2fmri 0.2.dev5 (`img2fmri/derivatives/T1`), between the best PSNR and the best SSIM.
"""

from __future__ import annotations

import argparse
import importlib
import statistics
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.progress import track
from rich.table import Table
from torch import Tensor

from medrecon.data.mri.birdcage import background_phase, birdcage_maps, normalize_maps
from medrecon.data.mri.fastmri import KSpaceSample
from medrecon.data.mri.masks import equispaced_fraction_mask, mask_seed, random_mask
from medrecon.data.mri.noise import add_noise
from medrecon.data.phantoms.mri_phantoms import brain, shepp_logan
from medrecon.metrics import psnr, ssim
from medrecon.operators import CoilMaps, Fourier
from medrecon.problem import Problem, full_reconstruction, sense_problem, undersample
from medrecon.reconstructors import Sense, TotalVariation, WaveletSparsity

CANDIDATES: dict[str, Sense | WaveletSparsity | TotalVariation] = {
    **{f"sense {weight:g}": Sense(weight=weight) for weight in (1.0, 3.0, 10.0)},
    **{f"wavelet {weight:g}": WaveletSparsity(weight=weight) for weight in (0.0004, 0.0007, 0.001, 0.0014, 0.002)},
    **{f"wavelet db4 {weight:g}": WaveletSparsity(weight=weight, wavelet="db4") for weight in (0.0007, 0.001)},
    **{f"tv {weight:g}": TotalVariation(weight=weight) for weight in (0.0004, 0.0007, 0.001, 0.0014, 0.002)},
}


def images(volumes: Path | None) -> Iterator[tuple[str, Tensor, int, tuple[float, ...]]]:
    """Name, image, number of coils and signal-to-noise ratios."""
    yield "shepp-logan", shepp_logan().image((256, 256)), 8, (30.0, 100.0)
    yield "brain", brain().image((256, 256)), 8, (30.0, 100.0)
    for number, file in enumerate(sorted(volumes.glob("*.nii*")) if volumes else []):
        nibabel = importlib.import_module("nibabel")
        volume = nibabel.as_closest_canonical(nibabel.load(file))
        middle = np.asarray(volume.dataobj[:, :, volume.shape[2] // 2], np.float32)
        image = torch.from_numpy(np.ascontiguousarray(middle.T[::-1]))
        yield file.stem, image, (8, 12, 16)[number % 3], (10.0, 20.0, 50.0)


def scan_of(image: Tensor, n_coils: int, snr: float) -> KSpaceSample:
    generator = torch.Generator().manual_seed(n_coils)
    ny, nx = image.shape
    coils = CoilMaps(normalize_maps(birdcage_maps(n_coils, (ny, nx))))
    kspace = Fourier(coils.range)(coils(image / image.max() * background_phase((ny, nx), generator)))
    kspace = add_noise(kspace, snr, generator).to(torch.complex64)
    return KSpaceSample(kspace, torch.ones(nx, dtype=torch.bool), None, (ny, nx), "", 0, None, 1.0, (0, nx))


def problems(volumes: Path | None) -> Iterator[tuple[str, Problem, Tensor]]:
    """Setting, problem and target."""
    for name, image, n_coils, ratios in images(volumes):
        for snr in ratios:
            sample = scan_of(image, n_coils, snr)
            for acceleration in (4, 8):
                for draw in (equispaced_fraction_mask, random_mask):
                    mask = draw(sample.kspace.shape[-1], acceleration, 0.32 / acceleration, mask_seed(f"{name} {snr}"))
                    yield (
                        f"{acceleration}x SNR {snr:g}",
                        sense_problem(undersample(sample, mask)),
                        full_reconstruction(sample),
                    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--volumes", type=Path, help="a folder of T1-weighted NIfTI volumes")
    options = parser.parse_args()
    scores: dict[str, dict[str, list[tuple[float, float]]]] = {name: {} for name in CANDIDATES}
    for setting, problem, target in track(list(problems(options.volumes))):
        peak = float(target.max())
        for name, reconstruct in CANDIDATES.items():
            picture = problem.display_image(reconstruct(problem.y, problem.A))
            figures = psnr(picture, target, data_range=peak), ssim(picture, target, data_range=peak)
            scores[name].setdefault(setting, []).append(figures)
    settings = sorted(next(iter(scores.values())))
    table = Table("method and weight", *settings, "mean", title="PSNR / SSIM on validation scans")
    for name, by_setting in scores.items():
        means = [tuple(statistics.fmean(values) for values in zip(*by_setting[key], strict=True)) for key in settings]
        overall = tuple(statistics.fmean(values) for values in zip(*means, strict=True))
        table.add_row(name, *(f"{a:.2f} / {b:.3f}" for a, b in (*means, overall)))
    Console(width=200).print(table)


if __name__ == "__main__":
    torch.set_grad_enabled(mode=False)
    main()
