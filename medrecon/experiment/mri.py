"""MRI: from settings to objects, and from files of k-space to files of images."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import partial
from itertools import tee
from pathlib import Path

import torch
from torch import Tensor

from medrecon.config import (
    LearnedSettings,
    LineMaskSettings,
    MaskName,
    MaskSettings,
    MethodSettings,
    PhantomName,
    PoissonMaskSettings,
    RadialMaskSettings,
    ReconstructionSettings,
    RootSumOfSquaresSettings,
    SenseSettings,
    SimulationSettings,
    TotalVariationSettings,
    WaveletSettings,
    WholeLineMaskSettings,
    ZeroFilledSettings,
)
from medrecon.data.download import Progress, silent
from medrecon.data.fastmri import FastMRIFile, KSpaceSample
from medrecon.data.fastmri_header import make_header
from medrecon.data.masks import (
    SamplingMask,
    equispaced_fraction_mask,
    equispaced_mask,
    magic_fraction_mask,
    magic_mask,
    mask_seed,
    random_mask,
)
from medrecon.data.phantoms import brain_volume, shepp_logan_volume
from medrecon.data.simulation import Simulation, simulate_volume
from medrecon.data.variable_density import gaussian_mask, poisson_mask, radial_mask
from medrecon.data.writing import write_fastmri, write_reconstruction
from medrecon.errors import InputError
from medrecon.evaluation import VolumeScore
from medrecon.experiment.device import require_device
from medrecon.experiment.learned import (
    LearnedReconstructor,
    as_trained,
    load_reconstructor,
    mri_remarks,
    mri_weights,
    pose_kspace,
)
from medrecon.problem import Problem, coil_problem, full_reconstruction, sense_problem
from medrecon.reconstructors import (
    Reconstructor,
    RootSumOfSquares,
    Sense,
    TotalVariation,
    WaveletSparsity,
    ZeroFilled,
)
from medrecon.report.summary import Metrics, Reconstruction, Report, SliceResult
from medrecon.scan import Scan, open_scan, scaled

__all__ = ["build_mask", "build_reconstructor", "pose_problem", "reconstruct_kspace", "simulate_kspace"]


def build_reconstructor(settings: MethodSettings, device: torch.device | str = "cpu") -> Reconstructor:
    """Make the reconstructor; fields that were not chosen keep its defaults, and a network lies on the device.

    Raises
    ------
    InputError
        If the method takes trained weights that are not there, or do not fit.
    """
    match settings:
        case ZeroFilledSettings():
            return ZeroFilled()
        case RootSumOfSquaresSettings():
            return RootSumOfSquares()
        case SenseSettings():
            return replace(Sense(), **settings.chosen())
        case WaveletSettings():
            return replace(WaveletSparsity(), **settings.chosen())
        case TotalVariationSettings():
            return replace(TotalVariation(), **settings.chosen())
        case LearnedSettings():
            return load_reconstructor(mri_weights(settings), device)


def pose_problem(sample: KSpaceSample, method: MethodSettings, device: torch.device | str = "cpu") -> Problem:
    """The problem of a slice that the method solves: of coil images, or of one image seen through coil maps.

    Raises
    ------
    InputError
        If it takes coil maps and there are no calibration lines to estimate them from, or trained weights that are not there.
    """
    match method:
        case RootSumOfSquaresSettings():
            return coil_problem(sample, device=device)
        case LearnedSettings():
            return pose_kspace(sample, mri_weights(method), device)
        case _:
            return sense_problem(sample, device=device)


def build_mask(settings: MaskSettings, shape: tuple[int, int], name: str) -> SamplingMask:
    """Draw the mask for k-space of shape `(ky, kx)` of the file `name`, which is its seed where none is chosen.

    Raises
    ------
    InputError
        If k-space is too small for what is asked.
    """
    seed = mask_seed(name) if settings.seed is None else settings.seed
    rate, width = settings.acceleration, shape[1]
    try:
        match settings:
            case RadialMaskSettings():
                return radial_mask(shape, rate, seed)
            case PoissonMaskSettings():
                center = round(settings.center * shape[0]), round(settings.center * width)
                return poisson_mask(shape, rate, center, seed)
            case LineMaskSettings(kind=MaskName.RANDOM):
                return random_mask(width, rate, settings.center, seed)
            case LineMaskSettings(kind=MaskName.EQUISPACED_FRACTION):
                return equispaced_fraction_mask(width, rate, settings.center, seed)
            case LineMaskSettings(kind=MaskName.MAGIC_FRACTION):
                return magic_fraction_mask(width, rate, settings.center, seed)
            case LineMaskSettings():
                return gaussian_mask(width, rate, settings.center, seed)
            case WholeLineMaskSettings(kind=MaskName.EQUISPACED):
                return equispaced_mask(width, rate, settings.center, seed)
            case WholeLineMaskSettings():
                return magic_mask(width, rate, settings.center, seed)
    except ValueError as error:
        raise InputError(f"{name}: {error}") from error


def reconstruct_kspace(
    source: Path,
    output: Path,
    settings: ReconstructionSettings,
    *,
    overwrite: bool = False,
    progress: Progress = silent,
) -> Reconstruction:
    """Reconstruct slices of a fastMRI file into `output`, one after the other; the output appears whole or not at all.

    With a mask the scan must be fully sampled: it is undersampled, and scored against its full reconstruction. Without one, the
    target that the file holds, if any, is taken. All slices are read once before the first is reconstructed, so that a fault in
    any of them is found early, and the maximum of the target is known.

    Raises
    ------
    InputError
        If the file, one of its slices, or the output cannot be used.
    """
    device = require_device(settings.device)
    file = FastMRIFile(source)
    indices = settings.slices.of(len(file), str(source))
    with torch.no_grad(), write_reconstruction(output, overwrite=overwrite) as written:
        draw = None if settings.mask is None else partial(build_mask, settings.mask, name=source.name)
        scan = open_scan(file, indices, draw, progress)
        reconstructor = build_reconstructor(settings.method, device)
        score = None if scan.peak is None else VolumeScore(scan.peak)
        remarks, seconds = dict.fromkeys((*file.notes, *scan.remarks)), 0.0
        for place, index in enumerate(indices):
            result = _reconstruct_slice(scan, index, settings.method, reconstructor, device)
            written.append(result.image)
            if score is not None and result.target is not None:
                score = score.add(result.image, result.target)
            remarks |= dict.fromkeys(result.remarks)
            seconds += result.seconds
            if place == len(indices) // 2:
                shown = result
            progress(f"{source.name}: {settings.method.kind}", place + 1, len(indices))
        metrics = None if score is None else Metrics(score.psnr, score.ssim, score.nmse)
        if isinstance(reconstructor, LearnedReconstructor):
            remarks |= dict.fromkeys(mri_remarks(reconstructor.weights, shown.true_acceleration))
        report = _report(source, output, settings, reconstructor, indices, shown)
        report = replace(report, seconds=seconds, metrics=metrics, data_range=scan.peak, remarks=tuple(remarks))
        written.describe(report.attributes())
    return Reconstruction(report, shown, scan.peak)


def simulate_kspace(
    output: Path, settings: SimulationSettings, *, overwrite: bool = False, progress: Progress = silent
) -> None:
    """Write the scan of a phantom as a fully sampled file in the format of fastMRI, with its target.

    Raises
    ------
    InputError
        If the file cannot be written.
    """
    phantom = brain_volume() if settings.phantom is PhantomName.BRAIN else shepp_logan_volume()
    ny, nx = settings.size
    scan = Simulation(phantom, (ny, nx), settings.slices, settings.coils, settings.snr, settings.seed)
    header = make_header((2 * ny, nx), (ny, nx), acquisition=f"simulated {settings.phantom}", patient_id="phantom")
    slices, copies = tee(_told(simulate_volume(scan), progress, output.name, settings.slices))
    targets = (_full_image(kspace, (ny, nx)) for kspace in copies)
    write_fastmri(output, slices, header=header, targets=targets, overwrite=overwrite)


def _told(slices: Iterable[Tensor], progress: Progress, name: str, count: int) -> Iterator[Tensor]:
    for done, kspace in enumerate(slices, start=1):
        yield kspace
        progress(name, done, count)


def _full_image(kspace: Tensor, matrix: tuple[int, int]) -> Tensor:
    lines = torch.ones(kspace.shape[-1], dtype=torch.bool)
    return full_reconstruction(KSpaceSample(kspace, lines, None, matrix, "", 0, None, 2.0, (0, kspace.shape[-1])))


def _reconstruct_slice(
    scan: Scan, index: int, method: MethodSettings, reconstructor: Reconstructor, device: torch.device
) -> SliceResult:
    sample, target = scan.read(index)
    pose: Callable[[KSpaceSample], Problem] = partial(pose_problem, method=method, device=device)
    if isinstance(reconstructor, LearnedReconstructor):
        sample = as_trained(sample, scan, reconstructor.weights)
        pose = partial(pose_kspace, weights=reconstructor.weights, device=device)
    start = time.perf_counter()
    less, scale = scaled(sample)
    problem = pose(less)
    try:
        image = problem.picture(reconstructor(problem.y, problem.A)).to(torch.float32).cpu() * scale
    except ArithmeticError as error:
        raise InputError(f"{scan.file.path}: slice {index}: {error}; choose another weight or method") from error
    except ValueError as error:
        raise InputError(f"{scan.file.path}: slice {index}: {error}") from error
    seconds = time.perf_counter() - start
    if not bool(image.isfinite().all()):
        raise InputError(f"{scan.file.path}: slice {index}: the image is too bright for float32; scale k-space down")
    return SliceResult(
        index=index,
        image=image,
        target=target,
        sampled=sample.sampled,
        sampling=_sampling_words(sample, "as acquired" if scan.mask is None else scan.mask.kind),
        true_acceleration=sample.true_acceleration,
        coil_maps=problem.maps,
        remarks=problem.remarks,
        seconds=seconds,
    )


def _report(
    source: Path,
    output: Path,
    settings: ReconstructionSettings,
    reconstructor: Reconstructor,
    indices: range,
    shown: SliceResult,
) -> Report:
    weight, iterations = _parameters(reconstructor)
    return Report(
        input=str(source),
        output=str(output),
        method=settings.method.kind.value,
        weight=weight,
        iterations=iterations,
        mask=None if settings.mask is None else _mask_values(settings.mask, source.name),
        sampling=shown.sampling,
        true_acceleration=shown.true_acceleration,
        coil_maps=shown.coil_maps,
        slices=len(indices),
        first_slice=indices[0],
        shape=(shown.image.shape[0], shown.image.shape[1]),
        device=settings.device.value,
        threads=torch.get_num_threads(),
        weights=reconstructor.weights.name if isinstance(reconstructor, LearnedReconstructor) else None,
    )


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


def _sampling_words(sample: KSpaceSample, kind: str) -> str:
    if sample.fully_sampled:
        return f"{kind}: fully sampled"
    left, right = sample.padding
    reachable = sample.sampled[..., left:right]
    unit = "lines" if reachable.ndim == 1 else "samples"
    count = f"{int(reachable.sum())} of {reachable.numel()} {unit}"
    return f"{kind}: {count}, true acceleration {sample.true_acceleration:.2f}"
