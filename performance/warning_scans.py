"""What `held_out_warning.py` tries: networks on scans, each kept with all that it takes to judge a rule for the warning.

Of each image the PSNR of networks less that of the best classical method is kept, and what a network and classical methods predict
of the measurements that were held back: a change of the rule measures nothing anew.
"""

from __future__ import annotations

import csv
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import zip_longest
from pathlib import Path
from typing import Any
from zlib import crc32

import torch
from tables import FOLDER
from torch import Tensor
from warning_people import BAND, FEW_LINES

from medrecon.benchmark.cases import Case, inputs_of, run_group
from medrecon.benchmark.methods import build
from medrecon.benchmark.schedule import load_benchmark, make_schedule
from medrecon.calibration import maps_error
from medrecon.config import LearnedSettings
from medrecon.config.benchmark import BenchmarkSettings, ScenarioSettings
from medrecon.device import DeviceName
from medrecon.held_out import HeldOut, Prediction, hold_out
from medrecon.reconstructor import Reconstructor
from medrecon.reconstructors import FilteredBackprojection, PoissonTotalVariation, WaveletSparsity
from medrecon.spaces import Space
from medrecon.weights.learned import LearnedReconstructor

__all__ = ["WITHIN", "Tried", "measure", "read"]

ROOT = Path(__file__).resolve().parent.parent
#: Scenarios that training saw.
WITHIN = {"brain-small, 4x", "brain-small, 8x", "brain-small, random 4x", "brain-small, random 8x", "1000 views"}
RIVALS = {"mri": "wavelet", "ct": "tv-poisson"}
CT_ITERATIONS = 8  # as `reconstruct` takes them
PROTOCOLS = {"mri": "psnr (fastmri-v1)", "ct": "psnr (lodopab)"}
#: The classical methods of which one was the best on every image of the benchmark; tv in noise and at 12x alone.
CLASSICAL = {"zero-filled", "wavelet+rss", "tv-poisson"}
_LOUD = 25.0  # SNR below which tv is tried, too


@dataclass(frozen=True)
class Change:
    """A scenario of the benchmark, changed; `size` of the matrix in pixels."""

    base: str
    name: str
    values: Mapping[str, Any]
    size: int = BAND[0]


def _noisy(snr: int, base: str = "brain-small, 4x", size: int = BAND[0]) -> Change:
    name = base.removeprefix("brain-small, ")
    few = "" if size == BAND[0] else f"{size} lines, "
    return Change(base, f"{few}{name}, SNR {snr}", {"snr": float(snr)}, size)


_INSIDE = ("brain-small, 4x", "brain-small, random 4x", "brain-small, 8x", "brain-small, random 8x")
_FEW = FEW_LINES[0]
#: Scenarios that the people of a part meet in turn.
MRI_WITHIN = tuple(Change(name, name, {}) for name in _INSIDE)
MRI_BEYOND = (
    _noisy(15),
    _noisy(30),
    _noisy(15, "brain-small, random 8x"),
    Change("another acceleration, 12x", "another acceleration, 12x", {}),
    _noisy(20),
    _noisy(8),
    Change("another mask, gaussian 4x", "another mask, gaussian 4x", {}),
    _noisy(20, "brain-small, random 4x"),
    Change("4 coils, 4x", "4 coils, 4x", {}),
    _noisy(12, "brain-small, 8x"),
    Change("brain-small, random 4x", "poisson 6x", {"mask": {"kind": "poisson", "acceleration": 6}}),
)
MRI_FEW_LINES = (
    tuple(Change(name, name.replace("brain-small", f"{_FEW} lines"), {}, _FEW) for name in _INSIDE[:2]),
    tuple(_noisy(snr, base, _FEW) for snr, base in ((15, _INSIDE[0]), (20, _INSIDE[1]), (10, _INSIDE[2]), (30, _INSIDE[3]))),
)  # fmt: skip
CT_WITHIN = (Change("1000 views", "1000 views", {}),)
CT_BEYOND = (
    Change("60 views", "60 views", {}),
    Change("1000 views, low dose", "1000 views, low dose", {}),
    Change("60 views, low dose", "60 views, low dose", {}),
    Change("60 views", "125 views", {"views": 125}),
    Change("60 views", "250 views", {"views": 250}),
    Change("1000 views", "1000 views, 4000 photons", {"photons": 4000.0}),
    Change("60 views", "24 views", {"views": 24}),
    Change("60 views", "500 views", {"views": 500}),
)


