"""Quality of the classical CT methods on real slices of other subjects than those their settings were chosen on.

    medrecon data fetch lodopab-small
    python benchmarks/lodopab_small.py [--keep] [--picture FOLDER]

LoDoPaB's simulation of 4096 photons a ray, with all 1000 views and with 60 of them. The settings of each method are those of the
best mean PSNR on slices of the validation subject; PSNR and SSIM are of the test subject, by LoDoPaB's protocol.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from tables import publish
from torch import Tensor

from medrecon.data.attenuation import MU_MAX
from medrecon.data.fetch import path
from medrecon.data.lodopab import LoDoPaB
from medrecon.data.sinograms import SinogramSample
from medrecon.evaluation import LODOPAB_PROTOCOL, MeanScore, image_range
from medrecon.geometry import Geometry
from medrecon.operators import Radon
from medrecon.reconstructors import (
    Cgls,
    FilteredBackprojection,
    NonnegativeTotalVariation,
    PoissonTotalVariation,
    Reconstructor,
    Sirt,
)
from medrecon.reconstructors.ramp import Window

VIEWS = (1000, 60)
VALIDATION_STEP = 3  # every third slice of the validation subject
BATCH = 8
FACTORS = (0.25, 0.5, 0.7, 1.0, 1.4, 2.0, 4.0, 8.0, 16.0)  # of the default weights
CUTOFFS = (1.0, 0.8, 0.641025641, 0.5, 0.4, 0.3, 0.2)  # the third is that of LoDoPaB's own baseline


def candidates() -> Mapping[str, Mapping[str, Reconstructor]]:
    """The settings that are searched, by method."""
    fbp = {
        f"{window.value}, {cutoff:.3g}": FilteredBackprojection(window, cutoff)
        for window in Window
        for cutoff in CUTOFFS
    }
    hann = {label: method for label, method in fbp.items() if label.startswith("hann")}
    sirt = {f"{n} iterations": replace(Sirt(), iterations=n) for n in (5, 10, 15, 20, 30, 40, 60)}
    weighted: dict[str, Cgls | NonnegativeTotalVariation | PoissonTotalVariation] = {
        "cgls": Cgls(),
        "tv": NonnegativeTotalVariation(),
        "tv-poisson": PoissonTotalVariation(photons=4096.0),
    }
    searched = {
        name: {f"weight {f * method.weight:.3g}": replace(method, weight=f * method.weight) for f in FACTORS}
        for name, method in weighted.items()
    }
    return {"fbp, hann": hann, "fbp, best window": fbp, "sirt": sirt, **searched}


def defaults() -> Mapping[str, Reconstructor]:
    """What the methods do unless asked otherwise."""
    fbp, poisson = FilteredBackprojection(), PoissonTotalVariation(photons=4096.0)
    given = {"fbp, hann": replace(fbp, window=Window.HANN), "fbp, best window": fbp}
    return {**given, "sirt": Sirt(), "cgls": Cgls(), "tv": NonnegativeTotalVariation(), "tv-poisson": poisson}


def batches(samples: Iterable[SinogramSample]) -> Iterable[list[SinogramSample]]:
    group: list[SinogramSample] = []
    for sample in samples:
        group.append(sample)
        if len(group) == BATCH:
            yield group
            group = []
    if group:
        yield group


def thinned(geometry: Geometry, views: int) -> list[int]:
    n = geometry.shape[0]
    return [math.floor((k + 0.5) * n / views) for k in range(views)]


def reconstruct(method: Reconstructor, group: Sequence[SinogramSample], views: int) -> Tensor:
    """Images `(n, y, x)` in LoDoPaB's normalised units."""
    geometry = group[0].geometry
    kept = list(range(geometry.shape[0])) if views == geometry.shape[0] else thinned(geometry, views)
    A = Radon(group[0].grid, geometry if views == geometry.shape[0] else geometry[kept])
    y = torch.stack([sample.sinogram[kept] for sample in group])
    with torch.no_grad():
        return method(y, A) / MU_MAX


def score(method: Reconstructor, samples: Sequence[SinogramSample], views: int) -> tuple[MeanScore, float]:
    total, seconds = MeanScore(), 0.0
    for group in batches(samples):
        start = time.perf_counter()
        images = reconstruct(method, group, views)
        seconds += time.perf_counter() - start
        for image, sample in zip(images, group, strict=True):
            assert sample.target is not None
            target = sample.target / MU_MAX
            total = total.add(image, target, data_range=image_range(target))
    return total, seconds / len(samples)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keep", action="store_true", help="write docs/benchmarks/lodopab_small.json")
    parser.add_argument("--picture", type=Path, help="a folder for pictures of a slice")
    parser.add_argument("--test", type=int, default=None, help="so many test slices alone, for a quick look")
    arguments = parser.parse_args()
    folder = path("lodopab-small")
    validation = [sample for index, sample in enumerate(LoDoPaB(folder, "validation")) if index % VALIDATION_STEP == 0]
    test = list(LoDoPaB(folder, "test"))[: arguments.test]
    rows, chosen = [], {}
    for views in VIEWS:
        for name, settings in candidates().items():
            found = {label: score(method, validation, views)[0].psnr for label, method in settings.items()}
            label = max(found, key=lambda key: found[key])
            print(views, name, {key: round(value, 2) for key, value in found.items()}, flush=True)
            result, seconds = score(settings[label], test, views)
            chosen[views, name] = settings[label]
            plain, _ = score(defaults()[name], test, views)
            quality = [f"{each.psnr:.2f} / {each.ssim:.3f}" for each in (plain, result)]
            rows.append([str(views), name, quality[0], label, quality[1], f"{seconds:.2f}"])
            print(rows[-1], flush=True)
    if arguments.picture is not None:
        show(arguments.picture, test[len(test) // 2], chosen)
    command = "python benchmarks/lodopab_small.py" + (" --keep" if arguments.keep else "")
    notes = [
        f"PSNR in dB / SSIM, protocol {LODOPAB_PROTOCOL}: the mean over {len(test)} slices of the test subject.",
        f"Settings chosen: the best mean PSNR over {len(validation)} slices of the validation subject.",
        f"Seconds are for a slice, in batches of {BATCH}.",
    ]
    columns = ["views", "method", "default", "settings chosen", "chosen", "seconds"]
    publish("lodopab_small", "Real CT slices, 4096 photons a ray", command, columns, rows, notes, keep=arguments.keep)


def show(folder: Path, sample: SinogramSample, chosen: Mapping[tuple[int, str], Reconstructor]) -> None:
    """Write a PNG a number of views: the target and all methods in one grey window, and below each its error."""
    import matplotlib.pyplot as plt

    folder.mkdir(parents=True, exist_ok=True)
    assert sample.target is not None
    target = sample.target / MU_MAX
    for views in VIEWS:
        images = {"target": target}
        for (n, name), method in chosen.items():
            if n == views:
                images[name] = reconstruct(method, [sample], views)[0]
        figure, axes = plt.subplots(2, len(images), figsize=(3 * len(images), 6.3), layout="constrained")
        for column, (name, image) in enumerate(images.items()):
            axes[0, column].imshow(image, cmap="gray", vmin=0.1, vmax=0.35)
            axes[0, column].set_title(name)
            axes[1, column].imshow((image - target).abs(), cmap="magma", vmin=0, vmax=0.06)
        for axis in axes.flat:
            axis.axis("off")
        figure.savefig(folder / f"lodopab_small_{views}.png", dpi=90)
        plt.close(figure)


if __name__ == "__main__":
    main()
