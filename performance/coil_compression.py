"""What compressing coils costs and gains: SENSE with virtual coils against SENSE with all, on phantoms whose truth is known.

Coils stand on rings, or are loops drawn as for training; lines are undersampled four times. PSNR is of the image without noise.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Iterator
from dataclasses import replace

import torch
from tables import publish
from torch import Tensor

from medrecon.calibration import VirtualCoils
from medrecon.data.mri.fastmri import KSpaceSample
from medrecon.data.mri.masks import equispaced_fraction_mask
from medrecon.data.mri.receivers import draw_receiver, simulate_scan
from medrecon.data.mri.simulation import Simulation, simulate_volume
from medrecon.data.phantoms.mri_phantoms import brain_volume, shepp_logan_volume
from medrecon.metrics import psnr
from medrecon.problem import full_reconstruction, remove_oversampling, sense_problem, undersample
from medrecon.reconstructors import Sense


def scans(n: int, n_coils: int) -> Iterator[tuple[str, KSpaceSample]]:
    """Full scans without noise."""
    for name, phantom in (("brain", brain_volume()), ("Shepp-Logan", shepp_logan_volume())):
        kspace = next(iter(simulate_volume(Simulation(phantom, (n, n), 1, n_coils, math.inf, n_coils))))
        rings = remove_oversampling(KSpaceSample.full(kspace, None, (n, n), name))
        yield f"{name}, rings", rings
        image = full_reconstruction(rings)
        generator = torch.Generator().manual_seed(n_coils)
        receiver = draw_receiver(generator, n_coils)
        receiver = replace(receiver, mixing=torch.zeros_like(receiver.mixing), scale=1.0)
        kspace, _ = simulate_scan(image / image.mean(), receiver, generator, oversampling=1)
        yield f"{name}, loops", KSpaceSample.full(kspace, None, (n, n), name)


def measured(sample: KSpaceSample, truth: Tensor, rule: VirtualCoils | None) -> tuple[float, float, int]:
    """PSNR of SENSE, the seconds of maps and image, and how many coils there were."""
    start = time.process_time()
    problem = sense_problem(sample, virtual_coils=rule)
    image = problem.display_image(Sense()(problem.y, problem.A))
    seconds = time.process_time() - start
    n_coils = len(problem.y) if problem.compression is None else len(problem.compression.matrix)
    return psnr(image, truth, data_range=float(truth.max())), seconds, n_coils


def rows(n: int, counts: list[int], ratios: list[float]) -> Iterator[list[str]]:
    """A row for each scan and signal-to-noise ratio."""
    for n_coils in counts:
        for name, full in scans(n, n_coils):
            truth = full_reconstruction(full)
            level = float(truth[truth > truth.max() / 10].mean())
            for ratio in ratios:
                generator = torch.Generator().manual_seed(3)
                noise = torch.randn(full.kspace.shape, dtype=torch.complex64, generator=generator) * level / ratio
                mask = equispaced_fraction_mask(n, 4, 0.08, seed=0)
                sample = undersample(replace(full, kspace=full.kspace + noise), mask)
                every, slow, _ = measured(sample, truth, None)
                virtual, fast, count = measured(sample, truth, VirtualCoils())
                scores = f"{every:.2f}", f"{virtual - every:+.2f}", f"{slow:.2f}", f"{fast:.2f}"
                yield [str(n_coils), name, f"{ratio:g}", str(count), *scores]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--coils", type=int, nargs="+", default=[32, 64, 128])
    parser.add_argument("--ratios", type=float, nargs="+", default=[15.0, 40.0, 100.0])
    parser.add_argument("--keep", action="store_true")
    options = parser.parse_args()
    publish(
        "coil_compression",
        f"SENSE with coils compressed, {options.size} x {options.size}, four times undersampled",
        f"python performance/coil_compression.py --size {options.size}",
        ["coils", "scan", "SNR", "virtual", "PSNR of all, dB", "virtual, dB", "s, all", "s, virtual"],
        list(rows(options.size, options.coils, options.ratios)),
        ["Seconds are of one core, with coil maps. Each coil's noise is the head's mean over the SNR."],
        keep=options.keep,
    )


if __name__ == "__main__":
    main()
