"""Taking files out of archives, and nothing else."""

import io
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from medrecon.data.sets.packages import extract
from medrecon.errors import InputError


@pytest.mark.parametrize("kind", ["tar", "zip"])
@pytest.mark.parametrize("name", ["../out.txt", "/tmp/out.txt", "a/../../out.txt", "C:\\out.txt", "..\\out.txt"])
def test_no_member_is_written_outside_the_folder(tmp_path: Path, kind: str, name: str) -> None:
    archive = tmp_path / "archive"
    _archive(archive, kind, {"good.txt": b"1", name: b"2"})
    with pytest.raises(InputError, match="outside its folder; nothing was unpacked"):
        extract(archive, ["*"], tmp_path / "into")
    assert not (tmp_path / "into").exists()


@pytest.mark.parametrize("kind", ["tar", "zip"])
def test_members_are_taken_by_pattern(tmp_path: Path, kind: str) -> None:
    archive = tmp_path / "archive"
    _archive(archive, kind, {"p/data/a.dcm": b"a", "p/data/deep/b.dcm": b"b", "p/code.py": b"c"})
    written = extract(archive, ["p/data/*"], tmp_path / "into")
    assert {file.relative_to(tmp_path / "into").as_posix() for file in written} == {"p/data/a.dcm", "p/data/deep/b.dcm"}
    assert [file.read_bytes() for file in sorted(written)] == [b"a", b"b"]
    assert not (tmp_path / "into" / "p" / "code.py").exists()
    with pytest.raises(InputError, match=r"holds no file 'p/\*\.nii'"):
        extract(archive, ["p/*.nii"], tmp_path / "into")


def test_links_in_an_archive_are_not_followed(tmp_path: Path) -> None:
    archive = tmp_path / "archive"
    with tarfile.open(archive, "w") as tar:
        link = tarfile.TarInfo("secret.txt")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/hostname"
        tar.addfile(link)
    with pytest.raises(InputError, match="holds no file"):
        extract(archive, ["secret.txt"], tmp_path / "into")


def _archive(archive: Path, kind: str, files: Mapping[str, bytes]) -> None:
    if kind == "zip":
        with zipfile.ZipFile(archive, "w") as zipped:
            for name, content in files.items():
                zipped.writestr(name, content)
        return
    with tarfile.open(archive, "w") as tar:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
