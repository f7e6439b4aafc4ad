"""`medrecon demo`: the main job in one command, on simulated scans of both modalities."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from medrecon.commands.console import print_table, progress, say
from medrecon.config import (
    CTMethodName,
    CTReconstructionSettings,
    CTSimulationSettings,
    MethodName,
    ReconstructionSettings,
    SimulationSettings,
    settings_from,
)

if TYPE_CHECKING:
    from medrecon.progress import Progress
    from medrecon.report.ct_summary import CTReconstruction
    from medrecon.report.summary import Reconstruction

__all__ = ["demo"]

_COILS, _SNR = 12, 80.0
_VIEWS, _PHOTONS = 60, 50_000.0


def demo(
    folder: Annotated[Path, typer.Option(help="Where the files of the demo are written, and replaced.")] = Path("demo"),
    size: Annotated[int, typer.Option(help="Pixels along an axis.")] = 256,
) -> int:
    """Simulate an MRI scan of a brain phantom and a CT scan of an abdomen, reconstruct them by all methods, and compare.

    The MRI scan is undersampled four times; the CT scan has 60 views of a low dose.

    Example: medrecon demo --folder demo
    """
    from medrecon.evaluation import LODOPAB_PROTOCOL, PROTOCOL

    folder.mkdir(parents=True, exist_ok=True)
    with progress() as bar:
        mri = _mri(folder, size, bar)
        ct = _ct(folder, size, bar)
    first = next(iter(mri.values())).report
    say(f"MRI: {first.input}; {first.sampling}; scores by {PROTOCOL}")
    columns = ("PSNR", "SSIM", "NMSE", "seconds")
    print_table(("method", *columns), [_mri_row(name, done) for name, done in mri.items()], right=columns)
    say(f"images and error maps: {folder / 'comparison.png'}")
    say("")
    say(
        f"CT: {next(iter(ct.values())).report.input}; {_VIEWS} views, {_PHOTONS:g} photons per ray; scores by {LODOPAB_PROTOCOL}"
    )
    numbers = ("PSNR", "SSIM", "seconds")
    print_table(("method", *numbers), [_ct_row(name, done) for name, done in ct.items()], right=numbers)
    say(f"images and error maps: {folder / 'ct_comparison.png'}")
    return 0


def _mri(folder: Path, size: int, bar: Progress) -> Mapping[str, Reconstruction]:
    from medrecon.data.writing import atomic_file
    from medrecon.evaluation import PROTOCOL
    from medrecon.report.figures import compare
    from medrecon.workflows import reconstruct_file, simulate_file

    scan = folder / "brain_phantom.h5"
    phantom = settings_from(SimulationSettings, {"size": (size, size), "coils": _COILS, "snr": _SNR})
    simulate_file(scan, phantom, overwrite=True, progress=bar)
    results = {}
    for method in MethodName:
        fields = {"method": {"kind": method}, "mask": {"kind": "equispaced-fraction", "acceleration": 4.0}}
        settings = settings_from(ReconstructionSettings, fields)
        results[method.value] = reconstruct_file(scan, folder / f"{method}.h5", settings, overwrite=True, progress=bar)
    shown = results[MethodName.TV.value]
    assert shown.shown.target is not None
    with atomic_file(folder / "comparison.png", overwrite=True) as path:
        images = {name: done.shown.image for name, done in results.items()}
        scores = {name: _score(_mri_row(name, done)) for name, done in results.items()}
        heading = f"a simulated brain scan, {_COILS} coils, {shown.report.sampling}; {PROTOCOL}"
        compare(path, images, shown.shown.target, scores, heading=heading)
    return results


def _ct(folder: Path, size: int, bar: Progress) -> Mapping[str, CTReconstruction]:
    from medrecon.data.writing import atomic_file
    from medrecon.evaluation import LODOPAB_PROTOCOL
    from medrecon.figures import gray_window
    from medrecon.report.figures import compare
    from medrecon.workflows import reconstruct_file, simulate_file

    scan = folder / "abdomen_phantom.h5"
    fields = {"size": (size, size), "views": _VIEWS, "photons": _PHOTONS}
    simulate_file(scan, settings_from(CTSimulationSettings, fields), overwrite=True, progress=bar)
    results = {}
    for method in CTMethodName:
        window = {"window": "hann"} if method is CTMethodName.FBP else {}
        settings = settings_from(CTReconstructionSettings, {"method": {"kind": method, **window}})
        results[method.value] = reconstruct_file(
            scan, folder / f"ct-{method}.h5", settings, overwrite=True, progress=bar
        )
    target = results[CTMethodName.TV.value].shown.target
    assert target is not None
    with atomic_file(folder / "ct_comparison.png", overwrite=True) as path:
        images = {name: done.shown.image for name, done in results.items()}
        scores = {name: _score(_ct_row(name, done)) for name, done in results.items()}
        heading = f"a simulated abdomen in 1/mm, {_VIEWS} views, {_PHOTONS:g} photons per ray; {LODOPAB_PROTOCOL}"
        compare(path, images, target, scores, heading=heading, window=gray_window(target))
    return results


def _mri_row(name: str, done: Reconstruction) -> list[str]:
    metrics = done.report.metrics
    assert metrics is not None
    return [
        name,
        f"{metrics.psnr:.2f}",
        f"{metrics.ssim:.4f}",
        f"{metrics.nmse:.5f}",
        f"{done.report.seconds:.2f}",
    ]


def _ct_row(name: str, done: CTReconstruction) -> list[str]:
    metrics = done.report.metrics
    assert metrics is not None
    return [name, f"{metrics.psnr:.2f}", f"{metrics.ssim:.4f}", f"{done.report.seconds:.2f}"]


def _score(row: list[str]) -> str:
    return f"PSNR {row[1]} dB, SSIM {row[2]}"
