"""Values and gains that no receiver gives, and lines in the order in which they were measured."""

import re
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from medrecon.data.mri.noise import add_noise
from medrecon.data.mri.receivers import draw_receiver, simulate_scan
from medrecon.data.phantoms.mri_phantoms import brain
from medrecon.findings import Severity
from medrecon.scans.mri_checks import check_kspace
from tests.scans.test_mri_checks import names, sample

SHAPE = 88, 80


def scan(n_coils: int, snr: float | None = 25.0) -> Tensor:
    """K-space `(coil, ky, kx)` of a head, with phase and noise."""
    generator = torch.Generator().manual_seed(n_coils)
    image = torch.nn.functional.pad(brain().image((72, 60)).float(), (10, 10, 8, 8))
    receiver = draw_receiver(generator, n_coils=n_coils)
    kspace, _ = simulate_scan(image / image[image > 0].mean(), receiver, generator, oversampling=1)
    return kspace if snr is None else add_noise(kspace, snr, generator)


def transformed(image: Tensor) -> Tensor:
    return torch.fft.fftshift(torch.fft.fft2(torch.fft.ifftshift(image)))[None].to(torch.complex64)


def symmetric(size: tuple[int, int] = SHAPE) -> Tensor:
    """K-space of an ellipse about the center of the image, real to the last bit."""
    y, x = (2 * (torch.arange(n) - n // 2) / n for n in size)
    kspace = transformed(((y[:, None] / 0.6) ** 2 + (x / 0.4) ** 2 < 1).double())
    return torch.complex(kspace.real, torch.zeros_like(kspace.real))


def of_points(*places: tuple[int, int]) -> Tensor:
    image = torch.zeros(64, 64)
    for place in places:
        image[place] = 1.0
    return transformed(image)


def halved(kspace: Tensor, axis: int, first: float, times: float) -> Tensor:
    """K-space whose last lines along an axis are so many times as strong."""
    n = kspace.shape[axis]
    gain = torch.where(torch.arange(n) >= first * n, times, 1.0)
    return kspace * (gain[:, None] if axis == -2 else gain)


def clipped(kspace: Tensor, coils: list[int], level: float = 0.3) -> Tensor:
    parts = torch.view_as_real(kspace).clone()
    for coil in coils:
        highest = level * float(parts[coil].abs().max())
        parts[coil].clamp_(-highest, highest)
    return torch.view_as_complex(parts)


def frozen(kspace: Tensor) -> Tensor:
    other = kspace.clone()
    other[..., 31:34] = kspace[..., 30:31]
    return other


def of_two_coils(kspace: Tensor) -> Tensor:
    return torch.cat([kspace[:1], kspace])


FAULTS: dict[str, tuple[Callable[[Tensor], Tensor], str]] = {
    "no imaginary part": (lambda k: k.real + 0j, "phase-lost"),
    "no real part": (lambda k: 1j * k.imag, "phase-lost"),
    "magnitudes": (lambda k: k.abs() + 0j, "phase-lost"),
    "clipped": (lambda k: clipped(k, [0]), "clipped"),
    "second half of the lines": (lambda k: halved(k, -1, 0.5, 3.0), "gain-step"),
    "first half of the lines": (lambda k: halved(k, -1, 0.5, 1 / 3), "gain-step"),
    "second half of readouts": (lambda k: halved(k, -2, 0.5, 3.0), "gain-step"),
    "last third of the lines": (lambda k: halved(k, -1, 2 / 3, 3.0), "gain-step"),
    "lines that were not read anew": (frozen, "repeated-lines"),
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize(("n_coils", "snr"), [(1, 25.0), (4, 10.0), (12, None)])
def test_what_no_receiver_gives_is_a_problem(fault: str, n_coils: int, snr: float | None) -> None:
    make, name = FAULTS[fault]
    found = check_kspace(sample(make(scan(n_coils, snr)))).findings
    assert (name, Severity.PROBLEM) in [(finding.name, finding.severity) for finding in found]


@pytest.mark.parametrize("n_coils", [1, 4, 12])
@pytest.mark.parametrize("snr", [10.0, None])
def test_sound_scans_are_sound(n_coils: int, snr: float | None) -> None:
    assert names(sample(scan(n_coils, snr))) == []


@pytest.mark.parametrize(
    "kspace",
    [
        symmetric(),
        symmetric((65, 57)),
        of_points((32, 32)),
        of_points((32, 40)),
        of_points((20, 32), (32, 48)),
        of_points((32, 32), (32, 0)),
    ],
    ids=["ellipse", "odd", "point", "point aside", "points", "half a field apart"],
)
def test_objects_without_noise_that_are_symmetric_are_sound(kspace: Tensor) -> None:
    told = {"phase-lost", "clipped", "gain-step", "line-order", "repeated-lines", "repeated-coils"}
    assert told.isdisjoint(names(sample(kspace)))


@pytest.mark.parametrize(("first", "times"), [(0.5, 3.0), (0.5, 1 / 3), (0.75, 2.6)])
def test_the_gain_is_measured_with_its_place(first: float, times: float) -> None:
    [finding] = check_kspace(sample(halved(scan(4), -1, first, times))).findings
    found = re.search(r"from (\d+) (on|back) are ([\d.]+) times", finding.text)
    assert found is not None
    assert abs(int(found[1]) - first * SHAPE[1]) <= 2
    assert found[2] == ("on" if times > 1 else "back")
    assert float(found[3]) == pytest.approx(max(times, 1 / times), rel=0.1)


def test_signals_that_decay_while_a_scan_lasts_are_sound() -> None:
    kspace = scan(4)
    assert names(sample(kspace * torch.exp(-2.0 * torch.arange(SHAPE[1]) / SHAPE[1]))) == []


def test_coils_that_are_clipped_are_named() -> None:
    [finding] = check_kspace(sample(clipped(scan(4), [1, 2]))).findings
    named = re.findall(r"(\d) \((\d+) samples\)", finding.text)
    assert [int(coil) for coil, _ in named] == [1, 2]


def test_a_coil_that_was_written_twice_is_noted() -> None:
    [finding] = check_kspace(sample(of_two_coils(scan(4)))).findings
    assert (finding.name, finding.severity) == ("repeated-coils", Severity.NOTE)
    assert "coils 0 and 1" in finding.text


@pytest.mark.parametrize("m", [2, 3, 5])
@pytest.mark.parametrize("backward", [False, True])
@pytest.mark.parametrize(("n_coils", "snr"), [(1, 10.0), (6, None)])
def test_the_order_of_lines_is_named_with_its_cure(m: int, backward: bool, n_coils: int, snr: float | None) -> None:
    whole = scan(n_coils, snr)
    runs = [torch.arange(first, SHAPE[1], m) for first in range(m)]
    stored = whole[..., torch.cat(runs[::-1] if backward else runs)]
    [finding] = check_kspace(sample(stored)).findings
    assert (finding.name, finding.severity) == ("line-order", Severity.PROBLEM)
    cure = finding.text[finding.text.index("write kspace[") + len("write ") :]
    assert np.array_equal(eval(cure, {"numpy": np, "kspace": stored.numpy()}), whole.numpy())


def test_values_far_from_one_are_told_alike() -> None:
    for scale in (1e-12, 1e12):
        assert names(sample(scale * halved(scan(4), -1, 0.5, 3.0))) == ["gain-step"]
        assert names(sample(scale * clipped(scan(4), [0]))) == ["clipped"]
