"""Coils that see another image than the others do."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from medrecon.data.mri.noise import add_noise
from medrecon.data.mri.receivers import draw_receiver, simulate_scan
from medrecon.findings import Severity
from medrecon.scans.mri_checks import check_kspace
from tests.scans.test_mri_checks import names, sample

SHAPE = 96, 88


def scan(n_coils: int, snr: float | None = 20.0, seed: int = 0) -> Tensor:
    """K-space `(coil, ky, kx)` of an object without any symmetry: a patchwork within an ellipse off the center."""
    generator = torch.Generator().manual_seed(seed)
    y, x = (2 * (torch.arange(n) - n // 2) / n for n in SHAPE)
    patches = torch.nn.functional.interpolate(torch.rand(1, 1, 12, 11, generator=generator), size=SHAPE)[0, 0]
    image = (0.3 + patches) * (((y[:, None] - 0.1) / 0.6) ** 2 + ((x + 0.05) / 0.7) ** 2 < 1)
    receiver = draw_receiver(generator, n_coils=n_coils)
    kspace, _ = simulate_scan(image / image[image > 0].mean(), receiver, generator, oversampling=1)
    return kspace if snr is None else add_noise(kspace, snr, generator)


def shifted(kspace: Tensor) -> Tensor:
    n = kspace.shape[-1]
    return kspace * torch.polar(torch.ones(n), 2 * math.pi * 16 * (torch.arange(n) - n // 2) / n)


WAYS: dict[str, Callable[[Tensor], Tensor]] = {
    "conjugated": torch.conj,
    "mirrored along ky": lambda kspace: kspace.flip(-2),
    "shifted in k-space": lambda kspace: kspace.roll(9, -2),
    "shifted": shifted,
}


def with_coils(kspace: Tensor, coils: list[int], way: Callable[[Tensor], Tensor]) -> Tensor:
    other = kspace.clone()
    other[coils] = way(kspace[coils])
    return other


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("n_coils", [6, 12])
@pytest.mark.parametrize("snr", [20.0, None])
def test_a_coil_that_sees_another_image_is_named(way: str, n_coils: int, snr: float | None) -> None:
    found = check_kspace(sample(with_coils(scan(n_coils, snr), [2], WAYS[way]))).findings
    [text] = [
        finding.text for finding in found if finding.name == "coils-apart" and finding.severity is Severity.PROBLEM
    ]
    assert f"the images of coils 2 are {way}" in text


def test_every_second_coil_that_is_conjugated_is_named() -> None:
    found = check_kspace(sample(with_coils(scan(8), [1, 3, 5, 7], torch.conj))).findings
    [text] = [finding.text for finding in found if finding.name == "coils-apart"]
    assert "coils 1, 3, 5, 7 are conj" in text or "coils 0, 2, 4, 6 are conj" in text


@pytest.mark.parametrize("n_coils", [2, 6, 20])
@pytest.mark.parametrize("snr", [5.0, None])
def test_coils_that_see_one_object_are_sound(n_coils: int, snr: float | None) -> None:
    for seed in range(3):
        assert names(sample(scan(n_coils, snr, seed))) == []
