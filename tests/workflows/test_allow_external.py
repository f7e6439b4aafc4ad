"""`allow_external` reaches every reader of scans: training, benchmarks, checks of data sets."""

import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest

from medrecon.benchmark.sources import read_kspace, source_images
from medrecon.config.benchmark import FastMRISource
from medrecon.config.training_data import FastMRIData
from medrecon.data.ct.lodopab import LoDoPaB
from medrecon.errors import InputError
from medrecon.workflows.training_data import build_held_set
from tests.program import simulate


def linked(folder: Path, name: str, inside: str, source: Path) -> None:
    """Put a file into a folder of which one data set lies in a file elsewhere."""
    folder.mkdir(exist_ok=True)
    shutil.copy(source, folder / name)
    with h5py.File(folder / name, "r+") as file:
        del file[inside]
        file[inside] = h5py.ExternalLink(str(source), f"/{inside}")


def test_benchmarks(tmp_path: Path) -> None:
    linked(tmp_path / "in", "a.h5", "kspace", simulate(tmp_path / "whole.h5"))
    source = FastMRISource(kind="fastmri", folder=tmp_path / "in")
    with pytest.raises(InputError, match="in another file; give --allow-external"):
        source_images(source)
    allowed = source.model_copy(update={"allow_external": True})
    assert read_kspace(allowed, source_images(allowed)[0]).kspace.any()


def test_training(tmp_path: Path) -> None:
    linked(tmp_path / "test", "a.h5", "kspace", simulate(tmp_path / "whole.h5"))
    masks = [{"kind": "equispaced", "acceleration": 4}]
    values = {"kind": "fastmri", "dataset": "fastmri-knee", "folder": tmp_path, "masks": masks}
    with pytest.raises(InputError, match="in YAML allow_external: true"):
        build_held_set(FastMRIData.model_validate(values), "test", 0)
    assert len(build_held_set(FastMRIData.model_validate({**values, "allow_external": True}), "test", 0)) == 1


def test_lodopab(tmp_path: Path) -> None:
    for name, shape in (("observation", (1, 1000, 513)), ("ground_truth", (1, 362, 362))):
        with h5py.File(tmp_path / f"{name}.h5", "w") as file:
            file["data"] = np.ones(shape, np.float32)
        linked(tmp_path / "set", f"{name}_test_000.hdf5", "data", tmp_path / f"{name}.h5")
    with pytest.raises(InputError, match=r"observation_test_000\.hdf5: `data` is a link to .*, in another file"):
        LoDoPaB(tmp_path / "set", "test")
    assert LoDoPaB(tmp_path / "set", "test", allow_external=True)[0].sinogram.any()
