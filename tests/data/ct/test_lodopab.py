"""LoDoPaB-CT's files: what is written is read, across files and in workers, and wrong files are named."""

import multiprocessing
import pickle
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from medrecon.data.ct import lodopab as module
from medrecon.data.ct.attenuation import MU_MAX, AttenuationUnit
from medrecon.data.ct.lodopab import LoDoPaB, LoDoPaBFile, write_lodopab, write_lodopab_images
from medrecon.errors import InputError
from medrecon.geometry import lodopab, lodopab_grid

PER_FILE, COUNT = 2, 5


def _pairs(count: int = COUNT) -> list[tuple[torch.Tensor, torch.Tensor]]:
    generator = torch.Generator().manual_seed(5)
    return [
        (10 * torch.rand(1000, 513, generator=generator), MU_MAX * torch.rand(362, 362, generator=generator))
        for _ in range(count)
    ]


@pytest.fixture(scope="module")
def pairs() -> list[tuple[torch.Tensor, torch.Tensor]]:
    return _pairs()


@pytest.fixture
def folder(tmp_path: Path, pairs: list[tuple[torch.Tensor, torch.Tensor]], monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(module, "SAMPLES_PER_FILE", PER_FILE)
    assert write_lodopab(tmp_path, "test", pairs) == COUNT
    return tmp_path


def test_samples_come_back_in_the_units_of_the_library(
    folder: Path, pairs: list[tuple[torch.Tensor, torch.Tensor]]
) -> None:
    data = LoDoPaB(folder, "test")
    assert len(data) == COUNT == len(list(data))
    for index, (sinogram, image) in enumerate(pairs):
        sample = data[index]
        torch.testing.assert_close(sample.sinogram, sinogram, rtol=1e-6, atol=0)
        assert sample.target is not None
        torch.testing.assert_close(sample.target, image, rtol=1e-6, atol=0)
        assert sample.target.is_contiguous()
        assert (sample.geometry, sample.grid, sample.photons) == (lodopab(), lodopab_grid(), 4096)
        assert sample.unit is AttenuationUnit.LODOPAB
        assert (sample.name, sample.index) == (f"observation_test_{index // PER_FILE:03d}.hdf5", index % PER_FILE)
    torch.testing.assert_close(data[-1].sinogram, data[COUNT - 1].sinogram)
    for beyond in (COUNT, -COUNT - 1):
        with pytest.raises(IndexError, match="has 5 samples"):
            data[beyond]


def test_the_files_are_those_of_lodopab(folder: Path, pairs: list[tuple[torch.Tensor, torch.Tensor]]) -> None:
    names = sorted(file.name for file in folder.iterdir())
    assert names == [f"{kind}_test_{n:03d}.hdf5" for kind in ("ground_truth", "observation") for n in range(3)]
    sinogram, image = pairs[3]
    with h5py.File(folder / "observation_test_001.hdf5") as file:
        assert list(file) == ["data"]
        assert file["data"].shape == (2, 1000, 513)
        assert file["data"].dtype == np.float32
        np.testing.assert_allclose(file["data"][1], sinogram / 81.35858, rtol=1e-6)
    with h5py.File(folder / "ground_truth_test_001.hdf5") as file:
        np.testing.assert_allclose(file["data"][1], image.T / 0.08135858, rtol=1e-6)
    with h5py.File(folder / "observation_test_002.hdf5") as file:
        assert len(file["data"]) == 1


def test_a_full_file_holds_128() -> None:
    assert module.SAMPLES_PER_FILE == 128


def test_a_single_file_finds_its_ground_truth_by_name(folder: Path) -> None:
    file = LoDoPaBFile(folder / "observation_test_001.hdf5")
    assert file.truth == folder / "ground_truth_test_001.hdf5"
    assert len(file) == PER_FILE
    assert file[1].target is not None
    with pytest.raises(IndexError, match="has 2 samples"):
        file[2]
    file.truth.unlink()
    assert LoDoPaBFile(file.path)[1].target is None
    with pytest.raises(InputError, match=r"holds images, not measurements; give observation_test_000\.hdf5"):
        LoDoPaBFile(folder / "ground_truth_test_000.hdf5")


def test_files_may_lie_in_a_folder_for_each_archive(folder: Path) -> None:
    for kind in ("observation", "ground_truth"):
        (folder / f"{kind}_test").mkdir()
        for file in folder.glob(f"{kind}_test_*.hdf5"):
            file.replace(folder / f"{kind}_test" / file.name)
    data = LoDoPaB(folder, "test")
    assert len(data) == COUNT
    assert data[4].target is not None


def test_a_part_without_ground_truth(folder: Path) -> None:
    for file in folder.glob("ground_truth_*"):
        file.unlink()
    assert LoDoPaB(folder, "test")[2].target is None


@pytest.mark.parametrize("method", ["fork", "spawn"])
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_workers_read_what_this_process_reads(folder: Path, method: str) -> None:
    data = LoDoPaB(folder, "test")
    here = [float(data[index].sinogram.sum()) for index in range(3)]
    assert float(pickle.loads(pickle.dumps(data))[0].sinogram.sum()) == here[0]
    with multiprocessing.get_context(method).Pool(1) as pool:
        assert pool.map(_Sum(data), range(3)) == here


class _Sum:
    def __init__(self, data: LoDoPaB) -> None:
        self.data = data

    def __call__(self, index: int) -> float:
        torch.set_num_threads(1)
        return float(self.data[index].sinogram.sum())


@pytest.mark.parametrize("name", ["observation_test_001.hdf5", "ground_truth_test_001.hdf5"])
def test_a_missing_file_in_the_middle_is_named(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(InputError, match=rf"{name} is missing; unpack {name.removesuffix('_001.hdf5')}\.zip again"):
        LoDoPaB(folder, "test")


def test_a_part_that_is_not_there(folder: Path) -> None:
    with pytest.raises(InputError, match=r"holds no observation_train_000\.hdf5; of LoDoPaB it holds test"):
        LoDoPaB(folder, "train")
    with pytest.raises(InputError, match="nowhere: is no folder"):
        LoDoPaB(folder / "nowhere", "test")


def test_a_file_cut_short_is_named(folder: Path) -> None:
    file = folder / "observation_test_001.hdf5"
    file.write_bytes(file.read_bytes()[:100_000])
    with pytest.raises(InputError, match=r"observation_test_001\.hdf5: is truncated: 100000 bytes of"):
        LoDoPaB(folder, "test")


@pytest.mark.parametrize(
    ("key", "shape", "kind", "says"),
    [
        ("other", (1, 1000, 513), "f4", r"no data set `data`, it holds other"),
        ("data", (1, 513, 1000), "f4", r"`data` is \(1, 513, 1000\) float32; LoDoPaB-CT has observations"),
        ("data", (1000, 513), "f4", r"`data` is \(1000, 513\) float32"),
        ("data", (1, 1000, 513), "i2", r"`data` is \(1, 1000, 513\) int16"),
        ("data", (0, 1000, 513), "f4", r"`data` holds no sample"),
    ],
)
def test_a_file_of_another_kind_is_refused(
    tmp_path: Path, key: str, shape: tuple[int, ...], kind: str, says: str
) -> None:
    path = tmp_path / "observation_test_000.hdf5"
    with h5py.File(path, "w") as file:
        file.create_dataset(key, shape, kind)
    with pytest.raises(InputError, match=rf"observation_test_000\.hdf5: {says}"):
        LoDoPaBFile(path)


def test_another_number_of_images_is_refused(folder: Path) -> None:
    (folder / "ground_truth_test_002.hdf5").replace(folder / "ground_truth_test_001.hdf5")
    with pytest.raises(
        InputError, match=r"ground_truth_test_001\.hdf5: holds 1 images, and observation_test_001\.hdf5 2 obs"
    ):
        LoDoPaBFile(folder / "observation_test_001.hdf5")


def test_a_sample_with_nan_is_named_when_it_is_read(folder: Path) -> None:
    with h5py.File(folder / "observation_test_001.hdf5", "r+") as file:
        file["data"][1, 3, 4:6] = np.nan
    data = LoDoPaB(folder, "test")
    assert data[2].sinogram.isfinite().all()
    with pytest.raises(InputError, match=r"observation_test_001\.hdf5: sample 1 .* is NaN or infinite at 2 places"):
        data[3]


def test_nothing_is_left_of_a_write_that_fails(tmp_path: Path) -> None:
    good, bad = _pairs(2)
    with pytest.raises(
        ValueError, match=r"an? image of LoDoPaB-CT is real, of shape \(362, 362\), got \(362, 300\) float32"
    ):
        write_lodopab(tmp_path, "test", [good, (bad[0], bad[1][:, :300])])
    with pytest.raises(ValueError, match=r"a sinogram of LoDoPaB-CT is real, of shape \(1000, 513\)"):
        write_lodopab(tmp_path, "test", [(good[0].T, good[1])])
    assert list(tmp_path.iterdir()) == []
    assert write_lodopab(tmp_path, "test", []) == 0
    write_lodopab(tmp_path, "test", [good])
    with pytest.raises(InputError, match="exists already"):
        write_lodopab(tmp_path, "test", [good])


def test_images_are_written_as_ground_truth_is(tmp_path: Path) -> None:
    images = [image for _, image in _pairs(2)]
    assert write_lodopab_images(tmp_path / "out.hdf5", images) == 2
    with h5py.File(tmp_path / "out.hdf5") as file:
        np.testing.assert_allclose(file["data"][1], images[1].T / MU_MAX, rtol=1e-6)
    with pytest.raises(ValueError, match="at least one image"):
        write_lodopab_images(tmp_path / "none.hdf5", [])
    assert not (tmp_path / "none.hdf5").exists()
