"""`medrecon configs`, and configurations by name."""

from pathlib import Path

import pytest
import yaml

from medrecon.benchmark import load_benchmark
from medrecon.config.shipped import config_folder, config_names, find_config, referred_files, shipped_config
from medrecon.errors import InputError
from tests.program import medrecon


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MEDRECON_DATA", str(tmp_path / "cache"))
    return tmp_path


def test_the_folder_is_inside_an_installed_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("medrecon.config.shipped.__file__", str(tmp_path / "medrecon" / "config" / "shipped.py"))
    assert config_folder() == tmp_path / "configs"
    (tmp_path / "medrecon" / "configs").mkdir(parents=True)
    assert config_folder() == tmp_path / "medrecon" / "configs"


def test_each_is_listed_with_its_command_and_shown() -> None:
    rows = {line.split()[0]: line for line in medrecon("configs", "list").out.splitlines()[1:] if line[0] != " "}
    assert tuple(rows) == config_names()
    words = "A small variational network with coil maps, on the set brain-small, that begins with a wavelet image."
    assert " ".join(rows["varnet_brain_small"].split()) == f"varnet_brain_small train {words}"
    for name in config_names():
        kind = "benchmark" if name.startswith("benchmark") else "train"
        assert rows[name].split()[1] == kind
        assert medrecon("configs", "show", name).out == shipped_config(name).read_text("utf-8")


def test_a_file_comes_before_a_name_and_a_folder_after() -> None:
    Path("varnet_brain_small").mkdir()
    assert find_config("varnet_brain_small") == config_folder() / "varnet_brain_small.yaml"
    Path("benchmark_mri").write_text("mine")
    assert find_config("benchmark_mri") == Path("benchmark_mri")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("train", "varnet_brain_small"), "brain-small is not in"),
        (("benchmark", "benchmark_mri"), "scenario 'brain-small, 4x': brain-small is not in"),
        (("tune", "tv", "benchmark_mri", "-o", "t.yaml"), "brain-small is not in"),
        (("train", "varnet_brain"), "varnet_brain: there is no such file, and no configuration of this name"),
        (("benchmark", "x.yaml"), "or one of benchmark_ct, benchmark_fastmri_knee"),
        (("configs", "show", "x"), "x: there is no such file, and no configuration"),
        (("configs", "copy", "benchmark_ct", "no/x.yaml"), "its folder"),
    ],
)
def test_names_are_taken_and_unknown_ones_told(arguments: tuple[str, ...], words: str) -> None:
    done = medrecon(*arguments)
    assert done.status == 2
    assert words in done.complaint


@pytest.mark.parametrize("name", config_names())
def test_a_copy_works_as_what_it_is_a_copy_of(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    source = shipped_config(name)
    assert medrecon("configs", "copy", name, folder).status == 0
    copied = {path.relative_to(folder) for path in folder.rglob("*") if path.is_file()}
    assert copied == {Path(source.name), *referred_files(source)}
    assert all((folder / file).read_bytes() == (source.parent / file).read_bytes() for file in copied)


def test_tuned_settings_are_found_beside_a_copy_and_beside_what_is_shipped() -> None:
    assert medrecon("configs", "copy", "benchmark_mri", "mine.yaml").out.splitlines() == [
        "mine.yaml: written",
        "tuned/benchmark_mri.yaml: written",
    ]
    for path in (Path("mine.yaml"), find_config("benchmark_mri")):
        settings = load_benchmark(path)
        assert settings.mri is not None
        tuned = [method.tuned for method in settings.mri.methods if method.tuned is not None]
        assert len(tuned) == 4
        assert all(file.is_file() for file in tuned)


def test_nothing_is_written_over_and_nothing_by_halves() -> None:
    Path("tuned").mkdir()
    Path("tuned/benchmark_mri.yaml").write_text("mine")
    done = medrecon("configs", "copy", "benchmark_mri")
    assert done.complaint.startswith("tuned/benchmark_mri.yaml: exists already; give --overwrite")
    assert not Path("benchmark_mri.yaml").exists()
    assert Path("tuned/benchmark_mri.yaml").read_text() == "mine"
    assert medrecon("configs", "copy", "benchmark_mri", "--overwrite").status == 0
    assert yaml.safe_load(Path("tuned/benchmark_mri.yaml").read_text())["tuned"]


def test_only_tuned_files_that_are_there_are_referred_to(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(
        "ct: {methods: [{tuned: a.yaml}, {tuned: b.yaml}, {tuned: /etc/hostname}], problems: [{tuned_as: a.yaml}]}"
    )
    (tmp_path / "a.yaml").write_text("tuned: []")
    assert referred_files(path) == (Path("a.yaml"),)
    with pytest.raises(InputError, match="no configuration of this name"):
        shipped_config("../configs/benchmark_ct")
