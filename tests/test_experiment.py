"""From settings to objects, and what a reconstruction of a file holds in memory."""

import subprocess
import sys
import weakref
from pathlib import Path

import pytest
import torch

from medrecon.config import (
    MaskName,
    MRIAcquisition,
    MRISimulationSettings,
    RadialMaskSettings,
    ReconstructionSettings,
    settings_from,
)
from medrecon.data.mri import masks, variable_density
from medrecon.data.mri.fastmri import FastMRIFile, KSpaceSample
from medrecon.data.mri.fastmri_header import make_header
from medrecon.data.mri.masks import SamplingMask, mask_seed
from medrecon.data.mri.writing import write_fastmri
from medrecon.errors import InputError
from medrecon.modality import Modality
from medrecon.problem import coil_problem, full_reconstruction, remove_oversampling, undersample
from medrecon.progress import silent
from medrecon.reconstructors import RootSumOfSquares, Sense, TotalVariation, WaveletSparsity, ZeroFilled
from medrecon.scans.masks import build_mask
from medrecon.scans.mri import KSpaceScan
from medrecon.workflows import build_reconstructor, reconstruct_file, simulate_file
from tests.program import simulate
from tests.settings import CLASSICAL_MRI, mri

SHAPE = (48, 40)


def settings(method: str = "rss", /, **mask: object) -> ReconstructionSettings:
    return mri(method, mask or None)


@pytest.mark.parametrize(
    ("kind", "kept"),
    [
        ("zero-filled", ZeroFilled()),
        ("rss", RootSumOfSquares()),
        ("sense", Sense()),
        ("wavelet", WaveletSparsity()),
        ("tv", TotalVariation()),
    ],
)
def test_without_choices_the_reconstructors_defaults_hold(kind: str, kept: object) -> None:
    assert build_reconstructor(settings(kind).method, Modality.MRI) == kept


def test_every_method_can_be_built_and_chosen_fields_arrive() -> None:
    for name in CLASSICAL_MRI:
        build_reconstructor(settings(name).method, Modality.MRI)
    made = build_reconstructor(mri("tv", weight=0.25, iterations=3, tolerance=0.5).method, Modality.MRI)
    assert made == TotalVariation(weight=0.25, iterations=3, tolerance=0.5)


SEED = mask_seed("a.h5")
MASKS = {
    "random": masks.random_mask(40, 4, 0.08, SEED),
    "equispaced": masks.equispaced_mask(40, 4, 0.08, SEED),
    "equispaced-fraction": masks.equispaced_fraction_mask(40, 4, 0.08, SEED),
    "magic": masks.magic_mask(40, 4, 0.08, SEED),
    "magic-fraction": masks.magic_fraction_mask(40, 4, 0.08, SEED),
    "gaussian": variable_density.gaussian_mask(40, 4, 0.08, SEED),
    "poisson": variable_density.poisson_mask(SHAPE, 4, (4, 3), SEED),
    "radial": variable_density.radial_mask(SHAPE, 4, SEED),
}


@pytest.mark.parametrize("name", list(MaskName))
def test_masks_are_those_of_the_data_set_seeded_by_the_file(name: str) -> None:
    acquisition = settings(kind=name).acquisition
    assert isinstance(acquisition, MRIAcquisition)
    chosen = acquisition.mask
    assert chosen is not None
    made = build_mask(chosen, SHAPE, "a.h5")
    assert made.kind == name
    assert torch.equal(made.sampled, MASKS[name].sampled)


@pytest.mark.parametrize(("acceleration", "center"), [(4, 0.08), (8, 0.04), (1, 0.32)])
def test_the_center_is_fastmris(acceleration: float, center: float) -> None:
    acquisition = settings("rss", kind="random", acceleration=acceleration).acquisition
    assert isinstance(acquisition, MRIAcquisition)
    chosen = acquisition.mask
    assert chosen is not None
    assert chosen.model_dump()["center_fraction"] is None
    assert getattr(chosen, "center") == pytest.approx(center)  # noqa: B009


def test_settings_refuse_what_they_do_not_know() -> None:
    with pytest.raises(InputError, match="--speed: "):
        settings_from(MRIAcquisition, {"speed": 3})
    with pytest.raises(InputError, match="acceleration should be"):
        settings(kind="random", acceleration=float("inf"))


def test_simulated_scans_are_read_back_with_their_target(tmp_path: Path) -> None:
    path = tmp_path / "p.h5"
    fields = {"size": (32, 24), "slices": 2, "coils": 3}
    simulate_file(path, settings_from(MRISimulationSettings, fields))
    file = FastMRIFile(path)
    assert (file.shape, file.matrix, file.oversampling) == ((2, 3, 64, 24), (32, 24), 2.0)
    for sample in file:
        assert sample.target is not None
        torch.testing.assert_close(sample.target, full_reconstruction(sample))


