"""Coils that are far noisier than the others are named, and weighted; sound scans are left alone."""

import dataclasses
import json
from pathlib import Path

import pytest
import torch
from torch import Tensor

from medrecon.config.mri import MaskName, MRIAcquisition, WholeLineMaskSettings
from medrecon.data.formats import open_kspace
from medrecon.data.mri.fastmri_header import make_header
from medrecon.data.mri.masks import equispaced_fraction_mask
from medrecon.data.mri.variable_density import poisson_mask
from medrecon.data.mri.writing import write_fastmri
from medrecon.findings import Severity
from medrecon.problem import coil_problem
from medrecon.progress import silent
from medrecon.reconstructor import Reconstructor
from medrecon.reconstructors import RootSumOfSquares, Sense, TotalVariation, WaveletSparsity
from medrecon.scans.mri import KSpaceScan
from medrecon.scans.mri_checks import check_kspace
from medrecon.scans.mri_inspection import inspect_kspace
from medrecon.scans.mri_posing import pose
from tests.kspace_files import SimulatedScan, simulated_scan
from tests.scans.test_mri_checks import SHAPES, sample


def noisy(scan: SimulatedScan, levels: dict[int, float], sigma: float = 0.014, seed: int = 0) -> Tensor:
    """K-space with noise, `levels` times as much in the coils that are named."""
    noise = torch.randn(scan.kspace.shape, dtype=torch.complex64, generator=torch.Generator().manual_seed(seed))
    for coil, level in levels.items():
        noise[coil] *= level
    return scan.kspace + sigma * noise


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("n_coils", [2, 8, 32])
@pytest.mark.parametrize("sigma", [0.0, 0.01, 0.1])
def test_nothing_is_said_of_coils_about_equal(shape: tuple[int, int], n_coils: int, sigma: float) -> None:
    levels = dict(enumerate(torch.linspace(0.8, 1.3, n_coils).tolist()))
    kspace = noisy(simulated_scan(shape, acceleration=1, n_coils=n_coils, snr=None), levels, sigma)
    lines = equispaced_fraction_mask(shape[1], 4, 0.1, 0).sampled
    points = poisson_mask(shape, 4, (12, 12), 0).sampled
    edge = torch.hann_window(shape[1], periodic=False) + 0.02
    for some in (kspace, kspace * lines, kspace * points, kspace * edge):
        assert check_kspace(sample(some)).noise_covariance is None


@pytest.mark.parametrize("sigma", [0.0, 0.014])
def test_a_coil_that_is_amplified_more_or_silent_is_not_noisy(sigma: float) -> None:
    kspace = noisy(simulated_scan(n_coils=6, snr=None), {}, sigma)
    kspace[1] *= 12
    kspace[4] = 0
    assert check_kspace(sample(kspace)).findings == ()


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("acceleration", [1, 3])
@pytest.mark.parametrize("levels", [{2: 12.0}, {3: 5.5}, {1: 12.0, 6: 8.0}, {7: 200.0}])
def test_noisy_coils_are_named_with_their_noise(
    shape: tuple[int, int], acceleration: int, levels: dict[int, float]
) -> None:
    scan = simulated_scan(shape, acceleration=acceleration, n_coils=8, snr=None)
    checked = check_kspace(sample(noisy(scan, levels, 0.03) * scan.sampled))
    [finding] = checked.findings
    assert finding.name == "noisy-coil"
    words = finding.text.replace(",", " ").split()
    found = {
        int(words[k + 1]): float(words[k + 3])
        for k, word in enumerate(words)
        if word == "coil" and words[k + 2] == "is"
    }
    assert found == pytest.approx(levels, rel=0.25)
    assert checked.noise_covariance is not None
    assert checked.noise_covariance.shape == (8, 8)


@pytest.mark.parametrize(
    ("method", "most"), [(Sense(), 1.2), (WaveletSparsity(), 1.3), (TotalVariation(), 1.3), (RootSumOfSquares(), 1.1)]
)
def test_a_noisy_coil_costs_little(method: Reconstructor, most: float) -> None:
    scan = simulated_scan(acceleration=3, n_coils=8, snr=None)

    def error(kspace: Tensor, covariance: Tensor | None) -> float:
        problem = pose(sample(kspace), method, "cpu", covariance)
        return float((problem.display_image(method(problem.y, problem.A)) - scan.truth.abs()).norm())

    sound, bad = noisy(scan, {}) * scan.sampled, noisy(scan, {2: 12.0}) * scan.sampled
    weighted = error(bad, check_kspace(sample(bad)).noise_covariance)
    assert weighted < most * error(sound, None)
    assert weighted < 0.9 * error(bad, None)


def test_inspect_and_reconstruct_weigh_coils_and_targets_stay(tmp_path: Path) -> None:
    scan = simulated_scan(acceleration=1, n_coils=6, snr=None)
    header = make_header((96, 80), (96, 80))
    write_fastmri(tmp_path / "a.h5", [noisy(scan, {2: 12.0}, seed=seed) for seed in range(2)], header=header)
    inspection = inspect_kspace(open_kspace(tmp_path / "a.h5"))
    assert inspection.problems == ()
    [found] = json.loads(json.dumps(dataclasses.asdict(inspection)))["findings"]
    assert (found["name"], found["severity"]) == ("noisy-coil", "mended")
    assert any("mended: coil 2 is " in note for note in inspection.notes)
    mask = WholeLineMaskSettings(kind=MaskName.EQUISPACED, seed=0)
    opened = KSpaceScan.of(open_kspace(tmp_path / "a.h5"), MRIAcquisition(mask=mask)).checked(range(2), silent)
    assert opened.notes == inspection.notes
    posed = next(opened.problems(RootSumOfSquares(), torch.device("cpu")))
    unweighted = coil_problem(opened.file[0])
    rss = RootSumOfSquares()
    torch.testing.assert_close(posed.targets[0], unweighted.display_image(rss(unweighted.y, unweighted.A)))
    assert posed.problem.gain is not None


