"""`medrecon demo`: the main job in one command, on simulated scans of both modalities."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from medrecon.commands.console import print_table, progress, say
from medrecon.config import SIMULATIONS, LearnedSettings, ReconstructionSettings, methods_of, settings_from
from medrecon.modality import Modality

if TYPE_CHECKING:
    from medrecon.progress import Progress
    from medrecon.results import Reconstruction

__all__ = ["demo"]

_COLUMNS = ("PSNR", "SSIM", "NMSE", "seconds")


@dataclass(frozen=True)
class _Part:
    """The simulated scan of a modality: what it is, and how it is taken, the options of its methods, and its picture.

    Images of the method `for_viewers` are written once more as `clinical`, as viewers take them.
    """

    modality: Modality
    scan: str
    simulated: str
    prefix: str
    picture: str
    simulation: Mapping[str, Any]
    acquisition: Mapping[str, Any]
    options: Mapping[str, Mapping[str, Any]]
    for_viewers: str
    clinical: str
    left_out: tuple[str, ...] = ()  # methods that take other scans


_PARTS = (
    _Part(
        modality=Modality.MRI,
        scan="brain_phantom.h5",
        simulated="a simulated brain scan, 12 coils",
        prefix="",
        picture="comparison.png",
        simulation={"coils": 12, "snr": 80.0},
        acquisition={"mask": {"kind": "equispaced-fraction", "acceleration": 4.0}},
        options={},
        for_viewers="sense",
        clinical="brain_dicom",
        left_out=("grappa",),  # takes lines of one distance
    ),
    _Part(
        modality=Modality.CT,
        scan="abdomen_phantom.h5",
        simulated="a simulated abdomen in 1/mm",
        prefix="ct-",
        picture="ct_comparison.png",
        simulation={"views": 60, "photons": 50_000.0},
        acquisition={},
        options={"fbp": {"window": "hann"}},
        for_viewers="fbp",
        clinical="abdomen.nii.gz",
    ),
)


def demo(
    folder: Annotated[Path, typer.Option(help="Where the files of the demo are written, and replaced.")] = Path("demo"),
    size: Annotated[int, typer.Option(help="Pixels along an axis.")] = 256,
) -> int:
    """Simulate an MRI scan of a brain phantom and a CT scan of an abdomen, reconstruct them by all methods, and compare.

    The MRI scan is undersampled four times; the CT scan has 60 views of a low dose. One image of each is written for viewers, as
    DICOM and NIfTI.

    Example: medrecon demo --folder demo
    """
    folder.mkdir(parents=True, exist_ok=True)
    with progress() as bar:
        found = [(part, _run(part, folder, size, bar)) for part in _PARTS]
    for number, (part, results) in enumerate(found):
        if number:
            say("")
        report = next(iter(results.values())).report
        say(f"{part.modality.upper()}: {report.input}; {report.measured}; scores by {report.metrics[0].protocol}")
        columns = tuple(name for name in _COLUMNS if name != "NMSE" or report.metrics[0].nmse is not None)
        print_table(("method", *columns), [[name, *_cells(done)] for name, done in results.items()], right=columns)
        say(f"images and error maps: {folder / part.picture}")
        say(f"for viewers: {folder / part.clinical}")
    return 0


def _run(part: _Part, folder: Path, size: int, bar: Progress) -> dict[str, Reconstruction]:
    from medrecon.data.outputs.image_format import ImageFormat
    from medrecon.data.outputs.output import OutputForm
    from medrecon.workflows import reconstruct_file, simulate_file

    scan = folder / part.scan
    simulation = settings_from(SIMULATIONS[part.modality], {"size": (size, size), **part.simulation})
    simulate_file(scan, simulation, overwrite=True, progress=bar)
    results = {}
    for name, method in methods_of(part.modality).items():
        if issubclass(method, LearnedSettings) or name in part.left_out:
            continue
        settings = settings_from(
            ReconstructionSettings,
            {
                "method": {"kind": name, **part.options.get(name, {})},
                "acquisition": {"modality": part.modality.value, **part.acquisition},
            },
        )
        output = folder / f"{part.prefix}{name}.h5"
        results[name] = reconstruct_file(scan, output, settings, overwrite=True, progress=bar)
        if name == part.for_viewers:
            clinical = folder / part.clinical
            form = OutputForm(None if clinical.suffix else ImageFormat.DICOM)
            reconstruct_file(scan, clinical, settings, form=form, overwrite=True, progress=bar)
    _draw(folder / part.picture, part, results)
    return results


def _draw(path: Path, part: _Part, results: Mapping[str, Reconstruction]) -> None:
    from medrecon.data.writing import atomic_file
    from medrecon.report.figures import compare, window_of

    first = next(iter(results.values()))
    target = first.shown.target
    assert target is not None
    heading = f"{part.simulated}; {first.report.measured}; {first.report.metrics[0].protocol}"
    with atomic_file(path, overwrite=True) as temporary:
        compare(
            temporary,
            {name: done.shown.image for name, done in results.items()},
            target,
            {name: "PSNR {} dB, SSIM {}".format(*_cells(done)[:2]) for name, done in results.items()},
            heading=heading,
            window=window_of(target, first.display),
        )


def _cells(done: Reconstruction) -> list[str]:
    metrics = done.report.metrics[0]
    nmse = [] if metrics.nmse is None else [f"{metrics.nmse:.5f}"]
    return [f"{metrics.psnr:.2f}", f"{metrics.ssim:.4f}", *nmse, f"{done.report.seconds:.2f}"]
