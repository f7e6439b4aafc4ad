"""`medrecon demo`: the main job in one command, on a simulated scan."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from medrecon.commands.console import print_table, progress, say
from medrecon.config import MethodName, ReconstructionSettings, SimulationSettings, settings_from

__all__ = ["demo"]

_COILS, _SNR = 12, 80.0


def demo(
    folder: Annotated[Path, typer.Option(help="Where the files of the demo are written, and replaced.")] = Path("demo"),
    size: Annotated[int, typer.Option(help="Pixels along an axis.")] = 256,
) -> int:
    """Simulate a scan of a brain phantom, reconstruct it at 4x by all methods, and compare them.

    Example: medrecon demo --folder demo
    """
    from medrecon.data.writing import atomic_file
    from medrecon.experiment import reconstruct_file, simulate_file
    from medrecon.report.figures import compare

    folder.mkdir(parents=True, exist_ok=True)
    scan, picture = folder / "brain_phantom.h5", folder / "comparison.png"
    rows, results = [], {}
    with progress() as bar:
        phantom = settings_from(SimulationSettings, {"size": (size, size), "coils": _COILS, "snr": _SNR})
        simulate_file(scan, phantom, overwrite=True, progress=bar)
        for method in MethodName:
            fields = {"method": {"kind": method}, "mask": {"kind": "equispaced-fraction", "acceleration": 4.0}}
            settings = settings_from(ReconstructionSettings, fields)
            done = reconstruct_file(scan, folder / f"{method}.h5", settings, overwrite=True, progress=bar)
            metrics = done.report.metrics
            assert metrics is not None
            results[method.value] = done
            quality = [f"{metrics.psnr:.2f}", f"{metrics.ssim:.4f}", f"{metrics.nmse:.5f}"]
            rows.append([method.value, *quality, f"{done.report.seconds:.2f}"])
        last = results[MethodName.TV.value]
        assert last.shown.target is not None
        with atomic_file(picture, overwrite=True) as path:
            images = {name: done.shown.image for name, done in results.items()}
            scores = {name: f"PSNR {row[1]} dB, SSIM {row[2]}" for name, row in zip(results, rows, strict=True)}
            heading = f"a simulated brain scan, {_COILS} coils, {last.report.sampling}"
            compare(path, images, last.shown.target, scores, heading=heading)
    say(f"scan: {scan}; {last.report.sampling}")
    print_table(("method", "PSNR", "SSIM", "NMSE", "seconds"), rows, right=("PSNR", "SSIM", "NMSE", "seconds"))
    say(f"images and error maps: {picture}")
    return 0
