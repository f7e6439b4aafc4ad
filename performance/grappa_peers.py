"""GRAPPA beside pygrappa: the same noisy k-space, calibration lines and regularization; error and time, by turns.

pygrappa (McKibben, https://github.com/mckib2/pygrappa) counts the samples of its kernel on the grid, holes included: as many
acquired lines as ours take 7 samples at 2x and 11 at 3x; its default of 5 is measured, too.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from tables import publish
from torch import Tensor

from medrecon.data.mri.birdcage import background_phase, birdcage_maps, normalize_maps
from medrecon.data.mri.simulation import multicoil_kspace
from medrecon.data.phantoms.mri_phantoms import brain, shepp_logan
from medrecon.metrics import psnr
from medrecon.operators import Fourier, LinearOperator, Mask
from medrecon.reconstructors import Grappa, RootSumOfSquares
from medrecon.spaces import Space

CENTER, NOISE, WEIGHT = 24, 0.005, 0.01
OURS = "medrecon, 5 x 4"


def scan(n: int, n_coils: int, *, head: bool) -> tuple[Tensor, Tensor]:
    """K-space `(coil, ky, kx)` of a phantom with noise, and the root sum of squares of its images without."""
    generator = torch.Generator().manual_seed(0)
    fine = (3 * n // 2, 3 * n // 2)
    maps = normalize_maps(birdcage_maps(n_coils, fine)) * background_phase(fine, generator)
    kspace = multicoil_kspace(brain() if head else shepp_logan(), maps, (n, n))
    A = operator(kspace, torch.ones(n, dtype=torch.bool))
    truth = RootSumOfSquares()(kspace, A)
    noise = torch.randn(kspace.shape, dtype=torch.complex64, generator=generator)
    return kspace + NOISE * float(truth.max()) * noise, truth


def operator(kspace: Tensor, sampled: Tensor) -> LinearOperator:
    """`Mask @ Fourier` of coil images."""
    fourier = Fourier(Space(("coil", "y", "x"), tuple(kspace.shape), is_complex=True))
    return Mask(sampled, fourier.range) @ fourier


def every(spacing: int, n: int) -> Tensor:
    """One line in `spacing`, and the middle ones."""
    sampled = torch.arange(n) % spacing == 0
    sampled[n // 2 - CENTER // 2 : n // 2 + CENTER // 2] = True
    return sampled


def alternating(calls: dict[str, Callable[[], Tensor]], repeats: int) -> dict[str, tuple[Tensor, float]]:
    """What each gives, and the median of its seconds; by turns."""
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    images = {}
    for _ in range(repeats):
        for name, call in calls.items():
            start = time.process_time()
            images[name] = call()
            seconds[name].append(time.process_time() - start)
    return {name: (images[name], statistics.median(seconds[name])) for name in calls}


def peer(kspace: Tensor, kernel: tuple[int, int]) -> Tensor:
    """The k-space that pygrappa fills, of its own format, coils last."""
    from pygrappa import grappa

    data = np.ascontiguousarray(kspace.movedim(0, -1).numpy())
    middle = data.shape[1] // 2
    calibration = data[:, middle - CENTER // 2 : middle + CENTER // 2].copy()
    filled = grappa(data, calibration, kernel_size=kernel, coil_axis=-1, lamda=WEIGHT)
    return torch.from_numpy(np.moveaxis(filled, -1, 0).astype(np.complex64))


def peer_image(y: Tensor, A: LinearOperator, kernel: tuple[int, int]) -> Tensor:
    """The image of the k-space that pygrappa fills."""
    return RootSumOfSquares()(peer(y, kernel), A)


def rows(n: int, n_coils: int, repeats: int) -> list[list[str]]:
    """A row for each scan, acceleration and program."""
    table = []
    for head in (True, False):
        kspace, truth = scan(n, n_coils, head=head)
        for spacing in (2, 3):
            sampled = every(spacing, n)
            y, A = kspace * sampled, operator(kspace, sampled)
            calls: dict[str, Callable[[], Tensor]] = {OURS: partial(Grappa(weight=WEIGHT), y, A)}
            for width in (5, 4 * spacing - 1):
                calls[f"pygrappa, 5 x {width}"] = partial(peer_image, y, A, (5, width))
            found = alternating(calls, repeats)
            for name, (image, seconds) in found.items():
                what = "brain" if head else "Shepp-Logan"
                times = f"{seconds:.2f}", f"{seconds / found[OURS][1]:.1f}"
                table.append([what, f"{spacing}x", name, *scores(image, truth), *times])
    return table


def scores(image: Tensor, truth: Tensor) -> tuple[str, str]:
    """PSNR of all, and with what lies outside of the object taken for right."""
    inside, most = truth > 0.1 * truth.max(), float(truth.max())
    of_object = psnr(torch.where(inside, image, truth), truth, data_range=most)
    return f"{psnr(image, truth, data_range=most):.2f}", f"{of_object:.2f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=192)
    parser.add_argument("--coils", type=int, default=8)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--keep", action="store_true")
    options = parser.parse_args()
    size, coils = options.size, options.coils
    publish(
        "grappa",
        f"GRAPPA of {coils} coils, {size} x {size}, {CENTER} calibration lines, noise {NOISE:g} of the peak",
        f"python performance/grappa_peers.py --size {size} --coils {coils} --repeats {options.repeats}",
        ["phantom", "", "program, kernel", "PSNR, dB", "of the object, dB", "s of one core", "times ours"],
        rows(size, coils, options.repeats),
        [
            "Both see the same k-space and regularize alike; images are root sums of squares, against that without noise."
        ],
        keep=options.keep,
    )


if __name__ == "__main__":
    main()
