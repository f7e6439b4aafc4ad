"""Whether measurements that are held back tell of networks that do worse than classical methods: hits and false alarms.

    medrecon data fetch brain-small; medrecon data fetch lodopab-small
    python performance/held_out_warning.py FOLDER [--parts validation test] [--seconds 3600] [--tell] [--choose] [--keep]

FOLDER holds images of many people (see `warning_people.py`, which makes scans of them, and `warning_scans.py`, which tries networks
on these and on the two sets). The rule of `medrecon.held_out` was chosen on the validation people (`--choose`), and the test people
are reported. Each image is kept at once, with what was predicted, so that a run that was cut off goes on where it was, and another
rule measures nothing anew; `--tell` only makes the table of what is there.
"""

from __future__ import annotations

import argparse
import math
import statistics
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import torch
from tables import publish
from warning_people import PARTS, write_people
from warning_scans import RIVALS, Tried, measure, read

from medrecon import held_out
from medrecon.held_out import Excess

BELOW = 1.0  # dB, from which on a network is to be warned of
BANDS = (16, 32, 64)
SHARES, SEEN, FLOORS, SURE = (0.25, 0.3, 0.4), (0.0125, 0.025, 0.0375), (1.5, 1.75, 2.0, 2.5), (2.5, 3.0, 3.5)


@dataclass(frozen=True)
class Judged:
    """A network on an image: its PSNR less that of the best classical method, and its excess over a rival and a black image."""

    tried: Tried
    method: str
    over_rival: Excess
    over_black: Excess

    @property
    def above(self) -> float:
        return self.tried.above[self.method]

    @property
    def is_flagged(self) -> bool:
        return self.over_rival.is_large or self.over_black.is_certain

    @property
    def cost(self) -> float | None:
        """Of the check, in runs of the network; None where the rival was not timed as the check runs it."""
        seconds, rival = self.tried.seconds, RIVALS[self.tried.modality]
        return None if rival not in seconds else (seconds[self.method] + seconds[rival]) / seconds[self.method]


Kind = Callable[[Judged], bool]
KINDS: dict[str, Kind] = {
    "more than 1 dB below the best classical method": lambda one: one.above < -BELOW,
    "no worse, within the training": lambda one: one.tried.is_within and one.above >= 0,
    "worse by less, within the training": lambda one: one.tried.is_within and -BELOW <= one.above < 0,
    "no worse, elsewhere": lambda one: not one.tried.is_within and one.above >= 0,
}


def judged(found: Sequence[Tried]) -> list[Judged]:
    """Each network on each image, by the rule of `medrecon.held_out`."""
    some = []
    for one in found:
        rival = one.prediction(RIVALS[one.modality])
        for method in one.above:
            predicted = one.prediction(method)
            some.append(Judged(one, method, predicted.excess(rival), predicted.excess()))
    return some


def counted(some: Sequence[Judged]) -> str:
    """How many are warned of, and the 95 % interval of the share by Wilson, as if each person counted once."""
    if not some:
        return "0 of 0"
    by: dict[str, list[bool]] = defaultdict(list)
    for one in some:
        by[one.tried.person].append(one.is_flagged)
    share, n, z = statistics.fmean(statistics.fmean(mine) for mine in by.values()), len(by), 1.96
    middle, half = share + z * z / (2 * n), z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    low, high = ((middle + side * half) / (1 + z * z / n) for side in (-1, 1))
    return f"{sum(one.is_flagged for one in some)} of {len(some)} ({n} people, {100 * low:.0f} to {100 * high:.0f} %)"


def table(some: Sequence[Judged]) -> list[list[str]]:
    """A row for each part, scenario and network."""
    by: dict[tuple[str, str, str, str], list[Judged]] = defaultdict(list)
    for one in some:
        by[one.tried.modality.upper(), one.tried.part, one.tried.scenario, one.method].append(one)
    rows = []
    for key, mine in sorted(by.items(), key=lambda item: (item[0][0], PARTS.index(item[0][1]) * -1, *item[0][2:])):
        below = [one for one in mine if one.above < -BELOW]
        costs = [one.cost for one in mine if one.cost is not None]
        flagged, hits = sum(one.is_flagged for one in mine), sum(one.is_flagged for one in below)
        rows.append(
            [
                *key,
                str(len(mine)),
                str(len({one.tried.person for one in mine})),
                f"{statistics.median(one.above for one in mine):+.2f}",
                f"{hits} of {len(below)}",
                f"{flagged - hits} of {len(mine) - len(below)}",
                f"{statistics.median(costs):.1f}" if costs else "",
            ]
        )
    return rows


