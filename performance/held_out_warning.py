"""Whether measurements that are held back tell of networks that do worse than classical methods: hits and false alarms.

    medrecon data fetch brain-small; medrecon data fetch brain-axt2; medrecon data fetch lodopab-small
    python performance/held_out_warning.py [--images 8] [--cache FILE] [--rows WORDS] [--keep]

The scenarios of `configs/benchmark_mri.yaml` and `configs/benchmark_ct.yaml`, whose scores stand in
`docs/benchmarks/*/rows.csv`, and, on the validation people, these and others beside them (`VALIDATION`), whose scores are computed
here: the thresholds of `medrecon.held_out` were chosen on the validation people, and the test people are reported. Each image goes
to the cache at once, so that a run that was cut off goes on where it was. `--tell` only makes the table of what is there.
"""

from __future__ import annotations

import argparse
import csv
import json
import statistics
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from tables import FOLDER, publish

from medrecon.benchmark.cases import Case, inputs_of, run_group
from medrecon.benchmark.inputs import CaseInputs
from medrecon.benchmark.methods import build
from medrecon.benchmark.schedule import load_benchmark, make_schedule
from medrecon.config import LearnedSettings
from medrecon.config.benchmark import MethodEntry, ScenarioSettings
from medrecon.device import DeviceName
from medrecon.held_out import Excess, hold_out
from medrecon.reconstructors import PoissonTotalVariation, WaveletSparsity
from medrecon.weights.learned import LearnedReconstructor

ROOT = Path(__file__).resolve().parent.parent
BELOW = 1.0  # dB, from which on a network is to be warned of
WITHIN = {
    "mri": ("brain-small, 4x", "brain-small, 8x", "brain-small, random 4x", "brain-small, random 8x"),
    "ct": ("1000 views",),
}
#: Beside the benchmark's, on the validation people: of the scenario, changed so.
VALIDATION: dict[str, tuple[tuple[str, str, dict[str, Any]], ...]] = {
    "mri": (
        *(("brain-small, 4x", f"4x, SNR {snr}", {"snr": float(snr)}) for snr in (8, 12, 15, 20, 30)),
        ("brain-small, random 8x", "random 8x, SNR 15", {"snr": 15.0}),
        ("brain-small, random 4x", "random 2x", {"mask": {"kind": "random", "acceleration": 2}}),
        ("brain-small, random 4x", "poisson 6x", {"mask": {"kind": "poisson", "acceleration": 6}}),
    ),
    "ct": (
        *(("60 views", f"{views} views", {"views": views}) for views in (125, 250, 500)),
        *(("1000 views", f"1000 views, {photons} photons", {"photons": float(photons)}) for photons in (4000, 16000)),
    ),
}
CT_ITERATIONS = 8  # of tv-poisson in the trial, as `reconstruct` takes them
RIVALS = {"mri": "wavelet", "ct": "tv-poisson"}
PROTOCOLS = {"mri": "psnr (fastmri-v1)", "ct": "psnr (lodopab)"}


@dataclass(frozen=True)
class Tried:
    """A network on an image: its PSNR less that of the best classical method, and what the held-out measurements say.

    `errors` are held-out errors, `excess` is over each rival, `black` among them; `seconds` are those of the trials.
    """

    modality: str
    part: str
    scenario: str
    file: str
    slice: int
    method: str
    above: float
    errors: dict[str, float]
    excess: dict[str, Excess]
    seconds: dict[str, float]

    @property
    def is_flagged(self) -> bool:
        return any(one.is_certain if name == "black" else one.is_large for name, one in self.excess.items())

    @classmethod
    def from_json(cls, line: str) -> Tried:
        values = json.loads(line)
        return cls(**{**values, "excess": {name: Excess(**one) for name, one in values["excess"].items()}})


