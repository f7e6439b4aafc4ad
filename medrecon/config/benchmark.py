"""A comparison of methods on problems, as `configs/benchmark_*.yaml` describe it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from medrecon.config.ct import CTMethodSettings, CTPhantomName, Length, Photons, Seed
from medrecon.config.mri import MaskSettings, MethodSettings, PhantomName, RootSumOfSquaresSettings
from medrecon.config.settings import Method, Settings, Size
from medrecon.device import DeviceName

__all__ = [
    "BenchmarkSettings",
    "CTBenchmark",
    "CTMethodEntry",
    "CTScenario",
    "CTSource",
    "CustomMethodName",
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
_Name = Annotated[str, Field(pattern=r"^[^|\r\n]+$", max_length=80)]  # stands in tables


class CustomMethodName(StrEnum):
    """How an image is made by code of the user's."""

    OWN = "own"


class CustomMethodSettings(Method):
    """A method that is imported: `package.module:name`, called as `x = name(y, A)`, or a class of such without arguments."""

    summary = "your own: an object that is called as x = method(y, A)"
    needs = "to be importable; in MRI calibration lines, where there are several coils"
    kind: Literal[CustomMethodName.OWN] = CustomMethodName.OWN
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

    `tuned` is a file of `medrecon tune`, beside the configuration, whose settings complete those of `method`. `problems` names
    those it is run on; None stands for all of its modality.
    """

    tuned: Path | None = None
    problems: tuple[_Name, ...] | None = None


class MRIMethodEntry(_Entry):
    """A method of MRI; with `output: rss` the measured samples are put back, and the image is that of all coils.

    With `rss-noise` the samples that were not measured have the noise of those that were, as a full scan has.
    """

    method: Annotated[MethodSettings | CustomMethodSettings, Field(discriminator="kind")]
    output: Literal["image", "rss", "rss-noise"] = "image"

    @model_validator(mode="after")
    def _require_image(self) -> Self:
        if self.output != "image" and isinstance(self.method, RootSumOfSquaresSettings):
            raise ValueError("output: the method rss gives the image of all coils by itself; leave it out")
        return self


class CTMethodEntry(_Entry):
    """A method of CT."""

    method: Annotated[CTMethodSettings | CustomMethodSettings, Field(discriminator="kind")]


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
    many `slices`, evenly spaced; None stands for all.
    """

    kind: Literal["fastmri"]
    dataset: str | None = None
    folder: Path | None = None
    part: str = "."
    pattern: str = "*.h5"
    files: _Count | None = None
    slices: _Count | None = None

    @model_validator(mode="after")
    def _require_place(self) -> Self:
        _require_one_place(self.dataset, self.folder)
        return self


class PhantomMRISource(Settings):
    """A simulated scan of a phantom; see `medrecon simulate`. Without `snr` there is no noise."""

    kind: Literal["phantom-mri"]
    phantom: PhantomName = PhantomName.BRAIN
    size: tuple[Size, Size] = (192, 192)
    slices: _Count = 4
    coils: int = Field(default=8, ge=1, le=256)
    snr: float | None = Field(default=40.0, gt=0, allow_inf_nan=False)
    seed: Seed = 0


class LoDoPaBSource(Settings):
    """Images of a part of LoDoPaB-CT in `folder`, or in that of the data set; so many, evenly spaced, or all."""

    kind: Literal["lodopab"]
    dataset: str | None = None
    folder: Path | None = None
    part: str = "test"
    images: _Count | None = None

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


class _Problem(_Named):
    """`tuned_as` names the problem whose tuned settings hold for this one; None stands for its own."""

    lesion: LesionSettings | None = None
    tuned_as: _Name | None = None


class MRIScenario(_Problem):
    """Scans undersampled by a mask.

    `tuning` are the scans that settings are searched on. Before, noise of the signal-to-noise ratio `snr` may be added, `coils`
    of all coils kept, evenly spaced, or a lesion put in.
    """

    data: MRISource
    tuning: MRISource | None = None
    mask: MaskSettings
    snr: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    coils: _Count | None = None


class CTScenario(_Problem):
    """Sinograms with so many of their `views`, and the noise of `photons` a ray on top of what they hold.

    `tuning` are those that settings are searched on.
    """

    data: CTSource
    tuning: CTSource | None = None
    views: _Count | None = None
    photons: Photons | None = None


MethodEntry = MRIMethodEntry | CTMethodEntry
ScenarioSettings = MRIScenario | CTScenario


class MRIBenchmark(Settings):
    """Methods and problems of MRI."""

    methods: tuple[MRIMethodEntry, ...] = Field(min_length=1)
    problems: tuple[MRIScenario, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _require_known(self) -> Self:
        _require_names(self.methods, self.problems)
        return self


class CTBenchmark(Settings):
    """Methods and problems of CT."""

    methods: tuple[CTMethodEntry, ...] = Field(min_length=1)
    problems: tuple[CTScenario, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _require_known(self) -> Self:
        _require_names(self.methods, self.problems)
        return self


class BenchmarkSettings(Settings):
    """Every method of a modality on every problem of it.

    `seed` is that of added noise, of the lesions' places, and of the `resamples` of the intervals. `images` are at most so many
    of each problem, evenly spaced: for a quick look. `lpips` adds that distance, where the package of this name is installed.
    """

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")
    seed: int = Field(default=0, ge=0, lt=2**32)
    resamples: int = Field(default=10_000, ge=100, le=1_000_000)
    images: _Count | None = None
    device: DeviceName = DeviceName.CPU
    lpips: bool = False
    mri: MRIBenchmark | None = None
    ct: CTBenchmark | None = None

    @model_validator(mode="after")
    def _require_some(self) -> Self:
        if self.mri is None and self.ct is None:
            raise ValueError("there is nothing to compare; give mri or ct, with methods and problems")
        shared = (
            {p.name for p in self.mri.problems} & {p.name for p in self.ct.problems} if self.mri and self.ct else ()
        )
        if shared:
            raise ValueError(
                f"two problems are called '{min(shared)}', one of mri and one of ct; give them other names"
            )
        return self


class TunedEntry(Settings):
    """What `medrecon tune` found for a method on a problem, and how it came to it."""

    method: _Name
    problem: _Name
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


def _require_names(methods: Sequence[_Entry], problems: Sequence[_Problem]) -> None:
    known = [problem.name for problem in problems]
    for what, names in (("methods", [method.name for method in methods]), ("problems", known)):
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise ValueError(f"{what}: two are called '{twice}'; give them other names")
    asked = [(f"methods: {m.name}: problems", name) for m in methods for name in m.problems or ()]
    asked += [(f"problems: {p.name}: tuned_as", p.tuned_as) for p in problems if p.tuned_as is not None]
    for where, name in asked:
        if name not in known:
            raise ValueError(f"{where}: no problem is called '{name}'; there are {', '.join(known)}")
