"""Reading weights of the fastmri package, good and bad ones."""

import re
from pathlib import Path

import pytest
import torch
from fastmri.models import Unet, VarNet
from torch import Tensor

from medrecon.errors import InputError
from medrecon.networks import fastmri_unet, fastmri_varnet, read_fastmri_weights


def unet_weights() -> dict[str, Tensor]:
    return dict(Unet(1, 1, chans=2, num_pool_layers=2).state_dict())


def varnet_weights() -> dict[str, Tensor]:
    return dict(VarNet(2, 2, 1, 3, 2).state_dict())


def test_files_of_both_kinds(tmp_path: Path) -> None:
    for name, weights, load in (("u.pt", unet_weights(), fastmri_unet), ("v.pt", varnet_weights(), fastmri_varnet)):
        torch.save(weights, tmp_path / name)
        network = load(read_fastmri_weights(tmp_path / name), name)
        assert sum(w.numel() for w in network.parameters()) == sum(w.numel() for w in weights.values())
        assert {float(w.sum()) for w in network.state_dict().values()} == {float(w.sum()) for w in weights.values()}


@pytest.mark.parametrize("prefix", ["module.", "unet.", "model.module."])
def test_prefixes_of_trainers_are_taken_off(prefix: str, tmp_path: Path) -> None:
    weights = {prefix + key: value for key, value in unet_weights().items()}
    torch.save({"state_dict": weights, "epoch": 3}, tmp_path / "u.ckpt")
    x = torch.randn(1, 1, 16, 16)
    want = fastmri_unet(unet := {key.removeprefix(prefix): value for key, value in weights.items()})(x)
    assert torch.equal(fastmri_unet(read_fastmri_weights(tmp_path / "u.ckpt"))(x), want)
    assert len(unet) == len(weights)


def test_buffers_of_a_trainer_are_no_weights() -> None:
    extra = {"loss.w": torch.ones(1), "SSIM.quantity": torch.zeros(1), "NMSE.quantity": torch.zeros(1)}
    network = fastmri_varnet({f"varnet.{key}": value for key, value in varnet_weights().items()} | extra)
    assert len(network.cascades) == 2


def refused(weights: dict[str, Tensor], pattern: str) -> None:
    load = fastmri_varnet if any("cascades" in key for key in weights) else fastmri_unet
    with pytest.raises(InputError, match=pattern) as found:
        load(weights, "file.pt")
    assert str(found.value).startswith("file.pt: ")
    assert "\n" not in str(found.value)


def test_what_is_missing_unknown_or_of_another_shape_is_named() -> None:
    for weights in (unet_weights(), varnet_weights()):
        key = next(key for key in weights if key.endswith("up_conv.0.layers.4.weight"))
        refused({name: value for name, value in weights.items() if name != key}, f"lacks {re.escape(key)}")
        refused(weights | {key: torch.zeros(1, 2, 3, 3)}, rf"other shapes: {re.escape(key)} \(1, 2, 3, 3\) for")
    refused(unet_weights() | {"conv.odd": torch.zeros(1)}, "has unknown conv.odd")
    refused(varnet_weights() | {"cascades.1.odd": torch.zeros(1)}, "has unknown cascades.1.odd")
    refused(unet_weights() | {f"conv.{n}": torch.zeros(1) for n in range(7)}, r"conv.0, .* conv.4 and 2 more")


def test_weights_of_something_else_are_refused() -> None:
    refused({"layer.weight": torch.zeros(1)}, "no down_sample_layers.0.layers.0.weight")
    with pytest.raises(InputError, match="holds no cascade"):
        fastmri_varnet(unet_weights())
    refused({}, "begin with nothing")


def test_the_network_has_its_own_weights_and_learns() -> None:
    weights = {key: value.half() for key, value in unet_weights().items()}
    network = fastmri_unet(weights)
    assert all(weight.dtype == torch.float32 and weight.requires_grad for weight in network.parameters())
    shared = {key: value.float() for key, value in weights.items()}
    network = fastmri_unet(shared)
    with torch.no_grad():
        for weight in network.parameters():
            weight.zero_()
    assert all(bool(value.any()) for value in shared.values())


def test_names_that_promise_too_much_allocate_nothing() -> None:
    weights = varnet_weights()
    refused(weights | {"cascades.99999999.dc_weight": torch.ones(1)}, "lacks cascades.2.dc_weight")
    many = {f"down_sample_layers.{n}.layers.0.weight": torch.zeros(2, 1, 3, 3) for n in range(24)}
    refused(many | {"up_conv.23.1.weight": torch.zeros(1, 2, 1, 1)}, "lacks")


class Harmful:
    def __reduce__(self) -> tuple[object, ...]:
        return print, ("run!",)


def test_bad_files_are_refused_in_one_line_and_run_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    whole = tmp_path / "whole.pt"
    torch.save(unet_weights(), whole)
    (tmp_path / "cut.pt").write_bytes(whole.read_bytes()[:-300])
    (tmp_path / "text.pt").write_text("no weights at all")
    (tmp_path / "empty.pt").write_bytes(b"")
    torch.save({"a": Harmful()}, tmp_path / "harmful.pt")
    torch.save([1, 2], tmp_path / "list.pt")
    torch.save({"epoch": 3}, tmp_path / "numbers.pt")
    words = {
        "cut": "cut short",
        "text": "no file of weights",
        "empty": "cut short",
        "harmful": "could run code",
        "list": "no state_dict",
    }
    for name, word in {**words, "numbers": "no state_dict", "absent": "no such file"}.items():
        with pytest.raises(InputError, match=word) as found:
            read_fastmri_weights(tmp_path / f"{name}.pt")
        assert f"{name}.pt" in str(found.value)
        assert "\n" not in str(found.value)
    with pytest.raises(InputError):
        read_fastmri_weights(tmp_path)
    assert "run!" not in capsys.readouterr().out
