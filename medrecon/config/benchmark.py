"""A comparison of methods on scenarios, as `configs/benchmark_*.yaml` describe it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, Generic, Literal, Self, TypeVar

from pydantic import Field, model_validator

from medrecon.config.ct import CTPhantomName, Photons, Seed
from medrecon.config.methods import GrappaSettings, Method, MethodSettings, RootSumOfSquaresSettings, methods_of
from medrecon.config.mri import MaskSettings, MRIPhantomName
from medrecon.config.settings import Length, Settings, Size, at_least
from medrecon.device import DeviceName
from medrecon.findings import KSpaceFinding
from medrecon.modality import Modality

__all__ = [
    "BenchmarkSettings",
    "CTBenchmark",
    "CTMethodEntry",
    "CTScenario",
    "CTSource",
    "CustomMethodSettings",
    "FastMRISource",
    "LesionSettings",
    "LoDoPaBSource",
    "MRIBenchmark",
    "MRIMethodEntry",
    "MRIScenario",
    "MRISource",
    "MethodEntry",
    "PhantomCTSource",
    "PhantomMRISource",
    "ScenarioSettings",
    "TunedEntry",
    "TunedSettings",
]

_Count = Annotated[int, Field(ge=1)]
_SignalToNoise = Annotated[float, Field(gt=0, allow_inf_nan=False), at_least(1e-6)]
_Output = Literal["image", "rss", "rss-noise"]
_Name = Annotated[str, Field(pattern=r"^[^|\r\n]+$", max_length=80)]  # stands in tables


class CustomMethodSettings(Method):
    """A method that is imported: `package.module:name`, called as `x = name(y, A)`, or a class of such without arguments."""

    summary = "your own: an object that is called as x = method(y, A)"
    needs = "to be importable; in MRI calibration lines, where there are several coils"
    modalities = tuple(Modality)
    kind: Literal["custom"] = "custom"
    import_: str = Field(alias="import")

    @model_validator(mode="after")
    def _require_place(self) -> Self:
        if not re.fullmatch(r"\w+(\.\w+)*:\w+(\.\w+)*", self.import_):
            raise ValueError(f"import takes package.module:name, got '{self.import_}'")
        return self


class _Named(Settings):
    name: _Name


class _Entry(_Named):
    """A method under a name.

    `tuned` is a file of `medrecon tune`, beside the configuration, whose settings complete those of `method`. `scenarios` names
    those it is run on; None stands for all of its modality.
    """

    modality: ClassVar[Modality]
    method: Annotated[MethodSettings | CustomMethodSettings, Field(discriminator="kind")]
    tuned: Path | None = None
    scenarios: tuple[_Name, ...] | None = None

    @model_validator(mode="after")
    def _require_modality(self) -> Self:
        if self.modality not in self.method.modalities:
            known = ", ".join(methods_of(self.modality))
            raise ValueError(
                f"method: {self.method.kind} is none of {self.modality.upper()}, whose methods are {known}"
            )
        return self


class MRIMethodEntry(_Entry):
    """A method of MRI; with `output: rss` the measured samples are put back, and the image is that of all coils.

    With `rss-noise` the samples that were not measured have the noise of those that were, as a full scan has.
    """

    modality = Modality.MRI
    output: _Output = "image"

    @model_validator(mode="after")
    def _require_image(self) -> Self:
        if self.output != "image" and isinstance(self.method, RootSumOfSquaresSettings | GrappaSettings):
            raise ValueError(
                f"output: the method {self.method.kind} gives the image of all coils by itself; leave it out"
            )
        return self


class CTMethodEntry(_Entry):
    """A method of CT."""

    modality = Modality.CT
    output: ClassVar[_Output] = "image"


class LesionSettings(Settings):
    """A small bright disc, put into the object before it is measured.

    `diameter` and the width of its smooth `edge` in millimeters; brighter than the tissue around it by the share `contrast`.
    `pixel`, in millimeters, is for files that do not state it.
    """

    diameter: Length = 6.0
    edge: Length = 1.0
    contrast: float = Field(default=0.5, gt=0, allow_inf_nan=False)
    pixel: Length | None = None


class FastMRISource(Settings):
    """Fully sampled scans in fastMRI's format.

    Those of the folder `part` in `folder`, or in that of a data set, whose names match `pattern`: so many `files`, and of each so
    many `slices`, evenly spaced; None stands for all. `accept` names problems of the data that are not to stop it, and what is not
    to be mended. `allow_external` lets the files lead to others.
    """

    kind: Literal["fastmri"]
    dataset: str | None = None
    folder: Path | None = None
    part: str = "."
    pattern: str = "*.h5"
    files: _Count | None = None
    slices: _Count | None = None
    accept: tuple[KSpaceFinding, ...] = ()
    allow_external: bool = False

    @model_validator(mode="after")
    def _require_place(self) -> Self:
        _require_one_place(self.dataset, self.folder)
        return self


class PhantomMRISource(Settings):
    """A simulated scan of a phantom; see `medrecon simulate`. Without `snr` there is no noise."""

    kind: Literal["phantom-mri"]
    phantom: MRIPhantomName = MRIPhantomName.BRAIN
    size: tuple[Size, Size] = (192, 192)
    slices: _Count = 4
    coils: int = Field(default=8, ge=1, le=256)
    snr: _SignalToNoise | None = 40.0
    seed: Seed = 0


class LoDoPaBSource(Settings):
    """Images of a part of LoDoPaB-CT in `folder`, or in that of the data set; so many, evenly spaced, or all.

    `allow_external` lets the files lead to others.
    """

    kind: Literal["lodopab"]
    dataset: str | None = None
    folder: Path | None = None
    part: str = "test"
    images: _Count | None = None
    allow_external: bool = False

    @model_validator(mode="after")
    def _require_place(self) -> Self:
        _require_one_place(self.dataset, self.folder)
        return self


class PhantomCTSource(Settings):
    """Simulated parallel scans of a phantom; see `medrecon simulate`. Without `photons` there is no noise."""

    kind: Literal["phantom-ct"]
    phantom: CTPhantomName = CTPhantomName.ABDOMEN
    size: Size = 192
    slices: _Count = 4
    views: _Count = 360
    photons: Photons | None = 20_000.0
    seed: Seed = 0


MRISource = Annotated[FastMRISource | PhantomMRISource, Field(discriminator="kind")]
CTSource = Annotated[LoDoPaBSource | PhantomCTSource, Field(discriminator="kind")]


class _Scenario(_Named):
    """`tuned_as` names the scenario whose tuned settings hold for this one; None stands for its own."""

    lesion: LesionSettings | None = None
    tuned_as: _Name | None = None


class MRIScenario(_Scenario):
    """Scans undersampled by a mask.

    `tuning` are the scans that settings are searched on. Before, noise of the signal-to-noise ratio `snr` may be added, `coils`
    of all coils kept, evenly spaced, or a lesion put in.
    """

    modality: ClassVar[str] = "mri"
    data: MRISource
    tuning: MRISource | None = None
    mask: MaskSettings
    snr: _SignalToNoise | None = None
    coils: _Count | None = None


class CTScenario(_Scenario):
    """Sinograms with so many of their `views`, and the noise of `photons` a ray on top of what they hold.

    `tuning` are those that settings are searched on.
    """

    modality: ClassVar[str] = "ct"
    data: CTSource
    tuning: CTSource | None = None
    views: _Count | None = None
    photons: Photons | None = None


MethodEntry = MRIMethodEntry | CTMethodEntry
ScenarioSettings = MRIScenario | CTScenario

_AnyEntry = TypeVar("_AnyEntry", bound=_Entry)
_AnyScenario = TypeVar("_AnyScenario", bound=_Scenario)


class _Benchmark(Settings, Generic[_AnyEntry, _AnyScenario]):
    """Methods and scenarios of a modality."""

    methods: tuple[_AnyEntry, ...] = Field(min_length=1)
    scenarios: tuple[_AnyScenario, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _require_known(self) -> Self:
        _require_names(self.methods, self.scenarios)
        return self


class MRIBenchmark(_Benchmark[MRIMethodEntry, MRIScenario]):
    """Methods and scenarios of MRI."""


class CTBenchmark(_Benchmark[CTMethodEntry, CTScenario]):
    """Methods and scenarios of CT."""


class BenchmarkSettings(Settings):
    """Every method of a modality on every scenario of it.

    `seed` is that of added noise, of the lesions' places, and of the `resamples` of the intervals. `images` are at most so many
    of each scenario, evenly spaced: for a quick look. `lpips` adds that distance, where the package of this name is installed.
    """

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")
    seed: int = Field(default=0, ge=0, lt=2**32)
    resamples: int = Field(default=10_000, ge=100, le=1_000_000)
    images: _Count | None = None
    device: DeviceName = DeviceName.CPU
    lpips: bool = False
    mri: MRIBenchmark | None = None
    ct: CTBenchmark | None = None

    @property
    def modalities(self) -> dict[str, MRIBenchmark | CTBenchmark]:
        """What is compared, by the name of its modality."""
        return {name: one for name, one in (("mri", self.mri), ("ct", self.ct)) if one is not None}

    @model_validator(mode="after")
    def _require_some(self) -> Self:
        if not self.modalities:
            raise ValueError("there is nothing to compare; give mri or ct, with methods and scenarios")
        names = [scenario.name for one in self.modalities.values() for scenario in one.scenarios]
        if twice := {name for name in names if names.count(name) > 1}:
            raise ValueError(
                f"two scenarios are called '{min(twice)}', one of mri and one of ct; give them other names"
            )
        return self


class TunedEntry(Settings):
    """What `medrecon tune` found for a method on a scenario, and how it came to it."""

    method: _Name
    scenario: _Name
    kind: str
    settings: dict[str, str | int | float]
    protocol: str
    psnr: float
    images: int
    data: dict[str, Any]
    bounded: dict[str, str] = Field(default_factory=dict)
    searched: tuple[dict[str, str | int | float], ...]
    version: str


class TunedSettings(Settings):
    """A file of `medrecon tune`."""

    tuned: tuple[TunedEntry, ...] = ()


def _require_one_place(dataset: str | None, folder: Path | None) -> None:
    if (dataset is None) == (folder is None):
        raise ValueError("data lie in a data set or in a folder; give one of dataset and folder")


def _require_names(methods: Sequence[_Entry], scenarios: Sequence[_Scenario]) -> None:
    known = [scenario.name for scenario in scenarios]
    for what, names in (("methods", [method.name for method in methods]), ("scenarios", known)):
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise ValueError(f"{what}: two are called '{twice}'; give them other names")
    asked = [(f"methods: {m.name}: scenarios", name) for m in methods for name in m.scenarios or ()]
    asked += [(f"scenarios: {s.name}: tuned_as", s.tuned_as) for s in scenarios if s.tuned_as is not None]
    for where, name in asked:
        if name not in known:
            raise ValueError(f"{where}: no scenario is called '{name}'; there are {', '.join(known)}")