def test_removing_the_oversampling_changes_no_image(tmp_path: Path) -> None:
    sample = FastMRIFile(simulate(tmp_path / "s.h5"))[0]
    less = remove_oversampling(sample)
    assert (tuple(less.kspace.shape), less.oversampling) == ((4, 48, 40), 1.0)
    assert remove_oversampling(less) is less
    images = (problem.display_image(problem.A.H(problem.y)) for problem in (coil_problem(sample), coil_problem(less)))
    torch.testing.assert_close(*images)
    rows = torch.fft.fftshift(torch.fft.ifft2(torch.fft.ifftshift(sample.kspace, dim=(-2, -1)), norm="ortho"), (-2, -1))
    torch.testing.assert_close(
        full_reconstruction(less), torch.linalg.vector_norm(rows, dim=0)[24:72], rtol=1e-4, atol=1e-5
    )


def test_points_drawn_after_the_oversampling_are_all_that_is_used(tmp_path: Path) -> None:
    file = FastMRIFile(simulate(tmp_path / "s.h5"))
    acquisition = MRIAcquisition(mask=RadialMaskSettings())
    scan = KSpaceScan.of(file, acquisition).checked(range(1), silent)
    (posed,) = scan.problems(ZeroFilled(), torch.device("cpu"))
    sample, target = posed.samples[0], posed.targets[0]
    assert scan.mask is not None
    assert tuple(scan.mask.sampled.shape) == tuple(sample.kspace.shape[-2:]) == (48, 40)
    assert not sample.kspace[:, ~scan.mask.sampled].any()
    assert sample.true_acceleration == pytest.approx(scan.mask.acceleration)
    assert target is not None
    assert scan.peak == float(target.max())


def test_a_scan_that_differs_between_slices_is_said_to(tmp_path: Path) -> None:
    file = FastMRIFile(simulate(tmp_path / "s.h5", slices=2))
    masks_of_slices = [SamplingMask(torch.arange(40) % step != 1, "test") for step in (4, 5)]
    slices = [undersample(s, mask).kspace for s, mask in zip(file, masks_of_slices, strict=True)]
    write_fastmri(tmp_path / "t.h5", slices, header=make_header((96, 40), SHAPE))
    done = reconstruct_file(tmp_path / "t.h5", tmp_path / "o.h5", settings("rss"))
    assert "the sampling differs between slices" in done.report.notes[0]
    assert done.report.facts["true_acceleration"] == pytest.approx(masks_of_slices[1].acceleration)


@pytest.mark.parametrize("exponent", [-70, 60])
@pytest.mark.parametrize("kind", CLASSICAL_MRI)
def test_the_scanners_units_do_not_matter(tmp_path: Path, kind: str, exponent: int) -> None:
    file = FastMRIFile(simulate(tmp_path / "s.h5", size=(32, 32)))
    header, images = make_header((64, 32), (32, 32)), []
    for factor in (1.0, 2.0**exponent):
        write_fastmri(tmp_path / "t.h5", [file.raw(0) * factor], header=header, overwrite=True)
        chosen = settings(kind, kind="random", center_fraction=0.25)
        done = reconstruct_file(tmp_path / "t.h5", tmp_path / "o.h5", chosen, overwrite=True)
        images.append(done.shown.image / factor)
        images.append(torch.tensor([done.report.metrics[0].psnr, done.report.metrics[0].ssim]))
    torch.testing.assert_close(images[:2], images[2:])


def test_tiny_images_are_reconstructed_and_not_scored(tmp_path: Path) -> None:
    path = simulate(tmp_path / "s.h5", size=(6, 24))
    done = reconstruct_file(path, tmp_path / "o.h5", settings("rss", kind="random", center_fraction=0.5))
    assert done.report.metrics == ()
    assert "nothing is scored" in done.report.notes[-1]


def test_one_slice_is_held_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = simulate(tmp_path / "s.h5", size=(16, 16), slices=8, coils=2)
    alive: list[weakref.ref[torch.Tensor]] = []
    most = 0
    read = FastMRIFile.__getitem__

    def watched(self: FastMRIFile, index: int) -> KSpaceSample:
        nonlocal most
        sample = read(self, index)
        alive.append(weakref.ref(sample.kspace))
        most = max(most, sum(reference() is not None for reference in alive))
        return sample

    monkeypatch.setattr(FastMRIFile, "__getitem__", watched)
    reconstruct_file(path, tmp_path / "o.h5", settings("rss", kind="random"))
    assert len(alive) == 1 + 4 + 16  # the middle one and four of all are looked at, and each is then read twice
    assert most <= 2


def test_memory_grows_with_a_slice_and_not_with_the_file(tmp_path: Path) -> None:
    code = """
import resource, sys, torch
from pathlib import Path
from medrecon.data.mri.fastmri_header import make_header
from medrecon.data.mri.writing import write_fastmri
from medrecon.workflows import reconstruct_file
from tests.test_experiment import settings
torch.set_num_threads(1)
folder, peaks = Path(sys.argv[1]), []
for count in (4, 40):
    path = folder / f"{count}.h5"
    slices = (torch.randn(4, 256, 128, dtype=torch.complex64) for _ in range(count))
    write_fastmri(path, slices, header=make_header((256, 128), (128, 128)))
    reconstruct_file(path, folder / f"out.{count}.h5", settings("rss", kind="random"))
    peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
print(peaks[1] - peaks[0], path.stat().st_size / 2**20)
"""
    done = subprocess.run(
        [sys.executable, "-c", code, tmp_path], capture_output=True, text=True, check=True, timeout=300
    )
    grown, size = map(float, done.stdout.split())
    assert size > 35
    assert grown < 12
