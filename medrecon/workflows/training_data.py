"""From settings to the samples that a network learns from, and to those that it is validated on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from medrecon.config.mri import MaskSettings
from medrecon.config.training_data import (
    AugmentationSettings,
    BrainSmallData,
    DataSettings,
    DenoisingData,
    DrawnCTData,
    DrawnMRIData,
    FastMRIData,
    ImageSetSettings,
    LoDoPaBData,
    MRIData,
    PhantomCTData,
    PhantomMRIData,
    RemeasureSettings,
)
from medrecon.data.batches import derived_seed
from medrecon.data.ct.lodopab import LoDoPaB
from medrecon.data.mri.masks import SamplingMask
from medrecon.data.sets.ct_open import CTImages
from medrecon.data.sets.fetch import path as dataset_path
from medrecon.data.sets.head_images import HeadImages
from medrecon.data.sets.lodopab_small import simulation_grid
from medrecon.data.sizes import require_rays
from medrecon.errors import InputError
from medrecon.geometry import lodopab
from medrecon.memory import require_memory
from medrecon.problem import coil_problem, radon, sense_problem
from medrecon.scans.masks import build_mask
from medrecon.training.augmentation import Augmentation, Blur, ContrastAugmentation
from medrecon.training.ct import Dose, PhantomSinograms, Remeasurement, Sinograms, SinogramTrainingSet
from medrecon.training.curriculum import Curriculum
from medrecon.training.drawn import DrawnScans
from medrecon.training.mri import CoilSimulation, FastMRISlices, ImageSlices, KSpaceTrainingSet, PhantomImages, Slices
from medrecon.training.noisy_images import (
    CTSlices,
    Heads,
    HeadTargets,
    ImageSource,
    NoisyImages,
    SinogramTargets,
    Some,
)
from medrecon.training.samples import TrainingSet
from medrecon.training.simulated_brains import HeadScans
from medrecon.weights.card import DataDescription, describe_manifest, describe_manifests
from medrecon.weights.networks import build_normalization
from medrecon.words import counted

__all__ = ["build_held_set", "build_training_sets", "describe_data", "was_trained_on"]

_PHANTOM_PARTS = ("train", "validation", "test")
_SAMPLE_BYTES = 1000  # of each sample, in lists of what is read when
_COIL_PIXEL_BYTES = 100  # of k-space, maps, images of coils, and what a network keeps of them
_BY_SUBJECT = "by subject: trained on images of train, chosen on validation"
_GENERATED = DataDescription("random phantoms", "none: the images are generated", "")


def build_training_sets(data: DataSettings, seed: int) -> tuple[TrainingSet, TrainingSet]:
    """Make the samples of training and of validation.

    Raises
    ------
    InputError
        If data are missing; the text says which command gets them.
    """
    match data:
        case FastMRIData():
            return _kspace(data, _fastmri(data, data.train), seed), build_held_set(data, data.validation, seed)
        case BrainSmallData():
            images = HeadImages(_folder("brain-small", data.folder))
            contrast = ContrastAugmentation(data.contrast)
            heads = HeadScans(images, _augmentation(data.augmentation), contrast, seed, data.repeats)
            return _kspace(data, heads, seed), build_held_set(data, "validation", seed)
        case PhantomMRIData():
            return _kspace(data, _phantoms(data, seed, "train"), seed), build_held_set(data, "validation", seed)
        case LoDoPaBData():
            sinograms = _lodopab(data, data.train)
            anew = None if data.remeasure is None else _remeasurement(data.remeasure)
            return _sinograms(data, sinograms, seed, anew), build_held_set(data, data.validation, seed)
        case PhantomCTData():
            made = _phantom_sinograms(data, seed, "train")
            return _sinograms(data, made, seed), build_held_set(data, "validation", seed)
        case DenoisingData():
            return _noisy(data, _image_sources(data.sets, "train"), seed), build_held_set(data, "validation", seed)
        case DrawnMRIData() | DrawnCTData():
            return _drawn(data, _image_sources(data.sets, "train"), seed), build_held_set(data, "validation", seed)


def build_held_set(data: DataSettings, part: str, seed: int) -> TrainingSet:
    """Make the samples of a part that nothing is learned from: each as it is, and its mask the same in every epoch.

    Parameters
    ----------
    data
        of a training.
    part
        "validation" or "test"; of fastMRI's files a folder, such as "multicoil_val".
    seed
        of the training, which random phantoms come from.

    Raises
    ------
    InputError
        If data are missing, or there is no such part.
    """
    match data:
        case FastMRIData():
            return _kspace(data, _fastmri(data, part), None)
        case BrainSmallData():
            folder = _folder("brain-small", data.folder)
            return _kspace(data, FastMRISlices(_inside(folder, part, "brain-small")), None)
        case PhantomMRIData():
            return _kspace(data, _phantoms(data, seed, part), None)
        case LoDoPaBData():
            return _sinograms(data, _lodopab(data, part), None)
        case PhantomCTData():
            return _sinograms(data, _phantom_sinograms(data, seed, part), None)
        case DenoisingData():
            return _noisy(data, _image_sources(data.sets, part, data.validation), None)
        case DrawnMRIData() | DrawnCTData():
            return _drawn(data, _image_sources(data.sets, part, data.validation), None)


def was_trained_on(data: DataSettings, part: str) -> bool:
    """Whether the samples of a part are among those that the training learns from.

    Raises
    ------
    InputError
        If data are missing.
    """
    if not isinstance(data, FastMRIData):
        return Path(part) in (Path("train"), Path(str(getattr(data, "train", "train"))))
    folder = _folder(data.dataset, data.folder)
    held, learned = ((folder / name).resolve() for name in (part, data.train))
    return held.is_relative_to(learned) or learned.is_relative_to(held)


def describe_data(data: DataSettings) -> tuple[DataDescription, str]:
    """Say where the samples come from, and how they are split."""
    match data:
        case FastMRIData() | LoDoPaBData():
            return describe_manifest(data.dataset), f"trained on {data.train}, chosen on {data.validation}"
        case BrainSmallData():
            return describe_manifest("brain-small"), _BY_SUBJECT
        case DenoisingData() | DrawnMRIData() | DrawnCTData():
            return describe_manifests([one.name for one in data.sets]), _BY_SUBJECT
        case PhantomMRIData() | PhantomCTData():
            return (
                _GENERATED,
                f"trained on {counted(data.train, 'phantom')}, chosen on {counted(data.validation, 'other')}",
            )


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


def _fastmri(data: FastMRIData, part: str) -> FastMRISlices:
    folder = _inside(_folder(data.dataset, data.folder), part, data.dataset)
    return FastMRISlices(folder, data.accept, allow_external=data.allow_external)


def _lodopab(data: LoDoPaBData, part: str) -> LoDoPaB:
    return LoDoPaB(_folder(data.dataset, data.folder), part, allow_external=data.allow_external)


def _image_source(settings: ImageSetSettings, part: str) -> ImageSource:
    folder = _folder(settings.name, settings.folder)
    match settings.name:
        case "heads-open":
            return Heads(HeadImages(folder, part))
        case "brain-small":
            if part == "train":
                return Heads(HeadImages(folder, part))
            return HeadTargets(FastMRISlices(_inside(folder, part, settings.name)))
        case "ct-open":
            return CTSlices(CTImages(folder, part))
        case "lodopab-small":
            return SinogramTargets(LoDoPaB(folder, part))


def _image_sources(sets: Sequence[ImageSetSettings], part: str, count: int | None = None) -> list[ImageSource]:
    """The images of a part: in training as often as they are repeated, else at most so many of each set."""
    found = [_image_source(one, part) for one in sets]
    if count is not None:
        return [Some(source, count) for source in found]
    return [source for one, source in zip(sets, found, strict=True) for _ in range(one.repeats)]


def _drawn(data: DrawnMRIData | DrawnCTData, sources: Sequence[ImageSource], seed: int | None) -> DrawnScans:
    is_mri = isinstance(data, DrawnMRIData)
    if any(source.is_complex != is_mri for source in sources):
        raise InputError(f"data.sets: {data.kind} takes sets of {'heads' if is_mri else 'CT'}; take those alone")
    contrast = ContrastAugmentation(data.contrast if isinstance(data, DrawnMRIData) else 0.0)
    normalization = build_normalization(data.normalization)
    return DrawnScans(sources, data.protocols, normalization, _augmentation(data.augmentation), contrast, seed)


def _noisy(data: DenoisingData, sources: Sequence[ImageSource], seed: int | None) -> NoisyImages:
    contrast = ContrastAugmentation(data.contrast)
    return NoisyImages(sources, data.size, data.levels, _augmentation(data.augmentation), contrast, seed)


def _phantoms(data: PhantomMRIData, seed: int, part: str) -> ImageSlices:
    count, own = _phantom_part(data, seed, part)
    augmentation, simulate = _augmentation(data.augmentation), CoilSimulation(data.coils, data.snr)
    return ImageSlices(PhantomImages(count, data.size, own), simulate, augmentation, own, "phantom")


def _phantom_sinograms(data: PhantomCTData, seed: int, part: str) -> PhantomSinograms:
    count, own = _phantom_part(data, seed, part)
    return PhantomSinograms(count, data.size, data.all_views, own)


def _phantom_part(data: PhantomMRIData | PhantomCTData, seed: int, part: str) -> tuple[int, int]:
    """How many phantoms a part has, and the seed of its own."""
    if part not in _PHANTOM_PARTS:
        raise InputError(f"there is no part '{part}' of random phantoms; there are {', '.join(_PHANTOM_PARTS)}")
    count = data.train if part == "train" else data.validation
    require_memory(
        count * _SAMPLE_BYTES, f"data.{part}: {count} phantoms", lambda free: f"{free // _SAMPLE_BYTES} would fit"
    )
    if isinstance(data, PhantomMRIData):
        y, x = data.size
        require_memory(
            data.coils * y * x * _COIL_PIXEL_BYTES, f"data.size, data.coils: {data.coils} coils of {y} x {x} pixels"
        )
    else:
        require_rays(data.all_views, 2 * data.size, "data.all_views")
    return count, derived_seed(seed, _PHANTOM_PARTS.index(part))


def _augmentation(settings: AugmentationSettings) -> Augmentation:
    return Augmentation(**settings.model_dump())


def _kspace(data: MRIData, slices: Slices, seed: int | None) -> KSpaceTrainingSet:
    masks = Curriculum(_draws(data.masks), tuple((stage.until, _draws(stage.masks)) for stage in data.curriculum))
    pose = partial(sense_problem, most_sets=1) if data.operator == "sense" else coil_problem  # batches are alike
    bands = Curriculum[int | None](None, tuple((stage.until, stage.rows) for stage in data.bands))
    return KSpaceTrainingSet(slices, masks, pose, build_normalization(data.normalization), seed, bands)


def _draws(masks: tuple[MaskSettings, ...]) -> tuple[_Draw, ...]:
    return tuple(_Draw(settings) for settings in masks)


def _remeasurement(settings: RemeasureSettings) -> Remeasurement:
    rays = radon(simulation_grid(), lodopab())
    return Remeasurement(_augmentation(settings.augmentation), Blur(settings.blur), rays)


def _sinograms(
    data: LoDoPaBData | PhantomCTData, sinograms: Sinograms, seed: int | None, remeasure: Remeasurement | None = None
) -> SinogramTrainingSet:
    earlier = tuple((stage.until, Dose(stage.views, stage.photons)) for stage in data.curriculum)
    dose = Curriculum(Dose(data.views, data.photons), earlier)
    return SinogramTrainingSet(sinograms, dose, build_normalization(data.normalization), seed, data.flips, remeasure)
