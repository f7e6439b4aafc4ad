"""MRI: from settings to objects, and from files of k-space to files of images."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from medrecon.config import (
    LearnedSettings,
    LineMaskSettings,
    MaskName,
    MaskSettings,
    MethodSettings,
    PoissonMaskSettings,
    RadialMaskSettings,
    ReconstructionSettings,
    RootSumOfSquaresSettings,
    SenseSettings,
    TotalVariationSettings,
    WaveletSettings,
    WholeLineMaskSettings,
    ZeroFilledSettings,
)
from medrecon.data.mri.fastmri import FastMRIFile, KSpaceSample
from medrecon.data.mri.masks import (
    SamplingMask,
    equispaced_fraction_mask,
    equispaced_mask,
    magic_fraction_mask,
    magic_mask,
    mask_seed,
    random_mask,
)
from medrecon.data.mri.variable_density import gaussian_mask, poisson_mask, radial_mask
from medrecon.device import require_device
from medrecon.errors import InputError
from medrecon.evaluation import VolumeScore
from medrecon.problem import Problem, coil_problem, sense_problem
from medrecon.progress import Progress, silent
from medrecon.reconstructor import Reconstructor
from medrecon.reconstructors import RootSumOfSquares, Sense, TotalVariation, WaveletSparsity, ZeroFilled
from medrecon.report.summary import Metrics, Reconstruction, SliceResult
from medrecon.scans.learned_notes import mri_notes
from medrecon.scans.mri import Scan, as_trained, open_scan, pose_kspace, scaled
from medrecon.weights.learned import LearnedReconstructor, load_reconstructor, mri_weights
from medrecon.workflows.mri_report import kspace_report, sampling_words
from medrecon.workflows.output import open_output

__all__ = ["build_mask", "build_reconstructor", "pose_problem", "reconstruct_kspace"]


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
    output: Path | None,
    settings: ReconstructionSettings,
    *,
    overwrite: bool = False,
    progress: Progress = silent,
    watch: Callable[[SliceResult], None] | None = None,
) -> Reconstruction:
    """Reconstruct slices of a fastMRI file into `output`, one after the other; the output appears whole or not at all.

    Without an output nothing is written. `watch` sees each slice with its map of residuals, `|A.H(y - A x)|`, for methods that give
    the complex image `x` of their problem.

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
    with torch.no_grad(), open_output(output, overwrite=overwrite) as written:
        draw = None if settings.mask is None else partial(build_mask, settings.mask, name=source.name)
        scan = open_scan(file, indices, draw, progress)
        reconstructor = build_reconstructor(settings.method, device)
        score = None if scan.peak is None else VolumeScore(scan.peak)
        notes, seconds = dict.fromkeys((*file.notes, *scan.notes)), 0.0
        for place, index in enumerate(indices):
            result = _reconstruct_slice(
                scan, index, settings.method, reconstructor, device, residuals=watch is not None
            )
            written.append(result.image)
            if watch is not None:
                watch(result)
            if score is not None and result.target is not None:
                score = score.add(result.image, result.target)
            notes |= dict.fromkeys(result.notes)
            seconds += result.seconds
            if place == len(indices) // 2:
                shown = result
            progress(f"{source.name}: {settings.method.kind}", place + 1, len(indices))
        metrics = None if score is None else Metrics(score.psnr, score.ssim, score.nmse)
        if isinstance(reconstructor, LearnedReconstructor):
            notes |= dict.fromkeys(mri_notes(reconstructor, shown.true_acceleration))
        report = kspace_report(file, output, settings, reconstructor, indices, shown)
        report = replace(report, seconds=seconds, metrics=metrics, data_range=scan.peak, notes=tuple(notes))
        written.describe(report.attributes())
    return Reconstruction(report, shown, scan.peak)


def _reconstruct_slice(
    scan: Scan,
    index: int,
    method: MethodSettings,
    reconstructor: Reconstructor,
    device: torch.device,
    *,
    residuals: bool,
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
        x = reconstructor(problem.y, problem.A)
        image = problem.display_image(x).to(torch.float32).cpu() * scale
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
        sampling=sampling_words(sample, "as acquired" if scan.mask is None else scan.mask.kind),
        true_acceleration=sample.true_acceleration,
        coil_maps=problem.maps_origin,
        notes=problem.notes,
        seconds=seconds,
        residual=_residual(problem, x, scale) if residuals else None,
    )


def _residual(problem: Problem, x: Tensor, scale: float) -> Tensor | None:
    """`|A.H(y - A x)|`, `(y, x)`, as far as `x` is the complex image of the problem, and not made of one."""
    A = problem.A
    if not x.is_complex() or tuple(x.shape) != A.domain.shape or x.ndim != 2:
        return None
    return problem.display_image(A.H(problem.y - A(x))).to(torch.float32).cpu() * scale
