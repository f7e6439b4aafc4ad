"""A run takes the same scan from the first slice to the last, and nothing from outside of its file unasked."""

import shutil
from pathlib import Path

import h5py
import pytest
import torch

from medrecon.config.reconstruction import ReconstructionSettings
from medrecon.errors import ChangedError
from medrecon.scans import open_scan
from medrecon.workflows import reconstruct_file
from medrecon.workflows.trust import settle
from tests.program import images, medrecon, simulate
from tests.sinogram_files import write_scan


def settings(modality: str, method: str) -> ReconstructionSettings:
    return ReconstructionSettings.model_validate({"method": {"kind": method}, "acquisition": {"modality": modality}})


@pytest.mark.parametrize(("modality", "method"), [("mri", "rss"), ("ct", "fbp")])
@pytest.mark.parametrize("when", ["read", "reconstructed"])
@pytest.mark.parametrize("how", ["replaced", "cut"])
def test_a_scan_that_changes_in_the_middle_of_a_run_gives_no_image(
    tmp_path: Path, modality: str, method: str, when: str, how: str
) -> None:
    make = simulate if modality == "mri" else write_scan
    source, other = make(tmp_path / "s.h5", slices=12), make(tmp_path / "other.h5", slices=12)

    def change(what: str, done: int, total: int) -> None:
        del total
        if done >= 2 and what.endswith("read") == (when == "read") and other.exists():
            if how == "replaced":
                other.replace(source)
            else:
                other.unlink()
                with source.open("r+b") as file:
                    file.truncate(source.stat().st_size // 2)

    with pytest.raises(
        ChangedError, match=r"s\.h5: was (replaced by another|written to) while it was read.*start again$"
    ):
        reconstruct_file(source, tmp_path / "o.h5", settings(modality, method), progress=change)
    assert not other.exists()
    assert not (tmp_path / "o.h5").exists()
    assert not list(tmp_path.glob(".o.h5*"))


def test_methods_of_a_report_see_the_same_scan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, other = simulate(tmp_path / "s.h5"), simulate(tmp_path / "other.h5", snr=5)
    import medrecon.report.figures as figures

    real = figures.preview

    def preview(*arguments: object) -> None:
        real(*arguments)  # type: ignore[arg-type]
        other.replace(source)

    monkeypatch.setattr(figures, "preview", preview)
    out = ("-o", tmp_path / "o.h5", "--preview", tmp_path / "o.png", "--report", tmp_path / "r.html")
    done = medrecon("reconstruct", source, *out, "--method", "rss", "--compare", "zero-filled")
    assert done.status == 2
    assert "s.h5: was replaced by another while it was read" in done.complaint
    assert "zero-filled" not in done.out
    assert done.complaint.startswith(f"{source}: was replaced by another")
    assert not (tmp_path / "r.html").exists()


@pytest.mark.parametrize(("modality", "method"), [("mri", "sense"), ("ct", "fbp")])
def test_a_scan_that_changes_while_it_is_checked_is_not_reconstructed(
    tmp_path: Path, modality: str, method: str
) -> None:
    make = simulate if modality == "mri" else write_scan
    source, other = make(tmp_path / "s.h5"), make(tmp_path / "other.h5")
    wanted = settings(modality, method)
    scan = open_scan(source, wanted.acquisition)
    other.replace(source)
    with pytest.raises(ChangedError, match=r"s\.h5: was replaced by another"):
        settle(wanted.model_copy(update={"check": True}), scan, 0, torch.device("cpu"), None)


@pytest.fixture
def virtual(tmp_path: Path) -> Path:
    """A scan whose k-space lies in another file, as a virtual data set, and is the same."""
    simulate(tmp_path / "whole.h5")
    shutil.copy(tmp_path / "whole.h5", tmp_path / "v.h5")
    with h5py.File(tmp_path / "v.h5", "r+") as file:
        layout = h5py.VirtualLayout(file["kspace"].shape, "c8")
        layout[...] = h5py.VirtualSource("whole.h5", "kspace", file["kspace"].shape)
        del file["kspace"]
        file.create_virtual_dataset("kspace", layout)
    return tmp_path / "v.h5"


def test_other_files_are_read_when_that_is_allowed(tmp_path: Path, virtual: Path) -> None:
    for command in (("inspect", virtual), ("reconstruct", virtual, "-o", tmp_path / "o.h5", "--method", "rss")):
        refused = medrecon(*command)
        assert refused.status == 2
        assert "`kspace` is a virtual data set, its numbers lie in whole.h5; synchrotrons" in refused.complaint
        allowed = medrecon(*command, "--allow-external")
        assert (allowed.status, allowed.err) == (0, "")
    assert medrecon("reconstruct", tmp_path / "whole.h5", "-o", tmp_path / "w.h5", "--method", "rss").status == 0
    assert torch.equal(images(tmp_path / "o.h5"), images(tmp_path / "w.h5"))


def test_sinograms_in_other_files_are_read_when_that_is_allowed(tmp_path: Path) -> None:
    write_scan(tmp_path / "whole.h5")
    shutil.copy(tmp_path / "whole.h5", tmp_path / "l.h5")
    with h5py.File(tmp_path / "l.h5", "r+") as file:
        del file["sinogram"]
        file["sinogram"] = h5py.ExternalLink("whole.h5", "/sinogram")
    call = ("reconstruct", tmp_path / "l.h5", "-o", tmp_path / "o.h5")
    assert "`sinogram` is a link to whole.h5:/sinogram, in another file" in medrecon(*call).complaint
    assert medrecon(*call, "--allow-external").status == 0
    assert images(tmp_path / "o.h5").any()


@pytest.mark.parametrize("kind", ["c8", "S4"])
def test_targets_that_are_no_real_numbers_are_refused(tmp_path: Path, kind: str) -> None:
    path = write_scan(tmp_path / "s.h5")
    with h5py.File(path, "r+") as file:
        target = file["target"][()].astype(kind)
        del file["target"]
        file["target"] = target
    done = medrecon("reconstruct", path, "-o", tmp_path / "o.h5")
    assert done.status == 2
    assert "and images are real; remove or mend it" in done.complaint


def test_texts_of_other_encodings_do_not_end_the_program(tmp_path: Path) -> None:
    path = simulate(tmp_path / "s.h5")
    with h5py.File(path, "r+") as file:
        file.attrs["acquisition"] = b"\xff\xfe\x80\x1b[31m"
    done = medrecon("inspect", path)
    assert done.status == 0
    assert "\x1b" not in done.out
    done.out.encode("utf-8")
