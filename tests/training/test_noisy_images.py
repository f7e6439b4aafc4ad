"""Images with noise to learn from, and a denoiser that is trained, measured, and used."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
from torch import Tensor

from medrecon import sense
from medrecon.config.files import settings_of
from medrecon.config.methods import DiffusionSettings, PlugAndPlaySettings
from medrecon.config.training import TrainingSettings
from medrecon.data.sets.ct_open import CTImages
from medrecon.data.sets.head_images import HeadImages
from medrecon.errors import InputError
from medrecon.modality import Modality
from medrecon.operators import Diagonal
from medrecon.reconstructors.scaling import intensity
from medrecon.training.augmentation import Augmentation, ContrastAugmentation
from medrecon.training.mri import PhantomImages
from medrecon.training.noisy_images import CTSlices, Heads, ImageSource, NoisyImages, Some
from medrecon.training.samples import collate
from medrecon.weights.denoiser import ErrorCurve, load_denoiser
from medrecon.weights.learned import weights_behind, weights_of
from medrecon.workflows.methods import build_reconstructor
from medrecon.workflows.reconstruct import reconstruct_file
from medrecon.workflows.training import train_network
from tests.program import simulate
from tests.settings import mri
from tests.training.image_sets import write_ct, write_heads


@pytest.fixture(scope="module")
def sets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sets")
    write_heads(folder / "heads")
    write_ct(folder / "ct")
    return folder


def _images(sets: Path, **changes: Any) -> NoisyImages:
    sources: tuple[ImageSource, ...] = (Heads(HeadImages(sets / "heads")), CTSlices(CTImages(sets / "ct")))
    given: Mapping[str, Any] = {
        "sources": sources,
        "size": 32,
        "levels": (0.01, 0.5),
        "augmentation": Augmentation(flips=True),
        "contrast": ContrastAugmentation(0.5),
        "seed": 3,
        **changes,
    }
    return NoisyImages(**given)


def test_measurements_are_the_image_over_sigma_with_noise_of_unit_variance(sets: Path) -> None:
    images = _images(sets, levels=(0.1, 0.4))
    for index, is_complex in ((0, True), (4, False)):
        noises = []
        for epoch in range(20):
            sample = images.read(index, epoch)
            assert isinstance(sample.problem.A, Diagonal)
            noise = sample.problem.y - sample.problem.A(sample.target)
            assert noise.is_complex() == is_complex
            noises.append(torch.view_as_real(noise) if is_complex else noise)
        both = torch.stack(noises)
        assert float(both.mean()) == pytest.approx(0, abs=0.02)
        assert float(both.square().mean()) == pytest.approx(1, abs=0.03)


def test_levels_are_drawn_over_the_whole_range_and_weigh_alike(sets: Path) -> None:
    """The noise is the root of the level, and the image one over it: their ratio is the level."""
    images = _images(sets, levels=(0.01, 0.5), augmentation=Augmentation())
    levels = torch.tensor([1 / float(images.read(4, epoch).problem.A.values) ** 2 for epoch in range(60)])  # type: ignore[attr-defined]
    assert 0.01 <= float(levels.min()) < 0.02
    assert 0.3 < float(levels.max()) <= 0.5
    whole = CTSlices(CTImages(sets / "ct"))[1]
    scale = float(intensity(whole, Diagonal(torch.ones(()), _real_space(whole))))
    for epoch in range(3):
        sample = images.read(4, epoch)
        brightest = float(sample.target.max()) * float(levels[epoch]) ** 0.5
        assert brightest <= float(whole.max()) / scale * (1 + 1e-5)


def _real_space(image: Tensor) -> Any:
    from medrecon.spaces import Space

    return Space(("y", "x"), (image.shape[0], image.shape[1]), is_complex=False)


def test_heads_have_a_phase_and_slices_of_ct_have_none(sets: Path) -> None:
    images = _images(sets)
    head = images.crop(0, torch.Generator().manual_seed(1))
    inside = head.abs() > 0.3 * head.abs().max()
    assert float(head[inside].angle().std()) > 0.05
    assert not images.crop(4, torch.Generator().manual_seed(1)).is_complex()
    assert [images.bucket(index) for index in range(len(images))] == [True] * 3 + [False] * 2


def test_an_epoch_repeats_itself_and_differs_from_the_next(sets: Path) -> None:
    images = _images(sets)
    first, again, later = (images.read(1, epoch) for epoch in (0, 0, 1))
    assert torch.equal(first.problem.y, again.problem.y)
    assert not torch.equal(first.problem.y, later.problem.y)
    held = _images(sets, seed=None)
    assert torch.equal(held.read(1, 0).problem.y, held.read(1, 7).problem.y)


def test_a_batch_of_different_levels_is_one_problem(sets: Path) -> None:
    images = _images(sets)
    samples = [images.read(index, 0) for index in range(3)]
    batch = collate(samples)
    for index, sample in enumerate(samples):
        torch.testing.assert_close(batch.problem.A(batch.target)[index], sample.problem.A(sample.target))


def test_images_smaller_than_the_crop_are_continued(sets: Path) -> None:
    assert _images(sets, size=64).read(0, 0).target.shape == (64, 64)


def test_some_are_evenly_chosen(sets: Path) -> None:
    source = Heads(HeadImages(sets / "heads"))
    assert torch.equal(Some(source, 2)[1], source[1])
    assert len(Some(source, 9)) == 3
    with pytest.raises(IndexError):
        Some(source, 2)[2]


def test_a_curve_takes_rising_levels_and_as_many_errors() -> None:
    assert ErrorCurve(levels=(0.1, 0.2), real=(0.01, 0.02)).of(Modality.CT) == (0.01, 0.02)
    assert ErrorCurve(levels=(0.1, 0.2), real=(0.01, 0.02)).of(Modality.MRI) is None
    for wrong in ({"levels": (0.2, 0.1)}, {"levels": (0.1, 0.2), "real": (1.0, 1.0, 1.0)}, {"levels": (0.0, 0.2)}):
        with pytest.raises(ValueError, match="levels"):
            ErrorCurve.model_validate(wrong)


def _settings(sets: Path, *, heads_alone: bool = False) -> TrainingSettings:
    chosen = [{"name": "heads-open", "folder": str(sets / "heads")}, {"name": "ct-open", "folder": str(sets / "ct")}]
    return settings_of(
        TrainingSettings,
        {
            "name": "tiny",
            "data": {
                "kind": "denoising",
                "sets": chosen[:1] if heads_alone else chosen,
                "size": 32,
                "levels": [0.02, 0.5],
                "validation": 2,
            },
            "network": {"kind": "denoiser", "features": [4, 8], "blocks": 1},
            "loss": [{"kind": "mse"}],
            "optimizer": {"kind": "adam", "rate": 0.003},
            "training": {"epochs": 6, "batch_size": 2, "clip": 1.0},
        },
        "tiny",
    )


@pytest.fixture(scope="module")
def trained(sets: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    train_network(_settings(sets), folder / "run")
    return folder / "run"


def test_training_learns_and_states_the_error_at_each_level(trained: Path) -> None:
    lines = (trained / "epochs.csv").read_text().splitlines()
    losses = [float(line.split(",")[3]) for line in lines[1:]]
    assert losses[-1] < losses[0]
    card = json.loads((trained / "best.json").read_text())
    curve = ErrorCurve.model_validate(card["error"])
    assert card["operator"] == "denoising"
    assert curve.levels[0] == pytest.approx(0.02)
    assert curve.levels[-1] == pytest.approx(0.5)
    for errors in (curve.complex, curve.real):
        assert errors is not None
        shares = [error / level**2 for error, level in zip(errors, curve.levels, strict=True)]
        assert shares[-1] < 0.9  # of the noise is left where there is much
        assert min(errors) > 0


def test_a_loaded_denoiser_knows_its_error(trained: Path) -> None:
    weights = weights_of(PlugAndPlaySettings(weights=str(trained / "best.safetensors")), Modality.CT)
    denoiser = load_denoiser(weights, Modality.CT)
    curve = ErrorCurve.model_validate(weights.card["error"])
    assert curve.real is not None
    scale = torch.tensor([1.0, 7.0])
    for level, error in zip(curve.levels, curve.real, strict=True):
        torch.testing.assert_close(denoiser.error(level * scale, scale), error * scale.square(), rtol=1e-4, atol=0.0)
    between = float(denoiser.error(torch.tensor(0.1), torch.tensor(1.0)))
    assert min(curve.real) < between < max(curve.real)
    x = torch.randn(2, 16, 20, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(denoiser(3 * x, 3 * scale), 3 * denoiser(x, scale))


@pytest.mark.parametrize("kind", ["pnp", "diffusion"])
def test_the_methods_find_their_denoiser(trained: Path, kind: str) -> None:
    path = str(trained / "best.safetensors")
    settings = (
        PlugAndPlaySettings(weights=path, steps=2) if kind == "pnp" else DiffusionSettings(weights=path, samples=2)
    )
    reconstruct = build_reconstructor(settings, Modality.MRI)
    found = weights_behind(reconstruct)
    assert found is not None
    assert found.path == trained / "best.safetensors"
    A = sense(torch.ones(32, dtype=torch.bool), torch.full((4, 32, 32), 0.5 + 0j))
    x = PhantomImages(1, (32, 32))[0] + 0j
    error = (reconstruct(A(x), A) - x).norm() / x.norm()
    assert float(error) < 0.05  # all is measured, and without noise


def test_a_denoiser_of_heads_is_not_taken_for_ct(sets: Path, tmp_path: Path) -> None:
    train_network(_settings(sets, heads_alone=True), tmp_path / "run")
    settings = PlugAndPlaySettings(weights=str(tmp_path / "run" / "best.safetensors"))
    build_reconstructor(settings, Modality.MRI)
    with pytest.raises(InputError, match="states no error of images of CT; train it"):
        build_reconstructor(settings, Modality.CT)


def test_a_denoiser_goes_with_images_that_have_noise_alone() -> None:
    values = {
        "name": "wrong",
        "data": {"kind": "phantom-ct"},
        "network": {"kind": "denoiser"},
        "loss": [{"kind": "mse"}],
        "optimizer": {"kind": "adam"},
        "training": {"epochs": 1},
    }
    with pytest.raises(InputError, match="denoiser goes with data of the kind denoising"):
        settings_of(TrainingSettings, values, "wrong")


def test_samples_lie_beside_their_mean(trained: Path, tmp_path: Path) -> None:
    scan = simulate(tmp_path / "scan.h5", size=(32, 28), coils=3)
    settings = mri("diffusion", weights=str(trained / "best.safetensors"), samples=3, steps=2)
    reconstruct_file(scan, tmp_path / "image.h5", settings)
    with h5py.File(tmp_path / "image.h5") as file:
        mean, spread, samples = (file[name][()] for name in ("reconstruction", "standard_deviation", "samples"))
    assert samples.shape == (1, 3, 32, 28)
    np.testing.assert_allclose(spread, samples.std(1, ddof=1), rtol=1e-4, atol=1e-6)
    assert spread.max() > 0
    assert abs(samples.mean(1) - mean).mean() < 0.3 * mean.mean()  # magnitudes are taken after the mean
    told = reconstruct_file(scan, tmp_path / "image.nii", settings).report.notes
    assert any("samples and their standard deviation are not written" in note for note in told)
