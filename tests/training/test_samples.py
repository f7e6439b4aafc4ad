"""Samples as a network sees them: drawn from (seed, epoch, index), scaled, and batched so that nothing changes."""

import math
from dataclasses import replace
from pathlib import Path

import h5py
import pytest
import torch

from medrecon.config.training import TrainingSettings
from medrecon.data.ct.attenuation import MU_MAX
from medrecon.errors import InputError
from medrecon.metrics import psnr
from medrecon.networks.data_normalization import AdjointMaximum, Constant
from medrecon.operators import Diagonal
from medrecon.training.mri import PhantomImages
from medrecon.training.samples import Sample, TrainingSet, collate
from medrecon.workflows.training_data import build_training_sets
from tests.program import simulate
from tests.training.runs import TINY, TINY_CT, changed, settings

MASKS = [{"kind": "random", "acceleration": 2, "center_fraction": 0.3}]


def training(values: TrainingSettings) -> TrainingSet:
    return build_training_sets(values.data, values.training.seed)[0]


def validation(values: TrainingSettings) -> TrainingSet:
    return build_training_sets(values.data, values.training.seed)[1]


def same(one: Sample, other: Sample) -> bool:
    return torch.equal(one.problem.y, other.problem.y) and torch.equal(one.target, other.target)


