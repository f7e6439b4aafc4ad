"""Every damaged file is read, or refused in a line: nothing else, in any kind."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fuzz.campaign import Campaign, shrink
from tests.fuzz.formats import OUTSIDE
from tests.fuzz.mutators import damage_bytes
from tests.fuzz.seeds import SEEDS
from tests.fuzz.worker import outcome

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="limits of memory and time are those of Linux")

CASES = sorted((Path(__file__).parent / "cases").glob("*"))


@pytest.fixture(scope="module")
def campaign(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Campaign]:
    with Campaign(tmp_path_factory.mktemp("fuzz"), seed=16) as campaign:
        yield campaign


@pytest.mark.parametrize("kind", SEEDS)
def test_sound_files_are_read(campaign: Campaign, kind: str) -> None:
    assert campaign.end_of(kind, campaign.seeds / SEEDS[kind][0]) == ("0", "")


@pytest.mark.parametrize("kind", SEEDS)
def test_a_few_damaged_files(campaign: Campaign, kind: str) -> None:
    wrong = [one for one in campaign.run(kind, range(6)) if not one.is_fine]
    assert not wrong, wrong


@pytest.mark.slow
@pytest.mark.parametrize("kind", SEEDS)
def test_500_damaged_files(campaign: Campaign, kind: str) -> None:
    ended = list(campaign.run(kind, range(1000, 1500)))
    assert not (wrong := [one for one in ended if not one.is_fine]), wrong
    assert {one.end for one in ended} == {"0", "2"}  # neither is everything refused, nor taken


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_files_that_once_ended_badly(campaign: Campaign, case: Path) -> None:
    kind = case.name.split("_")[0]
    copy = campaign.work / case.name
    copy.write_bytes(case.read_bytes())
    end, words = campaign.end_of(kind, copy)
    assert end == "2", words


def test_the_harness_sees_what_may_not_be(tmp_path: Path) -> None:
    outside = tmp_path / OUTSIDE
    assert outcome(0, "", outside) == "0"
    assert outcome(2, "medrecon: note: a\nmedrecon: error: b\n", outside) == "2"
    assert outcome(1, "medrecon: error: unexpected KeyError\n", outside) == "1"
    assert outcome(2, "Traceback\nmedrecon: error: b\n", outside) == "loud"
    assert outcome(0, "RuntimeWarning: overflow\n", outside) == "loud"
    outside.write_bytes(b"secret")
    os.utime(outside, ns=(0, outside.stat().st_mtime_ns))
    assert outcome(0, "", outside) == "0"
    outside.read_bytes()
    if outside.stat().st_atime_ns:  # where the disk notes who reads
        assert outcome(0, "", outside) == "outside"


def test_the_least_damage_is_found() -> None:
    sound, damaged = bytes(64), bytes(range(64))
    assert shrink(sound, damaged, lambda data: data[40] == 40) == bytes(40) + b"\x28" + bytes(23)
    assert shrink(sound, damaged[:10], lambda _: True) == damaged[:10]  # of another length it is left as it is


def test_damages_are_made_of_the_seed_alone() -> None:
    from random import Random

    data = bytes(range(200))
    assert damage_bytes(data, Random("a")) == damage_bytes(data, Random("a"))
    assert len({damage_bytes(data, Random(seed)) for seed in range(50)}) > 40
