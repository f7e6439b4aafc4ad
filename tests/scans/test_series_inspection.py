"""What is said of a folder of DICOM before anything is made of it."""

import json
from pathlib import Path

from tests.data.ct.test_dicom import _series, _volume, _write
from tests.data.ct.test_dicom_exports import LOCALIZER, stack
from tests.data.mri.test_mr_series import enhanced
from tests.program import medrecon


def test_series_are_listed_with_what_keeps_them_from_being_volumes(tmp_path: Path) -> None:
    _series(tmp_path / "a")
    stack(tmp_path / "b", [0, 3, 6, 9, 9])
    for file, uid in (("b", "1.2.7"), ("scout", "1.2.9")):
        change = LOCALIZER if file == "scout" else lambda _: None
        for k in range(2):
            _write(tmp_path / file / f"{k}.dcm", _volume()[0], (0, 0, 0), uid=uid, change=change)
    (tmp_path / "b" / "2.dcm").unlink()
    (tmp_path / "b" / "3.dcm").unlink()
    (tmp_path / "b" / "4.dcm").unlink()
    (tmp_path / "notes.txt").write_text("words")
    done = medrecon("inspect", tmp_path)
    assert (done.status, done.err) == (0, "")
    lines = done.out.splitlines()
    assert lines[0].endswith("DICOM, 3 series")
    assert lines[1] == "1.2.3.4: CT chest, 5 slices of 6 x 7, 2 mm apart, pixels of 0.5 x 0.75 mm"
    assert lines[2] == "1.2.7: CT chest, 2 slices of 6 x 7"
    assert "problem: " in lines[3]
    assert "0.dcm and 1.dcm lie at the same place" in lines[3]
    assert lines[4] == "1.2.9: CT chest, localizer of 6 x 7"
    assert lines[5] == "note: passed over, as no DICOM images: notes.txt"
    values = json.loads(medrecon("inspect", tmp_path, "--json").out)
    assert [one["uid"] for one in values["series"]] == ["1.2.3.4", "1.2.7", "1.2.9"]
    assert values["series"][0]["spacing"] == [2.0, 0.5, 0.75]


def test_volumes_of_one_file_are_named(tmp_path: Path) -> None:
    enhanced(tmp_path / "a.dcm")
    lines = medrecon("inspect", tmp_path / "a.dcm").out.splitlines()
    assert "2 volumes: ORIGINAL\\PRIMARY\\T1\\FIELD_MAP, 3 slices; ORIGINAL\\PRIMARY\\T1\\M, 3 slices" in lines[2]


def test_the_series_that_is_named_is_simulated(tmp_path: Path) -> None:
    _series(tmp_path / "a")
    for k in range(3):
        _write(tmp_path / "b" / f"{k}.dcm", _volume()[k], (0, 0, 2.0 * k), uid="1.2.7")
    call = ("simulate", tmp_path / "scan.h5", "--modality", "ct", "--from", tmp_path, "--views", 12)
    refused = medrecon(*call)
    assert refused.status == 2
    assert "name one (--series UID)" in refused.complaint
    done = medrecon(*call, "--series", "1.2.7")
    assert done.status == 0, done.err
    assert "3 sinograms" in done.out
    for more, words in (
        (("--from", tmp_path / "x.nii", "--series", "1"), "has no series, which DICOM has"),
        (("--series", "1"), "--series is one of the folder of --from"),
    ):
        wrong = medrecon("simulate", tmp_path / "b.h5", "--modality", "ct", *more)
        assert wrong.status == 2
        assert words in wrong.complaint