def close(one: torch.Tensor, other: torch.Tensor) -> bool:
    return torch.allclose(one, other, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("changes", [{}, {"data__operator": "coils", "network": {"kind": "e2e-varnet", "pools": 1}}])
def test_a_batch_of_mri_gives_what_its_samples_give(changes: dict[str, object]) -> None:
    samples = training(settings(TINY, **changes))
    single = [samples.read(index, 3) for index in range(3)]
    batch = collate(single)
    image = batch.problem.A.H(batch.problem.y)
    assert batch.target.shape == (3, 24, 20)
    for place, sample in enumerate(single):
        assert close(image[place], sample.problem.A.H(sample.problem.y))
        assert close(batch.problem.A(image)[place], sample.problem.A(image[place]))
    assert batch.names == tuple(name for sample in single for name in sample.names)


def test_a_batch_of_ct_shares_its_operator() -> None:
    samples = training(settings(TINY_CT))
    batch = collate([samples.read(index, 0) for index in range(3)])
    assert batch.problem.A is samples.read(3, 5).problem.A
    residual = batch.problem.A(batch.target) - batch.problem.y
    assert float(residual.norm() / batch.problem.y.norm()) < 0.05


def test_a_batch_gives_each_sample_its_own_operator() -> None:
    sample = training(settings(TINY_CT)).read(0, 0)
    A = sample.problem.A
    scaled = [Diagonal(torch.tensor(scale), A.range) @ A for scale in (1.0, 5.0)]
    batch = collate([replace(sample, problem=replace(sample.problem, A=B)) for B in scaled])
    want = torch.stack([B(sample.target) for B in scaled])
    assert close(batch.problem.A(batch.target), want)
    other = replace(sample.problem, A=2.0 * A)
    with pytest.raises(
        ValueError, match=r"stack takes operators made alike, got Radon .* and Scaled .*; take batch_size 1"
    ):
        collate([sample, replace(sample, problem=other)])


def test_ct_is_scaled_to_lodopabs_unit() -> None:
    scaled, plain = (
        training(settings(TINY_CT, data__normalization=how)).read(0, 0)
        for how in ({"kind": "lodopab-unit"}, {"kind": "constant"})
    )
    assert close(scaled.target * MU_MAX, plain.target)
    assert close(scaled.problem.y * MU_MAX, plain.problem.y)
    assert float(scaled.data_range) == pytest.approx(float(scaled.target.max() - scaled.target.min()))


def test_samples_are_drawn_from_epoch_and_index_in_any_order() -> None:
    values = settings(TINY, data__augmentation={"flips": True, "turns": True, "shift": 3})
    samples, again = training(values), training(values)
    later = samples.read(4, 2)
    assert same(later, again.read(4, 2))
    assert not same(later, samples.read(4, 3))
    assert not same(later, samples.read(3, 2))
    assert same(validation(values).read(1, 0), validation(values).read(1, 7))


def test_another_seed_gives_other_samples() -> None:
    assert not same(training(settings()).read(0, 0), training(settings(training__seed=1)).read(0, 0))


def test_the_normalization_fixes_the_zero_filled_image() -> None:
    sample = training(settings(TINY, data__normalization={"kind": "adjoint-maximum", "level": 2.0})).read(0, 0)
    assert float(sample.problem.A.H(sample.problem.y).abs().max()) == pytest.approx(2.0, rel=1e-5)
    assert AdjointMaximum()(torch.zeros_like(sample.problem.y), sample.problem.A) == 1
    assert Constant(3.0)(sample.problem.y, sample.problem.A) == 3


def test_the_curriculum_grows_the_acceleration_and_validation_sees_the_last() -> None:
    hard = [{"kind": "equispaced-fraction", "acceleration": 5, "center_fraction": 0.1}]
    stages = [{"until": 2, "masks": MASKS}]
    network = {"kind": "e2e-varnet", "pools": 1}
    values = settings(TINY, data__masks=hard, data__curriculum=stages, data__operator="coils", network=network)

    def lines(sample: Sample) -> int:
        return int((sample.problem.y.abs().sum(dim=(0, 1)) > 0).sum())

    samples = training(values)
    assert lines(samples.read(0, 1)) > lines(samples.read(0, 2)) == 4
    assert lines(validation(values).read(0, 0)) == 4


def test_bands_are_cut_in_early_epochs_of_training_alone() -> None:
    values = settings(TINY, data__bands=[{"until": 2, "rows": 16}], network=TINY["network"] | {"pools": 1})
    data, whole = training(values), training(settings(TINY))
    assert [tuple(data.read(0, epoch).target.shape) for epoch in (0, 1, 2)] == [(16, 20), (16, 20), (24, 20)]
    assert same(data.read(1, 2), whole.read(1, 2))
    assert tuple(validation(values).read(0, 0).target.shape) == (24, 20)
    band, image = data.read(0, 0), whole.read(0, 0).target  # scaled otherwise, and a part of the same image
    rows = [image[first : first + 16] for first in range(9)]
    assert max(psnr(band.target / band.target.max(), part / part.max(), data_range=1.0) for part in rows) > 60
    collate([data.read(index, 0) for index in range(3)])


def test_the_curriculum_of_ct_thins_views_and_photons() -> None:
    values = settings(TINY_CT, data__views=6, data__photons=1e4, data__curriculum=[{"until": 1}])
    samples = training(values)
    assert samples.read(0, 0).problem.y.shape[0] == 12
    few = samples.read(0, 1)
    assert few.problem.y.shape[0] == 6
    assert same(few, training(values).read(0, 1))
    assert not torch.equal(few.problem.y, samples.read(0, 2).problem.y)


def test_fastmri_files_are_read_by_slice_with_seeded_masks(tmp_path: Path) -> None:
    for part, slices in (("multicoil_train", 2), ("multicoil_val", 1)):
        (tmp_path / part).mkdir()
        simulate(tmp_path / part / "a.h5", slices=slices)
        simulate(tmp_path / part / "b.h5", slices=1, size=(40, 32))
    data = {"kind": "fastmri", "dataset": "fastmri-knee", "folder": str(tmp_path), "masks": MASKS}
    values = settings(changed(TINY, data=data))
    samples, held = build_training_sets(values.data, 0)
    assert (len(samples), len(held)) == (3, 2)
    assert samples.bucket(0) == samples.bucket(1) != samples.bucket(2)
    sample = samples.read(1, 0)
    assert sample.names == ("a.h5, slice 1",)
    assert sample.target.shape == (48, 40)
    assert math.isfinite(float(sample.data_range))
    assert not same(sample, samples.read(1, 1))
    assert same(held.read(0, 0), held.read(0, 1))
    with pytest.raises(ValueError, match="one shape"):
        collate([samples.read(0, 0), samples.read(2, 0)])


def test_heads_are_scanned_anew_in_each_epoch_and_validated_on_files(tmp_path: Path) -> None:
    for part in ("train", "validation"):
        (tmp_path / part).mkdir()
    with h5py.File(tmp_path / "train" / "images_000.h5", "w") as file:
        file["image"] = PhantomImages(3, (48, 40))[1].expand(3, 48, 40).numpy()
    lines = ["sample,subject,contrast,height", *(f"{n},someone,T1,{n / 10}" for n in range(3))]
    (tmp_path / "slices_train.csv").write_text("\n".join(lines) + "\n")
    simulate(tmp_path / "validation" / "a.h5", slices=2)
    data = {"kind": "brain-small", "folder": str(tmp_path), "masks": MASKS, "augmentation": {"flips": True}}
    values = settings(changed(TINY, data=data)).data
    samples, held = build_training_sets(values, 0)
    assert (len(samples), len(held)) == (3, 2)
    assert {samples.bucket(index) for index in range(3)} <= set(range(8, 17))
    sample = samples.read(1, 0)
    assert sample.problem.y.shape == (samples.bucket(1), 48, 40)
    assert same(sample, build_training_sets(values, 0)[0].read(1, 0))
    assert not same(sample, samples.read(1, 1))
    found = sample.problem.display_image(sample.problem.A.H(sample.problem.y))
    assert psnr(found, sample.target, data_range=float(sample.data_range)) > 18


def test_missing_data_say_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEDRECON_DATA", str(tmp_path))
    values = settings(changed(TINY_CT, data={"kind": "lodopab", "dataset": "lodopab-small"}))
    with pytest.raises(InputError, match="medrecon data fetch lodopab-small"):
        build_training_sets(values.data, 0)
    data = {"kind": "fastmri", "dataset": "fastmri-knee", "folder": str(tmp_path), "masks": MASKS}
    with pytest.raises(InputError, match="multicoil_train"):
        build_training_sets(settings(changed(TINY, data=data)).data, 0)


def test_each_mask_measures_every_slice_that_is_held_out() -> None:
    masks = [*MASKS, {"kind": "equispaced", "acceleration": 4, "center_fraction": 0.2}]
    values = settings(TINY, data__masks=masks)
    held, one = validation(values), validation(settings(TINY, data__masks=MASKS))
    assert (len(held), len(one), len(training(values))) == (4, 2, 5)
    assert all(same(held.read(2 * index, 0), one.read(index, 0)) for index in range(2))
    shares = [float((held.read(index, 0).problem.y != 0).double().mean()) for index in range(4)]
    assert max(shares[1], shares[3]) < min(shares[0], shares[2])
    one, other = held.read(0, 0), held.read(1, 3)
    assert close(one.target / one.data_range, other.target / other.data_range)