@dataclass(frozen=True, eq=False)
class Tried:
    """Networks on an image: PSNR less that of the best classical method, and predictions of what was held back, by method.

    `y` and predictions are those at `places` of k-space, or all of a sinogram; `seconds` of the processor are those of the trials.
    """

    modality: str
    part: str
    scenario: str
    person: str
    above: dict[str, float]
    y: Tensor
    predicted: dict[str, Tensor]
    places: Tensor | None
    axes: tuple[str, ...]
    shape: tuple[int, ...]
    expected: float | None
    seconds: dict[str, float]

    @property
    def is_within(self) -> bool:
        return self.scenario in WITHIN

    def prediction(self, method: str) -> Prediction:
        """What was predicted, as `HeldOut.predicted` gave it."""
        space = Space(self.axes, self.shape, is_complex=self.places is not None)
        return Prediction(self._all(self.predicted[method]), self._all(self.y), space, self.expected)

    def _all(self, values: Tensor) -> Tensor:
        if self.places is None:
            return values
        whole = values.new_zeros((*values.shape[:-1], *self.places.shape))
        whole[..., self.places] = values
        return whole


def groups(people: Path, part: str) -> Iterator[tuple[str, str, tuple[Case, ...]]]:
    """The cases of each image: those of `brain-small` and `lodopab-small` in scenarios of the benchmark, others in turn."""
    for modality, every in (("mri", (*MRI_WITHIN, MRI_BEYOND[0])), ("ct", (*CT_WITHIN, *CT_BEYOND[:3]))):
        for change in every:
            for cases in _cases(modality, change, {"part": part}, images=2):
                yield modality, _known_person(cases[0]), cases
    for size, turns in ((BAND[0], (MRI_WITHIN, MRI_BEYOND)), (_FEW, MRI_FEW_LINES)):
        files = sorted((people / part / str(size)).glob("*.h5"))
        for number, file in enumerate(files):
            for turn in turns:
                source = {"kind": "fastmri", "folder": str(people), "part": f"{part}/{size}", "pattern": file.name}
                for cases in _cases("mri", turn[number % len(turn)], source):
                    yield "mri", file.stem.rsplit("_", 1)[0], cases
    source = {"kind": "lodopab", "folder": str(people), "part": part}
    scenarios = {change.name: list(_cases("ct", change, source)) for change in (*CT_WITHIN, *CT_BEYOND)}
    count = len(scenarios["1000 views"])
    for number in range(count):
        for name in ("1000 views", *(CT_BEYOND[(2 * number + k) % len(CT_BEYOND)].name for k in (0, 1))):
            yield "ct", f"chest {number}", scenarios[name][number]


def _known_person(case: Case) -> str:
    name = case.image.file
    return name.rsplit("_", 1)[0] if "observation" not in name else "lung of lodopab-small"


def _cases(
    modality: str, change: Change, data: Mapping[str, Any], images: int | None = None
) -> Iterator[tuple[Case, ...]]:
    """Of each image of the changed scenario those methods that count."""
    settings = _benchmark(modality)
    benchmark = settings.modalities[modality]
    base = next(one for one in benchmark.scenarios if one.name == change.base)
    scenario = _changed(base, change, data)
    noisy = scenario.name.startswith(("another acc", "few")) or (getattr(scenario, "snr", None) or 99.0) < _LOUD
    names = CLASSICAL | ({"tv"} if noisy and modality == "mri" else set())
    methods = tuple(one for one in benchmark.methods if one.name in names or isinstance(one.method, LearnedSettings))
    only = {
        "mri": None,
        "ct": None,
        modality: benchmark.model_copy(update={"scenarios": (scenario,), "methods": methods}),
    }
    yield from make_schedule(settings.model_copy(update={"images": images, **only})).groups


def _changed(base: ScenarioSettings, change: Change, data: Mapping[str, Any]) -> ScenarioSettings:
    values = base.model_dump(mode="json", exclude_none=True, exclude={"tuning"})
    values["data"] = data if "kind" in data else {**values["data"], **data}
    values["data"].pop("slices", None)
    values["data"].pop("images", None)
    tuned = base.tuned_as or base.name
    return type(base).model_validate({**values, **change.values, "name": change.name, "tuned_as": tuned})


@cache
def _benchmark(modality: str) -> BenchmarkSettings:
    return load_benchmark(ROOT / "configs" / f"benchmark_{modality}.yaml")


@cache
def _kept(modality: str) -> dict[tuple[str, str, int], dict[str, float]]:
    """PSNR by method, of each image of the benchmark."""
    scores: dict[tuple[str, str, int], dict[str, float]] = {}
    with (FOLDER / f"benchmark_{modality}" / "rows.csv").open() as file:
        for row in csv.DictReader(file):
            place = row["scenario"], row["file"], int(row["slice"])
            scores.setdefault(place, {})[row["method"]] = float(row[PROTOCOLS[modality]])
    return scores


