"""`medrecon inspect` and `medrecon simulate`: look into a file of raw data, and make one."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated

import typer

from medrecon.commands.command_options import given, parse_size, reject_options
from medrecon.commands.console import progress, say
from medrecon.commands.options import (
    AllowExternalOption,
    AxesOption,
    CalibrationOption,
    DarkOption,
    FlatOption,
    SelectOption,
    parse_select,
    takes_options,
)
from medrecon.commands.standard_input import with_standard_input
from medrecon.config import settings_from
from medrecon.config.reconstruction import SIMULATIONS
from medrecon.modality import Modality

__all__ = ["inspect", "simulate"]

_FIELDS = {"from": "volume"}  # of options with names of their own


def inspect(
    file: Annotated[
        Path,
        typer.Argument(help="A file of k-space or projections, or a folder of TIFF or DICOM; - for standard input."),
    ],
    geometry: Annotated[
        Path | None, typer.Option(help="CT: a YAML file that says how sinograms were measured, if they do not.")
    ] = None,
    select: SelectOption = None,
    flat: FlatOption = None,
    dark: DarkOption = None,
    axes: AxesOption = None,
    calibration: CalibrationOption = None,
    allow_external: AllowExternalOption = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print values for programs, not words.")] = False,
) -> int:
    """Say what is in a file of raw k-space or of sinograms, or in a folder of DICOM, and what is wrong with it.

    The exit status is 0 for a file that can be read, problems or not.

    Example: medrecon inspect scan.h5
    """
    from medrecon.workflows.inspect import inspect_file

    said = given(
        {
            "geometry": geometry,
            "flat": flat,
            "dark": dark,
            "axes": axes,
            "calibration": calibration,
            "select": parse_select(select) or None,
            "allow_external": allow_external or None,
        }
    )
    with with_standard_input([file]) as named:
        found = inspect_file(named[0], said)
    say(json.dumps(found.values, indent=2) if as_json else "\n".join(found.lines))
    return 0


@dataclass(frozen=True, kw_only=True)
class SimulationOptions:
    """What is simulated, as the command line says it; None for what was not given."""

    phantom: Annotated[
        str | None,
        typer.Option(help="MRI: brain (unless given) or shepp-logan; CT: abdomen (unless given) or shepp-logan."),
    ] = None
    size: Annotated[
        str | None, typer.Option(metavar="N or YxX", help="Pixels of the image, such as 320x368; 256 unless given.")
    ] = None
    slices: Annotated[
        int | None, typer.Option(help="Number of slices; 1 unless given, all of a volume with --from.")
    ] = None
    coils: Annotated[int | None, typer.Option(help="MRI: number of receive coils; 8 unless given.")] = None
    snr: Annotated[
        float | None,
        typer.Option(help="MRI: signal over noise of the full scan; inf for no noise, 40 unless given."),
    ] = None
    source: Annotated[
        Path | None,
        typer.Option("--from", help="CT: in place of a phantom a folder of DICOM slices, a NIfTI or NRRD volume."),
    ] = None
    series: Annotated[
        str | None,
        typer.Option(
            metavar="UID", help="CT: the series to take of a folder of DICOM with several; inspect lists them."
        ),
    ] = None
    pixel: Annotated[
        float | None, typer.Option(help="CT: width of a pixel in mm; so that the phantom fits, unless given.")
    ] = None
    views: Annotated[int | None, typer.Option(help="CT: over half a turn; 360 unless given.")] = None
    bins: Annotated[int | None, typer.Option(help="CT: of the detector; as fine as the pixels unless given.")] = None
    geometry: Annotated[
        Path | None, typer.Option(help="CT: a YAML file of the scanner; parallel rays unless given.")
    ] = None
    photons: Annotated[float | None, typer.Option(help="CT: per ray, the dose; no noise unless given.")] = None
    seed: Annotated[int, typer.Option(help="Of the noise, and of the phase in MRI.")] = 0

    def given(self) -> dict[str, object]:
        """The options that were given, by their names, but for the seed."""
        values = {field.name: getattr(self, field.name) for field in fields(self) if field.name != "seed"}
        values |= {"size": None if self.size is None else parse_size(self.size), "from": values.pop("source")}
        return given(values)


@takes_options
def simulate(
    output: Annotated[Path, typer.Argument(metavar="OUT.h5", help="The file to write.")],
    options: SimulationOptions,
    modality: Annotated[Modality, typer.Option(help="The scanner.")] = Modality.MRI,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a file that exists.")] = False,
) -> int:
    """Simulate a scan: fully sampled multi-coil k-space of a phantom, or CT sinograms of a phantom or a volume.

    Example: medrecon simulate scan.h5 --size 320x368 --slices 4 --coils 16

    Example: medrecon simulate sinogram.h5 --modality ct --phantom abdomen --views 720 --photons 50000
    """
    chosen = options.given()
    kind = SIMULATIONS[modality]
    other = next(name for name in Modality if name is not modality)
    foreign = {name: value for name, value in chosen.items() if _FIELDS.get(name, name) not in kind.model_fields}
    reject_options(foreign, f"an option of --modality {other}")
    if options.source is None:
        reject_options({"series": options.series}, "one of the folder of --from")
    if options.source is not None:
        reject_options({"phantom": options.phantom}, "another object than that of --from")
    values = {_FIELDS.get(name, name): value for name, value in chosen.items()}
    settings = settings_from(kind, {**values, "seed": options.seed})
    from medrecon.workflows import simulate_file

    with progress() as bar:
        lines = simulate_file(output, settings, overwrite=overwrite, progress=bar)
    say("\n".join(lines))
    return 0