def choose(found: Sequence[Tried]) -> Iterator[tuple[int, int, str]]:
    """False alarms, misses and the rule, of each rule of a grid."""
    for band in BANDS:
        held_out._BAND = band
        some = judged(found)
        for rule in product(SHARES, SEEN, FLOORS, SURE):
            held_out._MORE, held_out._SEEN, held_out._FLOOR, held_out._SURE = rule
            count = {name: [one.is_flagged for one in some if kind(one)] for name, kind in KINDS.items()}
            hits, within, _, beyond = count.values()
            counts = ", ".join(f"{sum(each)} of {len(each)}" for each in (hits, within, beyond))
            words = "bands of {}, share {}, of image {}, floor {}, errors {}".format(band, *rule)
            yield sum(within) + sum(beyond), len(hits) - sum(hits), f"{words}: {counts}"


def notes(some: Sequence[Judged]) -> list[str]:
    """The counts of each part, and what the table does not show."""
    told = []
    for part in reversed(PARTS):
        mine = [one for one in some if one.tried.part == part]
        counts = [f"{counted([one for one in mine if kind(one)])} {name}" for name, kind in KINDS.items()]
        told += [f"{part.capitalize()} people, warned of: {'; '.join(counts)}."] if mine else []
    rule = held_out._SURE, held_out._MORE, held_out._SEEN, held_out._FLOOR
    return [
        *told,
        "In brackets the 95 % interval of the share, each person counted once.",
        "Above: PSNR of the network less that of the best classical method at its tuned settings, median. Cost: of checking a "
        "file, in slices by the network, by the time of the processor.",
        "Scans of `brain-small` have 320 x 320 pixels, those of other heads 128 rows of them, as most of training saw; `128 "
        "lines`: 128 x 128 pixels, two to six lines held back.",
        "The rule, chosen on the validation people: beyond {:g} standard errors more is wrong with the network's prediction than "
        "with the rival's, by {:g} of what they differ by and, of k-space, {:g} of the image's energy or {:g} times the rival's "
        "error; or than with a black image (`medrecon.held_out.Excess`).".format(*rule),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("folder", type=Path, help="with the images of many people")
    parser.add_argument("--results", type=Path, default=Path("results/held_out_warning"), help="goes on from there")
    parser.add_argument("--parts", nargs="*", default=list(PARTS), help="validation, test or both")
    parser.add_argument("--seconds", type=float, default=math.inf, help="after which no further image is begun")
    parser.add_argument("--tell", action="store_true", help="measure nothing, and tell what is in the results")
    parser.add_argument("--choose", action="store_true", help="tell the rules that do best on the validation people")
    parser.add_argument("--keep", action="store_true", help="write the table for the pages")
    options = parser.parse_args()
    people, tried = options.results / "people", options.results / "tried"
    if not (options.tell or options.choose):
        write_people(options.folder, people)
        tried.mkdir(exist_ok=True)
        measure(people, tried, options.parts, options.seconds)
    found = read(tried)
    if options.choose:
        for _, _, text in sorted(choose([one for one in found if one.part == "validation"]))[:40]:
            print(text)
        return
    some = judged(found)
    columns = ["", "people", "scenario", "network", "images", "of people", "above, dB", "warned, of those 1 dB below",
               "of others", "cost"]  # fmt: skip
    command = "python performance/held_out_warning.py FOLDER --keep"
    publish("held_out_warning", "The warning", command, columns, table(some), notes(some), keep=options.keep)


if __name__ == "__main__":
    torch.set_grad_enabled(mode=False)
    main()
