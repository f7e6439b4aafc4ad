"""Files of weights: whole, without pickles, and refused in words when they do not fit."""

from pathlib import Path

import pytest
import torch
from torch import nn

from medrecon.errors import InputError
from medrecon.networks import UNet
from medrecon.training.state import Position, State, read_state, write_state
from medrecon.weights.checkpoint import (
    Checkpoint,
    differences,
    load_into,
    read_checkpoint,
    read_metadata,
    write_checkpoint,
)


def stored(path: Path, network: nn.Module) -> Path:
    write_checkpoint(path, Checkpoint(network.state_dict(), {"card": {"name": "x"}}))
    return path


def test_what_is_written_is_read(tmp_path: Path) -> None:
    network, other = UNet(1, 1, 4, 2), UNet(1, 1, 4, 2)
    path = stored(tmp_path / "w.safetensors", network)
    checkpoint = read_checkpoint(path)
    assert read_metadata(path) == {"format": 1, "card": {"name": "x"}} == dict(checkpoint.metadata)
    load_into(other, checkpoint.tensors, "w")
    assert all(torch.equal(a, b) for a, b in zip(network.parameters(), other.parameters(), strict=True))
    assert [file.name for file in tmp_path.iterdir()] == ["w.safetensors"]


def test_half_precision_is_loaded_into_single(tmp_path: Path) -> None:
    network, other = UNet(1, 1, 4, 2), UNet(1, 1, 4, 2)
    write_checkpoint(
        tmp_path / "h.safetensors",
        Checkpoint({name: tensor.half() for name, tensor in network.state_dict().items()}, {"card": {}}),
    )
    load_into(other, read_checkpoint(tmp_path / "h.safetensors").tensors, "h")
    assert all(tensor.dtype == torch.float32 for tensor in other.state_dict().values())


@pytest.mark.parametrize("kept", [0, 5, 40, 0.5, -1])
def test_a_file_cut_short_is_refused_in_one_line(tmp_path: Path, kept: float) -> None:
    path = stored(tmp_path / "w.safetensors", UNet(1, 1, 4, 2))
    whole = path.read_bytes()
    path.write_bytes(whole[: int(kept * len(whole)) if 0 < kept < 1 else int(kept)])
    with pytest.raises(InputError, match="cut short") as caught:
        read_checkpoint(path)
    assert "\n" not in str(caught.value)


def test_pickles_are_refused_unread(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return (exec, ("raise SystemExit('ran')",))

    torch.save({"weights": Trap()}, tmp_path / "new.pt")
    torch.save({"weights": Trap()}, tmp_path / "old.pt", _use_new_zipfile_serialization=False)
    for name in ("new.pt", "old.pt"):
        with pytest.raises(InputError, match="pickled objects"):
            read_checkpoint(tmp_path / name)


def test_no_length_of_the_header_is_taken_for_a_pickle(tmp_path: Path) -> None:
    path, firsts = tmp_path / "w.safetensors", set()
    for n in range(0, 256, 8):
        write_checkpoint(path, Checkpoint({"a": torch.ones(1)}, {"card": "x" * n}))
        firsts.add(path.read_bytes()[0])
        assert read_checkpoint(path).metadata["card"] == "x" * n
    assert 0x80 in firsts


def test_files_of_others_and_of_other_versions_are_refused(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    save_file({"a": torch.ones(1)}, tmp_path / "other.safetensors")
    with pytest.raises(InputError, match="no card"):
        read_checkpoint(tmp_path / "other.safetensors")
    write_checkpoint(tmp_path / "old.safetensors", Checkpoint({"a": torch.ones(1)}, {"format": 0}))
    with pytest.raises(InputError, match="format 0"):
        read_checkpoint(tmp_path / "old.safetensors")
    with pytest.raises(InputError, match="no such file"):
        read_checkpoint(tmp_path / "none.safetensors")


def test_weights_of_another_network_say_what_differs() -> None:
    network = UNet(1, 1, 4, 2)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    with pytest.raises(InputError, match=r"down\.0\.first\.weight is \(8, 1, 3, 3\), the network's \(4, 1, 3, 3\)"):
        load_into(network, UNet(1, 1, 8, 2).state_dict(), "w")
    with pytest.raises(InputError, match=r"it has .*down\.2.*which the network lacks"):
        load_into(network, UNet(1, 1, 4, 3).state_dict(), "w")
    with pytest.raises(InputError, match="it lacks"):
        load_into(network, UNet(1, 1, 4, 1).state_dict(), "w")
    assert all(torch.equal(before[name], tensor) for name, tensor in network.state_dict().items())


@pytest.mark.parametrize("kind", [torch.optim.Adam, torch.optim.AdamW, torch.optim.RMSprop])
def test_an_optimizer_goes_on_bit_for_bit(tmp_path: Path, kind: type[torch.optim.Adam]) -> None:
    def step(network: nn.Module, optimizer: torch.optim.Optimizer, seed: int) -> None:
        x = torch.randn(4, 3, generator=torch.Generator().manual_seed(seed))
        network(x).square().sum().backward()
        optimizer.step()
        optimizer.zero_grad()

    network, other = nn.Linear(3, 2), nn.Linear(3, 2)
    optimizer, resumed = kind(network.parameters(), lr=0.1), kind(other.parameters(), lr=0.1)
    step(network, optimizer, 0)
    position = Position(epoch=1, batch=2, step=3, loss_sum=0.1 + 0.2, best=1 / 3)
    write_state(tmp_path / "s.safetensors", State(network, optimizer, position, 1, {}), {})
    assert read_state(tmp_path / "s.safetensors", other, resumed, 1).position == position
    for seed in (1, 2):
        step(network, optimizer, seed)
        step(other, resumed, seed)
    assert all(torch.equal(a, b) for a, b in zip(network.parameters(), other.parameters(), strict=True))
    with pytest.raises(InputError, match="--devices 1"):
        read_state(tmp_path / "s.safetensors", other, resumed, 2)


def test_differences_name_the_keys() -> None:
    assert differences({"a": {"b": 1}, "c": 2}, {"a": {"b": 3}, "c": 2, "d": 4}) == ["a.b: 1 and 3", "d: None and 4"]
