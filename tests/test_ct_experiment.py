"""CT from settings to objects, and what a reconstruction of a file holds in memory."""

import weakref
from pathlib import Path

import pytest
import torch

from medrecon.config import CTSimulationSettings, settings_from
from medrecon.data.ct.geometry_files import CTScan
from medrecon.data.ct.sinogram_files import SinogramFile, write_sinograms
from medrecon.data.ct.sinograms import SinogramSample
from medrecon.errors import InputError
from medrecon.geometry import Arc, Grid, ParallelBeam
from medrecon.modality import Modality
from medrecon.operators import LinearOperator, Radon
from medrecon.reconstructors.filtered_backprojection import FilteredBackprojection
from medrecon.reconstructors.nonnegative_tv import NonnegativeTotalVariation
from medrecon.reconstructors.poisson_tv import PoissonTotalVariation
from medrecon.reconstructors.ramp import Window
from medrecon.reconstructors.sirt import Sirt
from medrecon.reconstructors.tikhonov import Tikhonov
from medrecon.scans.ct import warm_up
from medrecon.workflows import build_reconstructor, reconstruct_file, simulate_file
from tests.settings import CLASSICAL_CT, ct
from tests.sinogram_files import SCAN, write_scan


@pytest.mark.parametrize(
    ("kind", "kept"),
    [
        ("fbp", FilteredBackprojection()),
        ("sirt", Sirt()),
        ("tikhonov", Tikhonov()),
        ("tv", NonnegativeTotalVariation()),
        ("tv-poisson", PoissonTotalVariation()),
    ],
)
def test_without_choices_the_reconstructors_defaults_hold(kind: str, kept: object) -> None:
    assert build_reconstructor(ct(kind).method, Modality.CT) == kept


def test_given_fields_and_known_photons_arrive() -> None:
    method = ct("tv-poisson", weight=0.25, iterations=3).method
    made = build_reconstructor(method, Modality.CT, photons=500.0)
    assert made == PoissonTotalVariation(weight=0.25, iterations=3, photons=500.0)
    method = ct("fbp", window="shepp-logan", frequency_scaling=0.7).method
    assert build_reconstructor(method, Modality.CT, photons=500.0) == FilteredBackprojection(Window.SHEPP_LOGAN, 0.7)
    with pytest.raises(InputError, match="--weight: the method fbp has no weight"):
        ct("fbp", weight=1)


def test_a_method_of_another_modality_is_refused() -> None:
    with pytest.raises(InputError, match="the method sense is one of MRI, and the scan is of CT"):
        ct("sense")


@pytest.mark.parametrize("kind", CLASSICAL_CT)
def test_images_are_the_same_alone_and_together(tmp_path: Path, kind: str) -> None:
    path = write_scan(tmp_path / "s.h5", slices=10, photons=1e4)
    whole = reconstruct_file(path, tmp_path / "a.h5", ct(kind))
    alone = reconstruct_file(path, tmp_path / "b.h5", ct(kind, slices={"start": 5, "stop": 6}))
    assert (whole.shown.index, alone.shown.index) == (5, 5)
    torch.testing.assert_close(whole.shown.image, alone.shown.image, rtol=1e-3, atol=1e-5)


def test_some_slices_are_held_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scan = CTScan(ParallelBeam(Arc.half_turn(4), 8, 2.0), Grid((8, 8), 2.0))
    write_sinograms(tmp_path / "s.h5", (torch.rand(4, 8) for _ in range(40)), scan)
    alive: list[weakref.ref[torch.Tensor]] = []
    most = 0
    read = SinogramFile.unchecked

    def watched(self: SinogramFile, index: int) -> SinogramSample:
        nonlocal most
        sample = read(self, index)
        alive.append(weakref.ref(sample.sinogram))
        most = max(most, sum(reference() is not None for reference in alive))
        return sample

    monkeypatch.setattr(SinogramFile, "unchecked", watched)
    reconstruct_file(tmp_path / "s.h5", tmp_path / "o.h5", ct())
    assert len(alive) == 81  # all once to be checked, the middle one to be spoken of, and all again
    assert most <= 2 * 8 + 4  # two groups, and some that are kept to be shown


def test_flat_targets_and_tiny_images_are_not_scored(tmp_path: Path) -> None:
    for shape, words in (
        ((8, 8), "a target has one value everywhere"),
        ((4, 8), "images have less than 7 pixels a side"),
    ):
        scan = CTScan(ParallelBeam(Arc.half_turn(4), 8, 2.0), Grid(shape, 2.0))
        target = torch.zeros(shape)
        target[0, 0] = float(shape == (4, 8))
        write_sinograms(tmp_path / "s.h5", [torch.zeros(4, 8)], scan, targets=[target], overwrite=True)
        report = reconstruct_file(tmp_path / "s.h5", tmp_path / "o.h5", ct(), overwrite=True).report
        assert report.metrics == ()
        assert words in report.notes[-1]


def test_simulated_scans_are_read_back(tmp_path: Path) -> None:
    fields = {"phantom": "shepp-logan", "size": (24, 24), "views": 10, "bins": 30, "slices": 3}
    told: list[tuple[str, int, int]] = []
    simulate_file(
        tmp_path / "p.h5",
        settings_from(CTSimulationSettings, fields),
        progress=lambda what, done, total: told.append((what, done, total)),
    )
    file = SinogramFile(tmp_path / "p.h5")
    assert file.shape == (3, 10, 30)
    assert told == [("p.h5", k, 3) for k in (1, 2, 3)]
    assert all(sample.target is not None for sample in file)
    assert file.scan.grid == Grid((24, 24), 260 / 24)


def test_progress_is_told(tmp_path: Path) -> None:
    told: list[tuple[str, int, int]] = []
    path = write_scan(tmp_path / "s.h5", SCAN, slices=9)
    reconstruct_file(path, tmp_path / "o.h5", ct(), progress=lambda what, done, total: told.append((what, done, total)))
    assert told[:9] == [("s.h5: read", k, 9) for k in range(1, 10)]
    assert told[9:] == [("s.h5: fbp", 8, 9), ("s.h5: fbp", 9, 9)]


def test_what_is_timed_is_the_method_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    sizes: list[int] = []

    class Compiles:
        """A method whose first use takes ten seconds."""

        def __call__(self, y: torch.Tensor, A: LinearOperator, /) -> torch.Tensor:
            now[0] += 1.0 if sizes else 10.0
            sizes.append(len(y))
            return A.H(y)

    method = Compiles()
    monkeypatch.setattr("medrecon.workflows.trust.build_reconstructor", lambda *_, **__: method)
    monkeypatch.setattr("medrecon.workflows.reconstruct.time.perf_counter", lambda: now[0])
    path = write_scan(tmp_path / "s.h5", SCAN, slices=9)
    assert reconstruct_file(path, tmp_path / "o.h5", ct()).report.seconds == 2.0
    assert sizes == [1, 8, 1]  # a few pixels, and the nine images


def test_a_method_that_fails_on_a_few_pixels_is_none_the_worse() -> None:
    def fails(y: torch.Tensor, A: LinearOperator, /) -> torch.Tensor:
        raise ValueError(f"{A.domain.shape}: too small for {y.shape}")

    warm_up(fails, Radon(SCAN.grid, SCAN.geometry), torch.device("cpu"))
