"""Those who read many files, training and benchmark, see what `medrecon reconstruct` sees: mended, or refused."""

from collections.abc import Callable, Sequence
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from medrecon.benchmark.sources import read_kspace, source_images, volume
from medrecon.config.benchmark import FastMRISource
from medrecon.data.mri.fastmri import KSpaceSample
from medrecon.errors import InputError
from medrecon.findings import KSpaceFinding
from medrecon.training.mri import FastMRISlices
from tests.kspace_files import simulated_scan

Read = Callable[..., Sequence[KSpaceSample]]


def by_training(folder: Path, accept: tuple[KSpaceFinding, ...] = ()) -> list[KSpaceSample]:
    slices = FastMRISlices(folder, accept)
    return [slices.sample(index, 0) for index in range(len(slices))]


def by_benchmark(folder: Path, accept: tuple[KSpaceFinding, ...] = ()) -> list[KSpaceSample]:
    source = FastMRISource(kind="fastmri", folder=folder, accept=accept)
    images = source_images(source)
    assert [sample.slice_index for sample in volume(source, images[0])] == list(range(len(images)))
    return [read_kspace(source, image) for image in images]


def scan() -> NDArray[np.complex64]:
    whole: NDArray[np.complex64] = simulated_scan((48, 40), acceleration=1, n_coils=4).kspace.numpy()
    return np.stack([whole, 0.7 * whole])


def write(folder: Path, kspace: NDArray[np.complex64]) -> None:
    folder.mkdir()
    with h5py.File(folder / "a.h5", "w") as file:
        file["kspace"] = kspace


@pytest.mark.parametrize("read", [by_training, by_benchmark])
def test_k_space_with_its_center_in_the_corner_is_read_as_with_it_in_the_middle(tmp_path: Path, read: Read) -> None:
    write(tmp_path / "middle", scan())
    write(tmp_path / "corner", np.fft.ifftshift(scan(), axes=(-2, -1)))
    middle, corner = read(tmp_path / "middle"), read(tmp_path / "corner")
    assert len(corner) == 2
    for one, other in zip(middle, corner, strict=True):
        assert torch.equal(one.kspace, other.kspace)


@pytest.mark.parametrize("read", [by_training, by_benchmark])
def test_what_is_no_k_space_is_refused_unless_it_is_accepted(tmp_path: Path, read: Read) -> None:
    readout = np.fft.fftshift(np.fft.ifft(np.fft.ifftshift(scan(), axes=-2), axis=-2), axes=-2)
    write(tmp_path / "images", readout.astype(np.complex64))
    with pytest.raises(
        InputError, match=r"a\.h5: k-space has no peak along its readout .*data.accept transformed-already"
    ):
        read(tmp_path / "images")
    assert len(read(tmp_path / "images", (KSpaceFinding.TRANSFORMED_ALREADY,))) == 2
