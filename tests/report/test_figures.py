"""Pictures, looked at as numbers: what lies where, and how bright it is."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib.image import imread

from medrecon.data.ct.attenuation import AttenuationUnit
from medrecon.evaluation import LODOPAB_PROTOCOL, PROTOCOL, Metrics, image_range
from medrecon.report.figures import compare, preview, window_of
from medrecon.results import Display, Facts, Reconstruction, Report, SliceResult
from medrecon.scans.ct_display import display_in
from medrecon.scans.mri import DISPLAY

SHAPE = (40, 30)


def report(modality: str, facts: Facts, protocol: str, *, scored: bool) -> Report:
    return Report(
        modality=modality,
        input="scan.h5",
        output="out.h5",
        method="tv",
        parameters={"weight": 1.0},
        measured="as acquired",
        sampling="4.00x",
        facts=facts,
        slices=1,
        first_slice=0,
        shape=SHAPE,
        pixel=(1.0, 1.0),
        unit="1/mm",
        device="cpu",
        threads=1,
        metrics=(Metrics(protocol, 20.0, 0.5),) if scored else (),
    )


def kspace(image: torch.Tensor, target: torch.Tensor | None, sampled: torch.Tensor) -> Reconstruction:
    data_range = None if target is None else float(target.max())
    told = report("mri", {"sampling": "as acquired", "mask": {"kind": "random"}}, PROTOCOL, scored=target is not None)
    return Reconstruction(told, SliceResult(3, image, target, sampled, "4.00x", None, data_range), DISPLAY)


def sinogram(image: torch.Tensor, target: torch.Tensor | None, unit: str = "1/mm") -> Reconstruction:
    facts = {"views": 4, "photons": 100.0, "added_photons": None}
    told = report("ct", facts, LODOPAB_PROTOCOL, scored=target is not None)
    measured = torch.zeros(4, 20)
    measured[:, 10:] = 2
    data_range = None if target is None else image_range(target) or None
    shown = SliceResult(3, image, target, measured, "4 views", None, data_range, LODOPAB_PROTOCOL)
    return Reconstruction(told, shown, display_in(AttenuationUnit(unit)))


def panels(path: Path, rows: slice, white: float) -> list[np.ndarray]:
    """Cut a preview at its white gaps into its panels, gray."""
    picture = imread(path)[..., :3].mean(axis=-1)
    picture = picture[int(rows.start * len(picture) / 100) : int(rows.stop * len(picture) / 100)]
    inked = (picture < white).mean(axis=0) > 0.3
    edges = np.flatnonzero(np.diff(np.concatenate(([False], inked, [False])).astype(int)))
    return [picture[:, a:b] for a, b in zip(edges[::2], edges[1::2], strict=True)]


PLAIN, WITH_BARS = (slice(20, 100), 0.9), (slice(15, 80), 0.97)


def test_preview_of_kspace_shows_target_image_error_and_sampling(tmp_path: Path) -> None:
    target = torch.zeros(SHAPE)
    target[:20, :15] = 0.5
    target[0, 0] = 1
    image = target.clone()
    image[20:, 15:] += 0.1
    preview(tmp_path / "p.png", kspace(image, target, torch.zeros(30, dtype=torch.bool)))
    shown = panels(tmp_path / "p.png", *PLAIN)
    assert len(shown) == 4
    middle = [panel[len(panel) // 4 : len(panel) // 4 + 5, 20:40].mean() for panel in shown[:2]]
    assert middle[0] == pytest.approx(middle[1], abs=0.02)
    corner = [panel[-60:-40, -60:-40].mean() for panel in shown]
    assert corner[0] == pytest.approx(0, abs=0.02)
    assert corner[2] == pytest.approx(5 * corner[1], rel=0.1)  # one window for both, errors five times brighter


def test_preview_of_kspace_without_a_target(tmp_path: Path) -> None:
    image = torch.full(SHAPE, 0.2)
    image[:, 15:] = 0.1
    preview(tmp_path / "p.png", kspace(image, None, torch.zeros(SHAPE, dtype=torch.bool)))
    assert 1 <= len(panels(tmp_path / "p.png", *PLAIN)) <= 2


def test_an_empty_image_is_a_picture_too(tmp_path: Path) -> None:
    done = kspace(torch.zeros(SHAPE), torch.zeros(SHAPE), torch.ones(30, dtype=torch.bool))
    preview(tmp_path / "p.png", replace(done, shown=replace(done.shown, data_range=None)))
    assert (tmp_path / "p.png").stat().st_size > 1000


@pytest.mark.parametrize("unit", ["1/mm", "HU", "normalized"])
def test_preview_of_a_sinogram_is_upright_in_every_unit(tmp_path: Path, unit: str) -> None:
    target = torch.full(SHAPE, 0.002)
    target[:20, :15] = 0.02
    image = target.clone()
    image[20:, :15] += 0.009
    preview(tmp_path / "p.png", sinogram(image, target, unit))
    shown = panels(tmp_path / "p.png", *WITH_BARS)
    assert len(shown) >= 2
    height, width = shown[0].shape
    assert shown[0][height // 3, width // 4] > shown[0][height // 3, 3 * width // 4] + 0.5
    assert shown[0][height // 3, width // 4] > shown[0][3 * height // 4, width // 4] + 0.5


def test_preview_of_a_sinogram_without_a_target_and_of_an_empty_image(tmp_path: Path) -> None:
    sizes = []
    for target in (None, torch.zeros(SHAPE)):
        preview(tmp_path / "p.png", sinogram(torch.zeros(SHAPE), target))
        sizes.append(imread(tmp_path / "p.png").shape[1])
    assert sizes[1] > 1.8 * sizes[0]


def test_windows_leave_out_what_is_rare() -> None:
    image = torch.linspace(0, 1, 1000).reshape(20, 50)
    image[0, 0], image[-1, -1] = -100, 100
    of_ct = display_in(AttenuationUnit.PER_MM)
    assert window_of(image, of_ct) == pytest.approx((0.01, 0.99), abs=0.002)
    assert window_of(torch.full((4, 4), 2.0), of_ct) == (2.0, 3.0)
    assert window_of(image, DISPLAY) == pytest.approx((0.0, 0.998), abs=0.002)
    assert window_of(torch.zeros(4, 4), DISPLAY) == (0.0, 1.0)


def test_compare_has_a_column_for_each_and_two_rows(tmp_path: Path) -> None:
    target = torch.rand(SHAPE, generator=torch.Generator().manual_seed(0))
    sizes = []
    for count in (1, 3):
        images = {f"method {i}": target + 0.1 * i for i in range(count)}
        scores = dict.fromkeys(images, "PSNR 1")
        compare(tmp_path / "c.png", images, target, scores, heading="a scan", window=(0.0, 1.0))
        sizes.append(imread(tmp_path / "c.png").shape)
    assert sizes[1][0] == sizes[0][0]
    assert sizes[1][1] > 1.5 * sizes[0][1]


def test_reports_as_values() -> None:
    done = sinogram(torch.zeros(SHAPE), torch.zeros(SHAPE)).report
    values = done.as_json()
    assert (values["modality"], values["protocol"], values["metrics"]) == ("ct", "lodopab", {"psnr": 20.0, "ssim": 0.5})
    assert "protocol_fr" not in values
    both = replace(done, metrics=(*done.metrics, Metrics("lodopab-fr", 30.0, 0.75))).as_json()
    assert both["metrics"] == {"psnr": 20.0, "ssim": 0.5, "psnr_fr": 30.0, "ssim_fr": 0.75}
    assert both["protocol_fr"] == "lodopab-fr"
    said = done.attributes()
    assert (said["weight"], said["unit"], said["photons"]) == (1.0, "1/mm", 100.0)
    assert "added_photons" not in said
    without = sinogram(torch.zeros(SHAPE), None).report.as_json()
    assert "metrics" not in without
    assert "protocol" not in without
    of_kspace = kspace(torch.zeros(SHAPE), None, torch.ones(30, dtype=torch.bool)).report.attributes()
    assert of_kspace["mask_kind"] == "random"


def test_a_display_says_what_is_black_and_white() -> None:
    assert isinstance(DISPLAY, Display)
    hounsfield = display_in(AttenuationUnit.HOUNSFIELD)
    assert float(hounsfield.values(torch.tensor(0.02))) == pytest.approx(0.0, abs=1e-3)
    assert hounsfield.presets[0].name == "soft tissue"
