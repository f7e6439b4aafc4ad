"""`medrecon.load`: trained weights by name or from a file."""

import doctest
import shutil
from pathlib import Path

import pytest
import torch

from medrecon import FastMRIFile, InputError, ct_problem, load, open_sinograms, sense_problem
from medrecon.weights import learned
from medrecon.weights.card import SHIPPED
from tests.program import close, images, medrecon, simulate
from tests.sinogram_files import write_scan


def test_the_examples_of_the_docstring_run() -> None:
    done = doctest.testmod(learned)
    assert done.failed == 0 < done.attempted


@pytest.mark.parametrize(("name", "method"), [("varnet_brain_small", "varnet"), ("lpd_lodopab_small", "primal-dual")])
def test_what_is_loaded_gives_what_the_program_does(tmp_path: Path, name: str, method: str) -> None:
    source, out = tmp_path / "scan.h5", tmp_path / "o.h5"
    if method == "varnet":
        problem = sense_problem(FastMRIFile(simulate(source))[0])
    else:
        problem = ct_problem([open_sinograms(write_scan(source))[0]])
    assert medrecon("reconstruct", source, "-o", out, "--method", method).status == 0
    x = load(name)(problem.y, problem.A)
    assert close(problem.display_image(x).reshape(1, *problem.shape), images(out))


def test_a_file_is_loaded_as_its_name_is(tmp_path: Path) -> None:
    file = shutil.copy(SHIPPED / "lpd_lodopab_small.safetensors", tmp_path / "mine.safetensors")
    one, other = load(Path(file)), load("lpd_lodopab_small", device=torch.device("cpu"))
    assert one.weights.family == other.weights.family == "radon"
    for mine, shipped in zip(one.network.parameters(), other.network.parameters(), strict=True):
        assert torch.equal(mine, shipped)


@pytest.mark.parametrize(
    ("name", "device", "words"),
    [
        ("nothing", "cpu", r"nothing: there are no weights of this name.*there are: .*lpd_lodopab_small"),
        (__file__, "cpu", "is no safetensors file"),
        ("lpd_lodopab_small", "nowhere", "takes a device that PyTorch has here, got nowhere; take cpu"),
    ],
)
def test_what_cannot_be_loaded_is_told(name: str, device: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        load(name, device)
