"""MRI: what was done to a file of k-space, as values."""

from __future__ import annotations

from pathlib import Path

import torch

from medrecon.config import MaskSettings, RadialMaskSettings, ReconstructionSettings
from medrecon.data.mri.fastmri import FastMRIFile, KSpaceSample
from medrecon.reconstructor import Reconstructor
from medrecon.reconstructors import Sense, TotalVariation, WaveletSparsity
from medrecon.report.summary import Report, SliceResult
from medrecon.weights.learned import LearnedReconstructor

__all__ = ["kspace_report", "sampling_words"]


def kspace_report(
    file: FastMRIFile,
    output: Path | None,
    settings: ReconstructionSettings,
    reconstructor: Reconstructor,
    indices: range,
    shown: SliceResult,
) -> Report:
    """What was done to the slices `indices` of a file, as with the one that is shown; what is summed over them is left open."""
    weight, iterations = _parameters(reconstructor)
    weights = reconstructor.weights if isinstance(reconstructor, LearnedReconstructor) else None
    return Report(
        input=str(file.path),
        output="" if output is None else str(output),
        method=settings.method.kind.value,
        weight=weight,
        iterations=iterations,
        mask=None if settings.mask is None else _mask_values(settings.mask, file.path.name),
        sampling=shown.sampling,
        true_acceleration=shown.true_acceleration,
        coil_maps=shown.coil_maps,
        slices=len(indices),
        first_slice=indices[0],
        shape=(shown.image.shape[0], shown.image.shape[1]),
        device=settings.device.value,
        threads=torch.get_num_threads(),
        weights=None if weights is None else weights.name,
        execution=None if weights is None else str(weights.execution),
        pixel=_pixel(file),
    )


def _pixel(file: FastMRIFile) -> tuple[float, float] | None:
    """Height and width in millimeters: images lie on the grid of k-space, of which the scanner's matrix is cut out."""
    header = file.header
    fields = (header.encoded_fov, file.shape[-2:]), (header.recon_fov, header.recon_matrix[:2])
    for field, (rows, columns) in fields:
        if field is not None and field[0] > 0 and field[1] > 0:
            return field[0] / rows, field[1] / columns
    return None


def _parameters(reconstructor: Reconstructor) -> tuple[float | None, int | None]:
    match reconstructor:
        case Sense() | WaveletSparsity() | TotalVariation():
            return reconstructor.weight, reconstructor.iterations
        case _:
            return None, None


def _mask_values(mask: MaskSettings, name: str) -> dict[str, str | int | float]:
    """The mask asked for, with the defaults and the seed that stand for what was left open."""
    values: dict[str, str | int | float] = {"kind": mask.kind.value, "acceleration": mask.acceleration}
    if not isinstance(mask, RadialMaskSettings):
        values["center_fraction"] = mask.center
    return {**values, "seed": name if mask.seed is None else mask.seed}


def sampling_words(sample: KSpaceSample, kind: str) -> str:
    """Say which samples were acquired, or kept by a mask of this kind."""
    if sample.fully_sampled:
        return f"{kind}: fully sampled"
    left, right = sample.padding
    reachable = sample.sampled[..., left:right]
    unit = "lines" if reachable.ndim == 1 else "samples"
    count = f"{int(reachable.sum())} of {reachable.numel()} {unit}"
    return f"{kind}: {count}, true acceleration {sample.true_acceleration:.2f}"
