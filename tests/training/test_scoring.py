"""What trained weights are scored on: nothing that they learned from."""

from pathlib import Path

import pytest

from medrecon.config.training_data import FastMRIData, LoDoPaBData, PhantomMRIData
from medrecon.workflows.training_data import was_trained_on

MASKS = ({"kind": "random", "acceleration": 4},)


@pytest.mark.parametrize(
    ("part", "learned"),
    [
        ("multicoil_train", True),
        ("multicoil_train/", True),
        ("multicoil_train/site", True),
        ("multicoil_val/../multicoil_train", True),
        (".", True),
        ("ABSOLUTE", True),
        ("multicoil_val", False),
        ("multicoil_train_2", False),
    ],
)
def test_a_folder_is_told_by_where_it_lies(tmp_path: Path, part: str, learned: bool) -> None:
    (tmp_path / "multicoil_val").mkdir()
    data = FastMRIData.model_validate(
        {"kind": "fastmri", "dataset": "fastmri-knee", "folder": tmp_path, "masks": MASKS}
    )
    assert was_trained_on(data, part.replace("ABSOLUTE", str(tmp_path / "multicoil_train"))) == learned


def test_a_part_is_told_by_its_name() -> None:
    lodopab = LoDoPaBData(kind="lodopab", dataset="lodopab", train="validation", validation="test")
    assert [was_trained_on(lodopab, part) for part in ("train", "validation", "test")] == [True, True, False]
    phantoms = PhantomMRIData.model_validate({"kind": "phantom-mri", "masks": MASKS})
    assert [was_trained_on(phantoms, part) for part in ("train", "validation", "test")] == [True, False, False]