def measure(people: Path, folder: Path, parts: Sequence[str], seconds: float) -> None:
    """Try what is not in the folder yet, and begin with nothing new after so many seconds."""
    start = time.monotonic()
    for part in parts:
        for modality, person, cases in _turned(list(groups(people, part))):
            image, scenario = cases[0].image, cases[0].scenario.name
            path = folder / f"{part} {scenario} {image.file} {image.index} {person}.pt".replace("/", "-")
            if path.exists():
                continue
            if time.monotonic() - start > seconds:
                return
            torch.save(vars(tried(modality, part, person, cases)), path.with_suffix(".part"))
            path.with_suffix(".part").rename(path)
            print(path.stem, flush=True)


def _turned(found: list[tuple[str, str, tuple[Case, ...]]]) -> list[tuple[str, str, tuple[Case, ...]]]:
    """The same in an order in which people take turns, each beginning at another of its scans."""
    by: dict[str, list[tuple[str, str, tuple[Case, ...]]]] = {}
    for one in found:
        by.setdefault(one[1], []).append(one)
    firsts = [crc32(person.encode()) % len(mine) for person, mine in by.items()]
    turned = [mine[k:] + mine[:k] for k, mine in zip(firsts, by.values(), strict=True)]
    return [one for turn in zip_longest(*turned) for one in turn if one is not None]


def tried(modality: str, part: str, person: str, cases: tuple[Case, ...]) -> Tried:
    """Score the methods on an image, and try networks and rivals on what is not held back."""
    case, inputs = cases[0], inputs_of(cases[0])
    place = case.scenario.name, case.image.file, case.image.index
    scores = _kept(modality).get(place) if "folder" not in (case.scenario.data.model_fields_set) else None
    if scores is None:
        scores = {row.method: row.scores[0].psnr or 0.0 for row in run_group(cases) if row.done}
    learned = {one.entry.name: one.entry for one in cases if isinstance(one.entry.method, LearnedSettings)}
    best = max(score for name, score in scores.items() if name not in learned)
    problem = inputs.pose(WaveletSparsity() if modality == "mri" else FilteredBackprojection(), torch.device("cpu"))
    split = hold_out(problem.y, problem.A)
    assert split is not None
    networks = {name: build(one, DeviceName.CPU, inputs.photons) for name, one in learned.items()}
    predicted, seconds = _trials(split, networks, _rivals(modality, inputs.photons, split))
    above = {name: scores[name] - best for name in learned}
    return _packed(split, predicted, modality=modality, part=part, scenario=case.scenario.name, person=person,
                   above=above, seconds=seconds)  # fmt: skip


def _rivals(modality: str, photons: float | None, split: HeldOut) -> dict[str, Reconstructor]:
    """The classical methods that are tried beside a network; a network's own first wavelet image where maps are right."""
    if modality == "ct":
        return {RIVALS["ct"]: PoissonTotalVariation(photons=photons, iterations=CT_ITERATIONS)}
    return {RIVALS["mri"]: WaveletSparsity()} if bool(maps_error(split.y, split.A).any()) else {}


def _trials(
    split: HeldOut, networks: Mapping[str, Reconstructor], rivals: Mapping[str, Reconstructor]
) -> tuple[dict[str, Tensor], dict[str, float]]:
    """What all predict of what is held back, and the seconds of the processor that they took."""
    predicted, seconds = {}, {}
    for name, method in {**rivals, **networks}.items():
        start = time.process_time()
        if isinstance(method, LearnedReconstructor):
            x, initial = method.with_initial(split.y, split.A)
            if initial is not None and initial.is_complex() and RIVALS["mri"] not in predicted:
                predicted[RIVALS["mri"]], seconds[RIVALS["mri"]] = split.held_A(initial), 0.0
        else:
            x = method(split.y, split.A)
        seconds[name] = time.process_time() - start
        predicted[name] = split.held_A(x)
    return predicted, seconds


def _packed(split: HeldOut, predicted: Mapping[str, Tensor], **known: Any) -> Tried:
    space = split.held_A.range
    places = (split.held_y != 0).flatten(0, -3).any(0) if space.is_complex else None
    values = {name: one if places is None else one[..., places] for name, one in predicted.items()}
    y = split.held_y if places is None else split.held_y[..., places]
    return Tried(
        y=y, predicted=values, places=places, axes=space.axes, shape=space.shape, expected=split.expected, **known
    )


def read(folder: Path) -> list[Tried]:
    """All that was tried."""
    return [Tried(**torch.load(path)) for path in sorted(folder.glob("*.pt"))]
