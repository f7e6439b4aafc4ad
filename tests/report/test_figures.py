"""Pictures, looked at as numbers: what lies where, and how bright it is."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib.image import imread

from medrecon.report.figures import compare, preview
from medrecon.report.summary import Reconstruction, Report, SliceResult

SHAPE = (40, 30)


def reconstruction(image: torch.Tensor, target: torch.Tensor | None, sampled: torch.Tensor) -> Reconstruction:
    report = Report(*("scan.h5", "out.h5", "tv", 0.1, 5, None, "as acquired", 4.0, "espirit", 1, 0, SHAPE, "cpu", 1))
    shown = SliceResult(3, image, target, sampled, "as acquired", 4.0, "espirit", (), 0.0)
    return Reconstruction(report, shown, None if target is None else float(target.max()))


def panels(path: Path) -> list[np.ndarray]:
    """Cut a preview at its white gaps into its panels, gray."""
    picture = imread(path)[..., :3].mean(axis=-1)
    picture = picture[int(0.2 * len(picture)) :]
    inked = (picture < 0.9).mean(axis=0) > 0.3
    edges = np.flatnonzero(np.diff(np.concatenate(([False], inked, [False])).astype(int)))
    return [picture[:, a:b] for a, b in zip(edges[::2], edges[1::2], strict=True)]


def test_preview_shows_target_image_error_and_sampling(tmp_path: Path) -> None:
    target = torch.zeros(SHAPE)
    target[:20, :15] = 0.5
    target[0, 0] = 1
    image = target.clone()
    image[20:, 15:] += 0.1
    done = reconstruction(image, target, torch.zeros(30, dtype=torch.bool))
    preview(tmp_path / "p.png", done)
    shown = panels(tmp_path / "p.png")
    assert len(shown) == 4
    middle = [panel[len(panel) // 4 : len(panel) // 4 + 5, 20:40].mean() for panel in shown[:2]]
    assert middle[0] == pytest.approx(middle[1], abs=0.02)
    corner = [panel[-60:-40, -60:-40].mean() for panel in shown]
    assert corner[0] == pytest.approx(0, abs=0.02)
    assert corner[2] == pytest.approx(5 * corner[1], rel=0.1)  # one window for both, errors five times brighter


def test_preview_without_a_target(tmp_path: Path) -> None:
    image = torch.full(SHAPE, 0.2)
    image[:, 15:] = 0.1
    preview(tmp_path / "p.png", reconstruction(image, None, torch.zeros(SHAPE, dtype=torch.bool)))
    assert 1 <= len(panels(tmp_path / "p.png")) <= 2


def test_an_empty_image_is_a_picture_too(tmp_path: Path) -> None:
    done = reconstruction(torch.zeros(SHAPE), torch.zeros(SHAPE), torch.ones(30, dtype=torch.bool))
    preview(tmp_path / "p.png", replace(done, data_range=None))
    assert (tmp_path / "p.png").stat().st_size > 1000


def test_compare_has_a_column_for_each_and_two_rows(tmp_path: Path) -> None:
    target = torch.rand(SHAPE, generator=torch.Generator().manual_seed(0))
    sizes = []
    for count in (1, 3):
        images = {f"method {i}": target + 0.1 * i for i in range(count)}
        compare(tmp_path / "c.png", images, target, dict.fromkeys(images, "PSNR 1"), heading="a scan")
        sizes.append(imread(tmp_path / "c.png").shape)
    assert sizes[1][0] == sizes[0][0]
    assert sizes[1][1] > 1.5 * sizes[0][1]