def groups(modality: str, part: str, images: int) -> Iterator[tuple[Case, ...]]:
    """The cases of each image of the scenarios of a modality."""
    settings = load_benchmark(ROOT / "configs" / f"benchmark_{modality}.yaml")
    benchmark = settings.modalities[modality]
    own = [one for one in benchmark.scenarios if getattr(one.data, "part", "") != "validation"]
    scenarios: list[ScenarioSettings] = list(own)
    if part == "validation":
        by_name = {one.name: one for one in own}
        own = [one for one in own if "axt2" not in one.name and one.lesion is None]
        changed = [(by_name[base], name, changes) for base, name, changes in VALIDATION[modality]]
        scenarios = [_validated(one, one.name, {}) for one in own] + [_validated(*one) for one in changed]
    for scenario in scenarios:
        only = settings.model_copy(
            update={
                "images": images,
                "mri": None,
                "ct": None,
                modality: benchmark.model_copy(update={"scenarios": (scenario,)}),
            }
        )
        yield from make_schedule(only).groups


def _validated(scenario: ScenarioSettings, name: str, changes: Mapping[str, Any]) -> ScenarioSettings:
    """The scenario on the validation people, changed."""
    values = scenario.model_dump(mode="json", exclude_none=True, exclude={"tuning"})
    values["data"] = {**values["data"], "part": "validation"}
    values["data"].pop("pattern", None)
    tuned_as = scenario.tuned_as or scenario.name
    return type(scenario).model_validate({**values, **changes, "name": name, "tuned_as": tuned_as})


def kept_scores(modality: str) -> dict[tuple[str, str, int], dict[str, float]]:
    """PSNR by method, of each image of the benchmark."""
    scores: dict[tuple[str, str, int], dict[str, float]] = defaultdict(dict)
    with (FOLDER / f"benchmark_{modality}" / "rows.csv").open() as file:
        for row in csv.DictReader(file):
            place = row["scenario"], row["file"], int(row["slice"])
            scores[place][row["method"]] = float(row[PROTOCOLS[modality]])
    return scores


def tried(modality: str, part: str, group: tuple[Case, ...], scores: Mapping[str, float]) -> Iterator[Tried]:
    """Each network on an image, of what is not held back."""
    inputs, image = inputs_of(group[0]), group[0].image
    learned = {case.entry.name: case.entry for case in group if isinstance(case.entry.method, LearnedSettings)}
    best = max(score for name, score in scores.items() if name not in learned)
    rival = (
        WaveletSparsity()
        if modality == "mri"
        else PoissonTotalVariation(photons=inputs.photons, iterations=CT_ITERATIONS)
    )
    problem = inputs.pose(rival, torch.device("cpu"))
    split = hold_out(problem.y, problem.A)
    assert split is not None
    start = time.perf_counter()
    other = rival(split.y, split.A)
    seconds = time.perf_counter() - start
    for name, entry in learned.items():
        start = time.perf_counter()
        x = _network(entry, inputs).with_phase(split.y, split.A)
        yield Tried(
            modality=modality,
            part=part,
            scenario=group[0].scenario.name,
            file=image.file,
            slice=image.index,
            method=name,
            above=scores[name] - best,
            errors={name: float(split.error(x).mean()), RIVALS[modality]: float(split.error(other).mean())},
            excess={"black": split.excess(x), RIVALS[modality]: split.excess(x, other)},
            seconds={name: time.perf_counter() - start, RIVALS[modality]: seconds},
        )


def _network(entry: MethodEntry, inputs: CaseInputs) -> LearnedReconstructor:
    network = build(entry, DeviceName.CPU, inputs.photons)
    assert isinstance(network, LearnedReconstructor)
    return network


def measure(cache: Path, images: int, parts: list[str], words: list[str]) -> None:
    """Try what is not in the cache yet, of each scenario one image after the other."""
    known = {(one.part, one.scenario, one.file, one.slice) for one in read(cache)}
    kept = {modality: kept_scores(modality) for modality in WITHIN}
    wanted, counts = [], Counter[tuple[str, str]]()
    for modality in WITHIN:
        for part in parts:
            for group in groups(modality, part, images):
                name, image = group[0].scenario.name, group[0].image
                counts[part, name] += 1
                if (part, name, image.file, image.index) not in known and any(word in name for word in words):
                    wanted.append((counts[part, name], modality, part, group))
    for _, modality, part, group in sorted(wanted, key=lambda one: one[0]):
        name, image = group[0].scenario.name, group[0].image
        scores = kept[modality].get((name, image.file, image.index)) if part == "test" else None
        if scores is None:
            scores = {row.method: row.scores[0].psnr or 0.0 for row in run_group(group) if row.done}
        with cache.open("a") as file:
            for one in tried(modality, part, group, scores):
                file.write(json.dumps(asdict(one)) + "\n")
        print(f"{modality}, {part}: {name}: {image.file} {image.index}", flush=True)