@pytest.mark.parametrize("method", [RootSumOfSquares(), Sense()])
@pytest.mark.parametrize("size", [(192, 160), (121, 99), (48, 40)])
def test_images_of_weighted_coils_have_their_brightness_on_any_grid(
    tmp_path: Path, method: Reconstructor, size: tuple[int, int]
) -> None:
    scan = simulated_scan(acceleration=1, n_coils=3, snr=None)
    header = make_header((96, 80), (96, 80))
    for name, levels in (("sound", {}), ("noisy", {1: 12.0})):
        write_fastmri(tmp_path / f"{name}.h5", [noisy(scan, levels, 0.003)], header=header)

    def image(name: str, asked: tuple[int, int] | None) -> Tensor:
        file = open_kspace(tmp_path / f"{name}.h5")
        opened = KSpaceScan.of(file, MRIAcquisition(size=asked)).checked(range(1), silent)
        posed = next(opened.problems(method, torch.device("cpu")))
        return posed.problem.display_image(method(posed.problem.y, posed.problem.A))

    def apart(asked: tuple[int, int] | None) -> float:
        sound = image("sound", asked)
        return float((image("noisy", asked) - sound).norm() / sound.norm())

    assert image("noisy", size).shape == size
    assert apart(size) < 1.15 * apart(None)


@pytest.mark.parametrize("method", [RootSumOfSquares(), Sense()])
def test_an_accepted_noisy_coil_counts_as_the_others_do(tmp_path: Path, method: Reconstructor) -> None:
    scan = simulated_scan(acceleration=1, n_coils=6, snr=None)
    write_fastmri(tmp_path / "a.h5", [noisy(scan, {2: 12.0})], header=make_header((96, 80), (96, 80)))
    opened = open_kspace(tmp_path / "a.h5")
    accepted = KSpaceScan.of(opened, MRIAcquisition(accept=("noisy-coil",))).checked(range(1), silent)
    [note] = accepted.notes
    assert "coil 2 is " in note
    assert note.endswith("it is left so, as noisy-coil is accepted")
    posed = next(accepted.problems(method, torch.device("cpu")))
    assert posed.problem.gain is None
    unweighted = pose(opened[0], method)
    scale = float((unweighted.y.abs().max() / posed.problem.y.abs().max()).real)
    torch.testing.assert_close(posed.problem.y * scale, unweighted.y)


@pytest.mark.parametrize(
    "levels",
    [
        {0: 12.0, 1: 12.0, 4: 12.0, 5: 12.0, 6: 8.0},
        dict.fromkeys(range(7), 10.0),
        dict.fromkeys((0, 2, 3, 4, 6, 7), 60.0),
    ],
)
@pytest.mark.parametrize("acceleration", [1, 3])
def test_noisy_coils_are_named_where_they_are_the_most(levels: dict[int, float], acceleration: int) -> None:
    scan = simulated_scan(acceleration=acceleration, n_coils=8, snr=None)
    checked = check_kspace(sample(noisy(scan, levels, 0.03) * scan.sampled))
    [finding] = checked.findings
    assert (finding.name, finding.severity) == ("noisy-coil", Severity.MENDED)
    words = finding.text.split()
    named = {int(words[k + 1]): float(words[k + 3]) for k, word in enumerate(words) if word == "coil"}
    assert named == pytest.approx(levels, rel=0.25)
    assert f"as noisy as the quietest {8 - len(levels) if len(levels) < 7 else 'one'}, which" in finding.text
    assert checked.noise_covariance is not None
    found = checked.noise_covariance.diagonal().sqrt()
    assert float(found.max() / found.min()) == pytest.approx(max(levels.values()), rel=0.35)


@pytest.mark.parametrize("sigma", [0.0, 0.014])
def test_most_coils_that_are_amplified_more_are_not_noisy(sigma: float) -> None:
    kspace = noisy(simulated_scan(n_coils=8, snr=None), {}, sigma)
    kspace[torch.tensor([0, 1, 3, 4, 6])] *= 12
    kspace[7] = 0
    assert check_kspace(sample(kspace)).findings == ()


@pytest.mark.parametrize("method", [Sense(), TotalVariation()])
def test_most_coils_noisy_cost_what_their_absence_does(method: Reconstructor) -> None:
    scan = simulated_scan(acceleration=2, n_coils=8, snr=None)
    bad = noisy(scan, dict.fromkeys((0, 2, 3, 5, 6), 12.0)) * scan.sampled

    def error(covariance: Tensor | None) -> float:
        problem = pose(sample(bad), method, "cpu", covariance)
        return float((problem.display_image(method(problem.y, problem.A)) - scan.truth.abs()).norm())

    assert error(check_kspace(sample(bad)).noise_covariance) < 0.6 * error(None)
