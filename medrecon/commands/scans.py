"""`medrecon inspect` and `medrecon simulate`: look into a file of raw data, and make one."""

from __future__ import annotations

import json
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from medrecon.commands.choices import chosen, parse_size, reject_options
from medrecon.commands.console import progress, say
from medrecon.config import CTPhantomName, CTSimulationSettings, PhantomName, SimulationSettings, settings_from
from medrecon.errors import InputError
from medrecon.words import counted

__all__ = ["inspect", "simulate"]


class ModalityName(StrEnum):
    """Kinds of scanner."""

    MRI = "mri"
    CT = "ct"


class AnyPhantomName(StrEnum):
    """The phantoms of all modalities."""

    BRAIN = "brain"
    SHEPP_LOGAN = "shepp-logan"
    ABDOMEN = "abdomen"


def inspect(
    file: Annotated[Path, typer.Argument(help="A file in the format of fastMRI, or of CT sinograms.")],
    geometry: Annotated[
        Path | None, typer.Option(help="CT: a YAML file that says how sinograms were measured, if they do not.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print values for programs, not words.")] = False,
) -> int:
    """Say what is in a file of raw k-space or of sinograms, and what is wrong with it.

    The exit status is 0 for a file that can be read, problems or not.

    Example: medrecon inspect scan.h5
    """
    from medrecon.data.modality import Format, find_format, open_sinograms
    from medrecon.scans.ct_inspection import inspect_sinograms, sinogram_lines
    from medrecon.scans.mri_inspection import inspect_kspace, kspace_lines

    if find_format(file) is Format.FASTMRI:
        reject_options({"geometry": geometry}, f"an option of CT, and {file} holds k-space of MRI")
        scan = inspect_kspace(file)
        values, text = asdict(scan), kspace_lines(scan)
    else:
        found = inspect_sinograms(open_sinograms(file, geometry))
        values, text = {"modality": "ct", **asdict(found)}, sinogram_lines(found)
    say(json.dumps(values, indent=2) if as_json else "\n".join(text))
    return 0


def simulate(
    output: Annotated[Path, typer.Argument(metavar="OUT.h5", help="The file to write.")],
    modality: Annotated[ModalityName, typer.Option(help="The scanner.")] = ModalityName.MRI,
    phantom: Annotated[
        AnyPhantomName | None,
        typer.Option(help="MRI: brain (unless given) or shepp-logan; CT: abdomen (unless given) or shepp-logan."),
    ] = None,
    size: Annotated[
        str | None, typer.Option(metavar="N or YxX", help="Pixels of the image, such as 320x368; 256 unless given.")
    ] = None,
    slices: Annotated[
        int | None, typer.Option(help="Number of slices; 1 unless given, all of a volume with --from.")
    ] = None,
    coils: Annotated[int | None, typer.Option(help="MRI: number of receive coils; 8 unless given.")] = None,
    snr: Annotated[
        float | None,
        typer.Option(help="MRI: signal over noise of the full scan; inf for no noise, 40 unless given."),
    ] = None,
    source: Annotated[
        Path | None,
        typer.Option("--from", help="CT: in place of a phantom a folder of DICOM slices, a NIfTI or NRRD volume."),
    ] = None,
    pixel: Annotated[
        float | None, typer.Option(help="CT: width of a pixel in mm; so that the phantom fits, unless given.")
    ] = None,
    views: Annotated[int | None, typer.Option(help="CT: over half a turn; 360 unless given.")] = None,
    bins: Annotated[int | None, typer.Option(help="CT: of the detector; as fine as the pixels unless given.")] = None,
    geometry: Annotated[
        Path | None, typer.Option(help="CT: a YAML file of the scanner; parallel rays unless given.")
    ] = None,
    photons: Annotated[float | None, typer.Option(help="CT: per ray, the dose; no noise unless given.")] = None,
    seed: Annotated[int, typer.Option(help="Of the noise, and of the phase in MRI.")] = 0,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a file that exists.")] = False,
) -> int:
    """Simulate a scan: fully sampled multi-coil k-space of a phantom, or CT sinograms of a phantom or a volume.

    Example: medrecon simulate scan.h5 --size 320x368 --slices 4 --coils 16

    Example: medrecon simulate sinogram.h5 --modality ct --phantom abdomen --views 720 --photons 50000
    """
    of_mri = {"coils": coils, "snr": snr}
    of_ct = {"pixel": pixel, "views": views, "bins": bins, "geometry": geometry, "photons": photons}
    pixels = None if size is None else parse_size(size)
    common = {"phantom": phantom, "size": pixels, "slices": slices, "seed": seed}
    settings: SimulationSettings | CTSimulationSettings
    if modality is ModalityName.MRI:
        reject_options({"from": source, **of_ct}, "an option of --modality ct")
        _require_phantom(phantom, PhantomName)
        settings = settings_from(SimulationSettings, chosen({**common, **of_mri}))
    else:
        reject_options(of_mri, "an option of --modality mri")
        _require_phantom(phantom, CTPhantomName)
        if source is not None:
            reject_options({"phantom": phantom}, "another object than that of --from")
        settings = settings_from(CTSimulationSettings, chosen({**common, **of_ct, "volume": source}))
    from medrecon.workflows import simulate_file

    with progress() as bar:
        simulate_file(output, settings, overwrite=overwrite, progress=bar)
    say("\n".join(_words(output, settings)))
    return 0


def _require_phantom(phantom: StrEnum | None, names: type[StrEnum]) -> None:
    if phantom is not None and phantom not in list(names):
        raise InputError(f"--phantom {phantom}: of this modality there are {', '.join(names)}; see --modality")


def _words(output: Path, settings: SimulationSettings | CTSimulationSettings) -> list[str]:
    if isinstance(settings, SimulationSettings):
        ny, nx = settings.size
        slices, coils = counted(settings.slices, "slice"), counted(settings.coils, "coil")
        return [f"{output}: {slices} of {ny} x {nx} pixels, {coils}, the {settings.phantom} phantom"]
    from medrecon.data.ct.sinogram_files import SinogramFile
    from medrecon.data.ct.words import geometry_words, grid_words

    file = SinogramFile(output)
    what = f"the {settings.phantom} phantom" if settings.volume is None else str(settings.volume)
    dose = "no noise" if file.scan.photons is None else f"{file.scan.photons:g} photons per ray"
    scan = file.scan
    first = f"{output}: {counted(len(file), 'sinogram')} of {what}, {grid_words(scan.grid)}, {dose}"
    return [first, geometry_words(scan.geometry), *(f"note: {note}" for note in file.notes)]
