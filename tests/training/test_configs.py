"""Every file of `configs/` that trains says what the program takes, has its size, and runs on data of the right format."""

import json
import math
from pathlib import Path

import h5py
import pytest
import torch

from medrecon.config.files import load_settings
from medrecon.config.training import TrainingSettings
from medrecon.config.training_data import BrainSmallData, DenoisingData, DrawnCTData, DrawnMRIData
from medrecon.data.ct.attenuation import MU_MAX
from medrecon.data.ct.lodopab import write_lodopab
from medrecon.device import DeviceName
from medrecon.geometry import lodopab, lodopab_grid
from medrecon.operators import Radon
from medrecon.training.logs import read_table
from medrecon.training.mri import PhantomImages
from medrecon.training.state import RunFolder
from medrecon.weights.networks import build_network, load_network, operator_family, read_card
from medrecon.weights.shipped import SHIPPED as SHIPPED_WEIGHTS
from medrecon.workflows.training import train_network
from tests.program import simulate
from tests.training.image_sets import write_ct, write_heads
from tests.training.runs import losses

FOLDER = Path(__file__).parents[2] / "configs"
FILES = sorted(path for path in FOLDER.glob("*.yaml") if not path.stem.startswith("benchmark_"))
PARAMETERS = {
    "unet_fastmri_knee": 496_372_225,
    "varnet_fastmri_knee": 29_936_966,
    "varnet_fastmri_brain": 29_936_966,
    "lpd_lodopab": 874_980,
}
PROMISED = PARAMETERS.keys() | {
    "fbp_unet_lodopab",
    "modl_fastmri_knee",
    "varnet_brain_small",
    "unet_brain_small",
    "lpd_lodopab_small",
    "fbp_unet_lodopab_small",
}
SHIPPED = 3_000_000  # parameters of 6 MB in half precision
_SMALL_SCANS = "{matrix: [64, 80], coils: [2, 4], acceleration: [2, 3]}"
#: What a processor would take too long for: fewer cascades and features, which the test of sizes has at their number.
SMALLER = {
    "unet_fastmri_knee": ("network.features=4",),
    "varnet_fastmri_knee": ("network.cascades=2", "network.features=4"),
    "varnet_fastmri_brain": ("network.cascades=2", "network.features=4"),
    "modl_fastmri_knee": ("network.iterations=2", "network.features=4"),
    "unet_brain_small": ("network.features=4",),  # in bfloat16, which not every processor has
    "varnet_brain_small": ("network.features=4",),
    "lpd_lodopab": ("network.iterations=2", "network.features=8"),
    "lpd_lodopab_small": ("network.iterations=2", "network.features=8"),
    "fbp_unet_lodopab": ("network.features=8", "training.batch_size=2"),
    "fbp_unet_lodopab_small": ("network.features=8", "training.batch_size=2"),
    "denoiser": ("network.features=[4, 8]", "data.size=64", "training.precision=fp32"),
    "varnet_heads": ("network.features=4", f"data.protocols={_SMALL_SCANS}", "training.precision=fp32"),
    "lpd_ct_open": ("network.iterations=1", "data.protocols={matrix: [48, 64], views: [30, 60], spacing: [2, 4]}"),
}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_configuration_names_a_network_that_can_be_built(path: Path) -> None:
    settings = load_settings(TrainingSettings, path)
    assert settings.name == path.stem
    with torch.device("meta"):
        network = build_network(settings.network, operator_family(settings.data))
    count = sum(parameter.numel() for parameter in network.parameters())
    assert count == PARAMETERS.get(path.stem, count)
    assert count <= SHIPPED or not path.stem.endswith("_small")


def test_all_are_here() -> None:
    assert {path.stem for path in FILES} >= PROMISED


@pytest.mark.parametrize("path", sorted(SHIPPED_WEIGHTS.glob("*.safetensors")), ids=lambda path: path.stem)
def test_weights_that_ship_are_those_of_their_configuration(path: Path) -> None:
    _, found = read_card(path)
    wanted = load_settings(TrainingSettings, FOLDER / f"{path.stem}.yaml")
    stages = {"bands": found.data.bands} if isinstance(found.data, BrainSmallData) else {}
    assert found.network == wanted.network
    assert found.data == wanted.data.model_copy(update=stages)
    assert found.loss == wanted.loss


def _fastmri(folder: Path, size: tuple[int, int]) -> None:
    for part in ("multicoil_train", "multicoil_val"):
        (folder / part).mkdir(parents=True)
        simulate(folder / part / "file1000001.h5", size=size, slices=2, coils=5)


def _brain_small(folder: Path) -> None:
    (folder / "train").mkdir(parents=True)
    (folder / "validation").mkdir()
    with h5py.File(folder / "train" / "images_000.h5", "w") as file:
        file["image"] = torch.stack([PhantomImages(3, (128, 128))[k] for k in range(3)]).numpy()
    rows = (f"{k},subject{k},{contrast},{k / 10}" for k, contrast in enumerate(("T1", "T2", "PD")))
    (folder / "slices_train.csv").write_text("sample,subject,contrast,height\n" + "\n".join(rows) + "\n")
    simulate(folder / "validation" / "someone_T2.h5", size=(128, 128), coils=6)


def _lodopab(folder: Path) -> None:
    A = Radon(lodopab_grid(), lodopab())
    y, x = (torch.linspace(-1, 1, size) for size in lodopab_grid().shape)
    for part, count in (("train", 2), ("validation", 1)):
        (folder / part).mkdir(parents=True)
        images = [0.25 * MU_MAX * ((y - 0.2 * k).square()[:, None] + x.square() < 0.4).float() for k in range(count)]
        write_lodopab(folder, part, ((A(image), image) for image in images))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A folder in the format of each data set."""
    root = tmp_path_factory.mktemp("data")
    _fastmri(root / "fastmri-knee", (64, 56))
    _fastmri(root / "fastmri-brain", (64, 48))
    _brain_small(root / "brain-small")
    _lodopab(root / "lodopab")
    write_heads(root / "heads-open", (64, 64))
    write_ct(root / "ct-open", 64)
    return {**{path.name: path for path in root.iterdir()}, "lodopab-small": root / "lodopab"}


def _in_folders(settings: TrainingSettings, data: dict[str, Path]) -> str:
    """The change that takes the data from these folders."""
    if isinstance(settings.data, DenoisingData | DrawnMRIData | DrawnCTData):
        sets = [{"name": one.name, "folder": str(data[one.name])} for one in settings.data.sets]
        return f"data.sets={json.dumps(sets)}"
    return f"data.folder={data[getattr(settings.data, 'dataset', settings.data.kind)]}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_configuration_trains_on_files_of_its_data_set(path: Path, data: dict[str, Path], tmp_path: Path) -> None:
    plain = load_settings(TrainingSettings, path)
    small = (_in_folders(plain, data), "training.max_steps=2", "training.workers=0", *SMALLER.get(path.stem, ()))
    run = RunFolder(tmp_path / "run")
    told: list[str] = []
    position = train_network(
        load_settings(TrainingSettings, path, small), run.path, device=DeviceName.CPU, say=told.append
    )
    assert position.step == 2
    assert position.best is not None
    assert math.isfinite(position.best)
    assert all(math.isfinite(loss) for _, loss in losses(run.path))
    assert float(read_table(run.path / "epochs.csv")[0]["ssim"]) <= 1
    assert any(line.startswith("parameters: ") for line in told)
    network, card = load_network(run.best, operator_family(plain.data))
    assert all(bool(tensor.isfinite().all()) for tensor in network.state_dict().values())
    assert card["data"]["license"]
