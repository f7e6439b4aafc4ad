"""Pictures of CT, looked at as numbers."""

from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib.image import imread

from medrecon.figures import gray_window
from medrecon.report.ct_figures import ct_preview
from medrecon.report.ct_summary import CTMetrics, CTReconstruction, CTReport, CTSliceResult

SHAPE = (40, 30)


def reconstruction(image: torch.Tensor, target: torch.Tensor | None, unit: str = "1/mm") -> CTReconstruction:
    metrics = None if target is None else CTMetrics(20.0, 0.5)
    report = CTReport(
        input="scan.h5",
        output="out.h5",
        method="tv",
        parameters={"weight": 1.0},
        geometry="parallel",
        views=4,
        measured_views=8,
        unit=unit,
        slices=1,
        first_slice=0,
        shape=SHAPE,
        pixel=(1.0, 1.0),
        device="cpu",
        threads=1,
        photons=100.0,
        metrics=metrics,
    )
    sinogram = torch.zeros(4, 20)
    sinogram[:, 10:] = 2
    return CTReconstruction(report, CTSliceResult(3, image, target, sinogram))


def panels(path: Path) -> list[np.ndarray]:
    """Cut a preview at its white gaps into its panels, gray, without their bars."""
    picture = imread(path)[..., :3].mean(axis=-1)
    picture = picture[int(0.15 * len(picture)) : int(0.8 * len(picture))]
    inked = (picture < 0.97).mean(axis=0) > 0.3
    edges = np.flatnonzero(np.diff(np.concatenate(([False], inked, [False])).astype(int)))
    return [picture[:, a:b] for a, b in zip(edges[::2], edges[1::2], strict=True)]


@pytest.mark.parametrize("unit", ["1/mm", "HU", "normalized"])
def test_preview_is_upright_in_every_unit(tmp_path: Path, unit: str) -> None:
    target = torch.full(SHAPE, 0.002)
    target[:20, :15] = 0.02
    image = target.clone()
    image[20:, :15] += 0.009
    ct_preview(tmp_path / "p.png", reconstruction(image, target, unit))
    shown = panels(tmp_path / "p.png")
    assert len(shown) >= 2
    height, width = shown[0].shape
    for panel in shown[:1]:
        assert panel[height // 3, width // 4] > panel[height // 3, 3 * width // 4] + 0.5
        assert panel[height // 3, width // 4] > panel[3 * height // 4, width // 4] + 0.5


def test_preview_without_a_target_and_of_an_empty_image(tmp_path: Path) -> None:
    sizes = []
    for target in (None, torch.zeros(SHAPE)):
        ct_preview(tmp_path / "p.png", reconstruction(torch.zeros(SHAPE), target))
        sizes.append(imread(tmp_path / "p.png").shape[1])
    assert sizes[1] > 1.8 * sizes[0]


def test_the_gray_window_leaves_out_what_is_rare() -> None:
    image = torch.linspace(0, 1, 1000).reshape(20, 50)
    image[0, 0], image[-1, -1] = -100, 100
    assert gray_window(image) == pytest.approx((0.01, 0.99), abs=0.002)
    assert gray_window(torch.full((4, 4), 2.0)) == (2.0, 3.0)


def test_reports_as_values() -> None:
    report = reconstruction(torch.zeros(SHAPE), torch.zeros(SHAPE)).report
    values = report.as_json()
    assert (values["modality"], values["protocol"], values["metrics"]) == ("ct", "lodopab", {"psnr": 20.0, "ssim": 0.5})
    assert "protocol_fr" not in values
    said = report.attributes()
    assert (said["weight"], said["unit"], said["photons"]) == (1.0, "1/mm", 100.0)
    assert "added_photons" not in said
    without = reconstruction(torch.zeros(SHAPE), None).report.as_json()
    assert "metrics" not in without
    assert "protocol" not in without
