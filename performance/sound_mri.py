"""Sound k-space, simulated and real, by groups; see `false_alarms.py`."""

from __future__ import annotations

import importlib
import math
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import TypeAdapter

from medrecon.config.mri import MaskName, MaskSettings
from medrecon.data.mri.fastmri import FastMRIFile, KSpaceSample
from medrecon.data.mri.mr_volume import read_mr
from medrecon.data.mri.noise import add_noise
from medrecon.data.mri.receivers import draw_receiver, simulate_scan
from medrecon.data.mri.simulation import Simulation, simulate_volume
from medrecon.data.phantoms.mri_phantoms import brain_volume, shepp_logan_volume
from medrecon.data.sets.fetch import path
from medrecon.errors import InputError
from medrecon.operators import Mask, factor_of
from medrecon.problem import remove_oversampling, undersample
from medrecon.scans.masks import build_mask

Scans = Iterator[tuple[str, KSpaceSample]]
COILS, SIZES = (1, 2, 4, 16, 64), ((64, 64), (96, 128), (160, 128), (192, 192), (320, 256))
RATIOS = (10.0, 30.0, 100.0)
ACCELERATIONS = (4.0, 8.0)
HEADS = ("*_T1W.nii.gz", "*_T2W.nii.gz", "*_FLAIR.nii.gz", "*_inplaneT2.nii.gz")
SETTINGS: TypeAdapter[MaskSettings] = TypeAdapter(MaskSettings)


def groups(folders: Sequence[Path]) -> dict[str, Scans]:
    """The groups of scans by name, each read as it is asked for."""
    return {
        "MRI, demo": _demo(),
        "MRI, contract phantoms": _contracts(),
        "MRI, simulated: 1 to 64 coils": _of_coils(),
        "MRI, simulated: 64 to 320 pixels, every mask": _of_sizes(),
        "MRI, brain-small": _set("brain-small"),
        "MRI, brain-axt2": _set("brain-axt2"),
        "MRI, heads with simulated coils": _heads(folders),
        "MRI, measured at .055 T": _measured(folders),
    }


def masked(sample: KSpaceSample) -> Scans:
    """The sample in full, and by every mask."""
    yield "full", sample
    less = remove_oversampling(sample)
    ky, kx = less.kspace.shape[-2:]
    for kind in MaskName:
        for acceleration in ACCELERATIONS:
            settings = SETTINGS.validate_python({"kind": kind, "acceleration": acceleration, "seed": 1})
            try:
                mask = build_mask(settings, (ky, kx), "sound")
            except InputError:
                continue  # too small for it
            yield f"{kind} {acceleration:g}x", undersample(less, mask)


def _phantom(size: tuple[int, int], coils: int, *, brain: bool = True) -> KSpaceSample:
    phantom = brain_volume() if brain else shepp_logan_volume()
    kspace = next(iter(simulate_volume(Simulation(phantom, size, 1, coils, math.inf, coils))))
    return KSpaceSample.full(kspace, None, size, "sound")


def _with_noise(sample: KSpaceSample, snr: float) -> KSpaceSample:
    generator = torch.Generator().manual_seed(round(snr))
    return replace(sample, kspace=add_noise(sample.kspace, snr, generator))


def _named(prefix: str, scans: Scans) -> Scans:
    for name, sample in scans:
        yield f"{prefix}, {name}", sample


def _demo() -> Scans:
    yield from masked(_with_noise(_phantom((256, 256), 12), 80.0))


def _of_coils() -> Scans:
    for coils in COILS:
        for brain in (True, False):
            yield from _named(f"{coils} coils", _of_ratios(_phantom((128, 128), coils, brain=brain), with_masks=brain))


def _of_sizes() -> Scans:
    for size in SIZES:
        yield from _named(f"{size}", _of_ratios(_phantom(size, 8), with_masks=True))


def _of_ratios(sample: KSpaceSample, *, with_masks: bool) -> Scans:
    """The sample without noise and with, in full; by every mask at the middle one of the ratios."""
    yield "no noise", sample
    for snr in RATIOS:
        noisy = _with_noise(sample, snr)
        is_middle = with_masks and snr == RATIOS[1]
        yield from _named(f"SNR {snr:g}", masked(noisy) if is_middle else iter([("full", noisy)]))


def _contracts() -> Scans:
    """Those of the contract tests of the reconstructors."""
    sys.path.insert(0, str(Path(__file__).parent.parent))
    problems: Any = importlib.import_module("tests.problems")
    for shape in ((20, 18), (24, 20), (48, 40)):
        for seed in range(6):
            scan = problems.mri(shape, seed=seed, noise=0.02)
            sampled = factor_of(scan.A, Mask, "false alarms").pattern.flatten()
            kspace = scan.y[0].to(torch.complex64)
            full = KSpaceSample.full(kspace, None, shape, "sound")
            yield f"{shape}, seed {seed}", replace(full, sampled=sampled)


def _set(name: str) -> Scans:
    try:
        files = sorted(file for file in path(name).rglob("*.h5") if file.parent.name != "train")
    except InputError:
        return
    for file in map(FastMRIFile, files):
        for index in range(len(file)):
            scans = masked(file[index]) if index == len(file) // 2 else iter([("full", file[index])])
            yield from _named(f"{file.path.name} {index}", scans)


def _heads(folders: Sequence[Path]) -> Scans:
    files = [file for folder in folders for pattern in HEADS for file in sorted(folder.rglob(pattern))]
    for number, file in enumerate(files):
        volume = read_mr(file).magnitude
        plane = volume[len(volume) // 2]
        image = plane[: plane.shape[0] // 2 * 2, : plane.shape[1] // 2 * 2]
        image = image / image[image > image.max() / 10].mean()
        generator = torch.Generator().manual_seed(number)
        receiver = draw_receiver(generator, n_coils=(1, 4, 8, 12, 16, 20, 32)[number % 7])
        kspace, _ = simulate_scan(image, receiver, generator, oversampling=1)
        yield file.name, KSpaceSample.full(kspace, None, (image.shape[0], image.shape[1]), file.name)


def _measured(folders: Sequence[Path]) -> Scans:
    for file in (file for folder in folders for file in sorted(folder.rglob("kspace*.npz"))):
        with np.load(file) as held:
            for name in held:
                volume = torch.from_numpy(held[name]).to(torch.complex64)
                for index in range(volume.shape[-1]):
                    plane = volume[..., index][None].contiguous()
                    yield f"{name} {index}", KSpaceSample.full(plane, None, (plane.shape[1], plane.shape[2]), name)