def read(cache: Path) -> list[Tried]:
    return [Tried.from_json(line) for line in cache.read_text().splitlines()] if cache.exists() else []


def table(found: list[Tried]) -> list[list[str]]:
    """A row for each part, scenario and network."""
    by: dict[tuple[str, str, str, str], list[Tried]] = defaultdict(list)
    for one in found:
        by[one.modality.upper(), one.part, one.scenario, one.method].append(one)
    rows = []
    for (modality, part, scenario, method), some in by.items():
        rival = RIVALS[modality.lower()]
        below = [one for one in some if one.above < -BELOW]
        cost = statistics.median(sum(one.seconds.values()) / one.seconds[method] for one in some)
        ratio = statistics.median(one.errors[method] / one.errors[rival] for one in some)
        rows.append(
            [
                modality,
                part,
                scenario,
                method,
                str(len(some)),
                f"{statistics.median(one.above for one in some):+.2f}",
                f"{ratio:.3f}",
                f"{sum(one.is_flagged for one in below)} of {len(below)}",
                f"{sum(one.is_flagged for one in some) - sum(one.is_flagged for one in below)} of {len(some) - len(below)}",
                f"{cost:.1f}",
            ]
        )
    return rows


def summary(found: list[Tried], part: str) -> str:
    """Hits and false alarms over a part."""
    some = [one for one in found if one.part == part]
    within = [one for one in some if one.scenario in WITHIN[one.modality]]
    kinds = (
        [one for one in some if one.above < -BELOW],
        [one for one in within if one.above >= 0],
        [one for one in within if -BELOW <= one.above < 0],
        [one for one in some if one not in within and one.above >= 0],
    )
    counts = [f"{sum(one.is_flagged for one in kind)} of {len(kind)}" for kind in kinds]
    return (
        f"{part.capitalize()} people: warned of {counts[0]} images that lie more than {BELOW:g} dB below the best classical "
        f"method. False alarms within the training: {counts[1]} that are no worse, {counts[2]} that are worse by less; elsewhere "
        f"{counts[3]} that are no worse."
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--images", type=int, default=8, help="of each scenario, at most")
    parser.add_argument("--cache", type=Path, default=Path("held_out_warning.jsonl"), help="results by image")
    parser.add_argument("--parts", nargs="*", default=["validation", "test"], help="validation, test or both")
    parser.add_argument(
        "--rows", nargs="*", default=[""], help="keep the scenarios whose names hold one of these words"
    )
    parser.add_argument("--tell", action="store_true", help="measure nothing, and tell what is in the cache")
    parser.add_argument("--keep", action="store_true", help="write the table for the pages")
    options = parser.parse_args()
    if not options.tell:
        measure(options.cache, options.images, options.parts, options.rows)
    found = read(options.cache)
    notes = [
        *(summary(found, part) for part in ("test", "validation") if any(one.part == part for one in found)),
        "Above: PSNR of the network less that of the best classical method at its tuned settings, median. Ratio: of the held-out "
        "errors of the network and of wavelet or tv-poisson at its defaults, median. Cost: of checking a file, in slices by the "
        "network.",
        "The rule: beyond three standard errors more is wrong with the network's prediction than with the rival's, by three tenths "
        "of what they differ by, or than with a black image (`medrecon.held_out.Excess`). A tenth had been chosen on the "
        "validation people, and was raised when the first test image of each scenario had shown a false alarm.",
    ]
    columns = [
        "",
        "people",
        "scenario",
        "network",
        "images",
        "above, dB",
        "ratio",
        "warned, of those 1 dB below",
        "of others",
        "cost",
    ]
    command = "python performance/held_out_warning.py --keep"
    publish("held_out_warning", "The warning", command, columns, table(found), notes, keep=options.keep)


if __name__ == "__main__":
    torch.set_grad_enabled(mode=False)
    main()
