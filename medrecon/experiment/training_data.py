"""From settings to the samples that a network learns from, and to those that it is validated on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from medrecon.config.mri import MaskSettings
from medrecon.config.training_data import (
    AugmentationSettings,
    BrainSmallData,
    DataSettings,
    FastMRIData,
    LoDoPaBData,
    MRIData,
    PhantomCTData,
    PhantomMRIData,
)
from medrecon.data.batches import derived_seed
from medrecon.data.brain_small import HeadImages
from medrecon.data.fetch import path as dataset_path
from medrecon.data.lodopab import LoDoPaB
from medrecon.data.masks import SamplingMask
from medrecon.errors import InputError
from medrecon.experiment.mri import build_mask
from medrecon.experiment.networks import build_normalisation
from medrecon.problem import coil_problem, sense_problem
from medrecon.training.augmentation import Augmentation, ContrastAugmentation
from medrecon.training.card import DataDescription, describe_manifest
from medrecon.training.ct import Dose, PhantomSinograms, SinogramExamples, Sinograms
from medrecon.training.curriculum import Curriculum
from medrecon.training.examples import Examples
from medrecon.training.heads import HeadScans
from medrecon.training.mri import CoilSimulation, FastMRISlices, ImageSlices, KSpaceExamples, PhantomImages, Slices

__all__ = ["build_examples", "describe_data"]

_GENERATED = DataDescription("random phantoms", "none: the images are generated", "")


def build_examples(data: DataSettings, seed: int) -> tuple[Examples, Examples]:
    """Make the samples of training and of validation.

    Raises
    ------
    InputError
        If data are missing; the text says which command gets them.
    """
    match data:
        case FastMRIData():
            folder = _folder(data.dataset, data.folder)
            names = (data.train, data.validation)
            training, validation = (FastMRISlices(_inside(folder, name, data.dataset)) for name in names)
            return _kspace(data, training, seed), _kspace(data, validation, None)
        case BrainSmallData():
            folder = _folder("brain-small", data.folder)
            contrast = ContrastAugmentation(data.contrast)
            heads = HeadScans(HeadImages(folder), _augmentation(data.augmentation), contrast, seed, data.repeats)
            held = FastMRISlices(_inside(folder, "validation", "brain-small"))
            return _kspace(data, heads, seed), _kspace(data, held, None)
        case PhantomMRIData():
            return _kspace(data, _phantoms(data, seed, 0), seed), _kspace(data, _phantoms(data, seed, 1), None)
        case LoDoPaBData():
            folder = _folder(data.dataset, data.folder)
            return _sinograms(data, LoDoPaB(folder, data.train), seed), _sinograms(
                data, LoDoPaB(folder, data.validation), None
            )
        case PhantomCTData():
            parts = (
                PhantomSinograms(count, data.size, data.all_views, derived_seed(seed, part))
                for part, count in enumerate((data.train, data.validation))
            )
            return _sinograms(data, next(parts), seed), _sinograms(data, next(parts), None)


def describe_data(data: DataSettings) -> tuple[DataDescription, str]:
    """Say where the samples come from, and how they are split."""
    match data:
        case FastMRIData() | LoDoPaBData():
            return describe_manifest(data.dataset), f"trained on {data.train}, chosen on {data.validation}"
        case BrainSmallData():
            return describe_manifest("brain-small"), "by subject: trained on images of train, chosen on validation"
        case PhantomMRIData() | PhantomCTData():
            return _GENERATED, f"trained on {data.train} phantoms, chosen on {data.validation} others"


@dataclass(frozen=True)
class _Draw:
    """Masks of these settings; a seed stands in for theirs."""

    settings: MaskSettings

    def __call__(self, shape: tuple[int, int], name: str, seed: int | None) -> SamplingMask:
        settings = self.settings if seed is None else self.settings.model_copy(update={"seed": seed})
        return build_mask(settings, shape, name)


def _folder(name: str, given: Path | None) -> Path:
    """Where a data set lies: where it was said, or where medrecon puts it."""
    if given is None:
        return dataset_path(name)
    if not given.is_dir():
        raise InputError(
            f"data.folder: {given} is no folder; leave it out and run `medrecon data fetch {name}`, or name the one that holds it"
        )
    return given


def _inside(folder: Path, part: str, name: str) -> Path:
    found = folder / part
    if not found.is_dir():
        raise InputError(
            f"{found}: is no folder; unpack {part} there (`medrecon data fetch {name}` says how to get it), or set data.folder, "
            "data.train and data.validation"
        )
    return found


def _phantoms(data: PhantomMRIData, seed: int, part: int) -> ImageSlices:
    count = (data.train, data.validation)[part]
    own, augmentation = derived_seed(seed, part), _augmentation(data.augmentation)
    simulate = CoilSimulation(data.coils, data.snr)
    return ImageSlices(PhantomImages(count, data.size, own), simulate, augmentation, own, "phantom")


def _augmentation(settings: AugmentationSettings) -> Augmentation:
    return Augmentation(**settings.model_dump())


def _kspace(data: MRIData, slices: Slices, seed: int | None) -> KSpaceExamples:
    masks = Curriculum(_draws(data.masks), tuple((stage.until, _draws(stage.masks)) for stage in data.curriculum))
    pose = sense_problem if data.operator == "sense" else coil_problem
    bands = Curriculum[int | None](None, tuple((stage.until, stage.rows) for stage in data.bands))
    return KSpaceExamples(slices, masks, pose, build_normalisation(data.normalisation), seed, bands)


def _draws(masks: tuple[MaskSettings, ...]) -> tuple[_Draw, ...]:
    return tuple(_Draw(settings) for settings in masks)


def _sinograms(data: LoDoPaBData | PhantomCTData, sinograms: Sinograms, seed: int | None) -> SinogramExamples:
    earlier = tuple((stage.until, Dose(stage.views, stage.photons)) for stage in data.curriculum)
    dose = Curriculum(Dose(data.views, data.photons), earlier)
    return SinogramExamples(sinograms, dose, build_normalisation(data.normalisation), seed, data.flips)
