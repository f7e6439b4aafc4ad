import errno
import json
import resource
import signal
import weakref
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from medrecon.data.mri.fastmri_header import make_header
from medrecon.data.mri.writing import write_fastmri
from medrecon.data.writing import atomic_file, write_reconstruction
from medrecon.errors import InputError

HEADER = make_header((16, 12), (8, 10), padding=(1, 11), acquisition="AXT2", patient_id="p7")


def kspace(seed: int, coils: int = 3) -> torch.Tensor:
    return torch.randn(coils, 16, 12, dtype=torch.complex64, generator=torch.Generator().manual_seed(seed))


def image(seed: int) -> torch.Tensor:
    return torch.rand(8, 10, generator=torch.Generator().manual_seed(seed))


def write_images(path: Path, images: Iterable[torch.Tensor]) -> None:
    with write_reconstruction(path) as output:
        for picture in images:
            output.append(picture)


@pytest.fixture
def small_disk() -> Iterator[None]:
    """Files cannot grow beyond 2 MB: the kernel's own answer, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2_000_000, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_atomic_file_may_be_read_as_any_new_file(tmp_path: Path) -> None:
    plain, path = tmp_path / "plain", tmp_path / "a.json"
    plain.touch()
    with atomic_file(path) as temporary:
        temporary.write_text("{}")
        temporary.chmod(0o600)
    assert path.stat().st_mode == plain.stat().st_mode


def test_atomic_file_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    with atomic_file(path) as temporary:
        temporary.write_text(json.dumps({"a": 1}))
        assert (temporary.parent, temporary.suffix) == (tmp_path, ".json")
        assert not path.exists()
    assert json.loads(path.read_text()) == {"a": 1}
    assert list(tmp_path.iterdir()) == [path]
    fresh = tmp_path / "fresh"
    fresh.touch()
    assert path.stat().st_mode == fresh.stat().st_mode


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, OSError, RuntimeError])
def test_an_interrupted_write_leaves_everything_as_it_was(tmp_path: Path, error: type[BaseException]) -> None:
    path = tmp_path / "a.h5"
    path.write_text("old")

    def interrupted() -> Iterator[torch.Tensor]:
        yield kspace(0)
        raise error

    with pytest.raises(error):
        write_fastmri(path, interrupted(), header=HEADER, overwrite=True)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_an_existing_file_is_kept_unless_told(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    path.write_text("old")
    with pytest.raises(InputError, match="--overwrite"):
        write_fastmri(path, [kspace(0)], header=HEADER)
    assert path.read_text() == "old"
    write_fastmri(path, [kspace(0)], header=HEADER, overwrite=True)
    assert h5py.is_hdf5(path)


def test_a_file_that_appears_meanwhile_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"

    def write_both() -> None:
        with atomic_file(path) as temporary:
            temporary.write_text("new")
            path.write_text("other")

    with pytest.raises(InputError, match="--overwrite"):
        write_both()
    assert path.read_text() == "other"
    assert list(tmp_path.iterdir()) == [path]


def test_a_link_is_written_through(tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    path, real = tmp_path / "a.txt", tmp_path / "store" / "b.txt"
    real.write_text("old")
    path.symlink_to(real)
    with atomic_file(path, overwrite=True) as temporary:
        temporary.write_text("new")
    assert path.is_symlink()
    assert real.read_text() == "new"


@pytest.mark.parametrize(
    ("place", "words"), [(".", "is a folder"), ("missing/a.h5", "does not exist"), ("x" * 300, "")]
)
def test_impossible_places_are_refused(tmp_path: Path, place: str, words: str) -> None:
    with pytest.raises(InputError, match=words or "too long"), atomic_file(tmp_path / place):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_device_is_never_replaced() -> None:
    with pytest.raises(InputError, match="no ordinary file"), atomic_file("/dev/null", overwrite=True):
        pass


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_named(tmp_path: Path, number: int) -> None:
    with pytest.raises(InputError, match="full"), atomic_file(tmp_path / "a.png"):
        raise OSError(number, "no")
    assert list(tmp_path.iterdir()) == []


def test_an_error_about_another_file_stays_what_it_is(tmp_path: Path) -> None:
    with pytest.raises(PermissionError, match="input"), atomic_file(tmp_path / "a.png"):
        raise PermissionError(errno.EACCES, "no", str(tmp_path / "input.h5"))


@pytest.mark.usefixtures("small_disk")
def test_hdf5_survives_a_disk_that_fills_up(tmp_path: Path) -> None:
    path, images = tmp_path / "a.h5", iter([torch.ones(128, 256)] * 40)
    with pytest.raises(InputError, match=r"a\.h5: the disk or the quota is full"):
        write_images(path, images)
    assert len(list(images)) > 30  # it stops at once, rather than at the end
    assert list(tmp_path.iterdir()) == []
    with write_reconstruction(path) as output:  # and the next file is none the worse
        output.append(torch.ones(128, 256))
    with h5py.File(path) as file:
        assert (file["reconstruction"][()] == 1).all()


def test_space_reserved_is_given_back(tmp_path: Path) -> None:
    write_images(tmp_path / "a.h5", [torch.ones(64, 64)] * 3)
    assert (tmp_path / "a.h5").stat().st_size < 3 * 4 * 64 * 64 + 16_384


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # Python drops it in a weakref callback
def test_ctrl_c_at_any_moment_leaves_a_whole_file_or_none(tmp_path: Path) -> None:
    armed = False

    def interrupt(*_: object) -> None:
        nonlocal armed
        if armed:
            armed = False
            raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        for attempt in range(60):
            path = tmp_path / f"{attempt}.h5"
            with suppress(KeyboardInterrupt):
                armed = True
                signal.setitimer(signal.ITIMER_REAL, 2e-4 * (1 + attempt))
                write_images(path, [torch.ones(64, 64)] * 5)
                armed = False
            signal.setitimer(signal.ITIMER_REAL, 0)
            if path.exists():
                with h5py.File(path) as file:
                    assert file["reconstruction"].shape == (5, 64, 64)
                    assert (file["reconstruction"][()] == 1).all()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert not list(tmp_path.glob(".*"))


def test_reconstruction_holds_images_and_attributes(tmp_path: Path) -> None:
    with write_reconstruction(tmp_path / "o.h5") as output:
        for seed in range(3):
            output.append(image(seed).double())
        output.describe({"method": "sense", "true_acceleration": 3.5, "iterations": 30})
    with h5py.File(tmp_path / "o.h5") as file:
        data = file["reconstruction"]
        assert (data.shape, data.dtype) == ((3, 8, 10), np.float32)
        assert np.array_equal(data[2], image(2).numpy())
        assert dict(file.attrs) == {"method": "sense", "true_acceleration": 3.5, "iterations": 30}


@pytest.mark.parametrize(
    ("images", "words"),
    [
        ([], "at least one"),
        ([torch.ones(4, 4), torch.ones(4, 5)], "one shape"),
        ([torch.ones(2, 4, 4)], r"\(y, x\)"),
        ([torch.ones(4, 4) * 1j], "real"),
    ],
)
def test_wrong_images_are_refused(tmp_path: Path, images: list[torch.Tensor], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        write_images(tmp_path / "o.h5", images)
    assert list(tmp_path.iterdir()) == []


def test_the_package_fastmri_reads_what_is_written(tmp_path: Path) -> None:
    mri_data = pytest.importorskip("fastmri.data.mri_data")
    targets = [image(s) for s in range(2)]
    write_fastmri(tmp_path / "a.h5", (kspace(s) for s in range(2)), header=HEADER, targets=iter(targets))
    data = mri_data.SliceDataset(tmp_path, "multicoil")
    stored, mask, target, attributes, name, index = data[1]
    assert (len(data), name, index, mask) == (2, "a.h5", 1, None)
    assert np.array_equal(stored, kspace(1).numpy())
    assert np.array_equal(target, targets[1].numpy())
    assert (attributes["acquisition"], attributes["patient_id"]) == ("AXT2", "p7")
    assert (attributes["encoding_size"], attributes["recon_size"]) == ((16, 12, 1), (8, 10, 1))
    assert (attributes["padding_left"], attributes["padding_right"]) == (1, 11)
    assert attributes["max"] == float(torch.stack(targets).max())
    assert attributes["norm"] == pytest.approx(float(torch.stack(targets).double().norm()))


def test_the_package_fastmri_reads_single_coil_and_test_files(tmp_path: Path) -> None:
    mri_data = pytest.importorskip("fastmri.data.mri_data")
    lines = torch.arange(12) % 2 == 0
    write_fastmri(tmp_path / "a.h5", [kspace(0)[0]], header=HEADER, targets=[image(0)], mask=lines)
    stored, mask, target, *_ = mri_data.SliceDataset(tmp_path, "singlecoil")[0]
    assert np.array_equal(stored, (kspace(0)[0] * lines).numpy())
    assert np.array_equal(mask, lines.numpy())
    assert np.array_equal(target, image(0).numpy())


def test_slices_are_let_go_as_they_are_written(tmp_path: Path) -> None:
    alive: weakref.WeakSet[torch.Tensor] = weakref.WeakSet()
    most = 0

    def slices() -> Iterator[torch.Tensor]:
        nonlocal most
        for seed in range(6):
            values = kspace(seed)
            alive.add(values)
            most = max(most, len(alive))
            yield values
            del values

    write_fastmri(tmp_path / "a.h5", slices(), header=HEADER)
    assert most <= 2


@pytest.mark.parametrize(
    ("slices", "targets", "words"),
    [
        ([], None, "at least one"),
        ([torch.ones(3, 16, 12)], None, "complex"),
        ([torch.ones(16) * 1j], None, r"\(coil, ky, kx\)"),
        ([kspace(0), kspace(0, coils=2)], None, "one shape"),
        ([kspace(0), kspace(1)], [image(0)], "shorter"),
        ([kspace(0)], [image(0), image(1)], "longer"),
    ],
)
def test_wrong_slices_are_refused(
    tmp_path: Path, slices: list[torch.Tensor], targets: list[torch.Tensor] | None, words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        write_fastmri(tmp_path / "a.h5", slices, header=HEADER, targets=targets)
    assert list(tmp_path.iterdir()) == []
