"""Readouts that were read the other way round, in any order of the lines."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from medrecon.data.mri.noise import add_noise
from medrecon.data.mri.receivers import draw_receiver, simulate_scan
from medrecon.data.phantoms.mri_phantoms import brain
from medrecon.findings import Severity
from medrecon.scans.mri_checks import check_kspace
from medrecon.scans.mri_readout_checks import odd_lines
from medrecon.scans.mri_reversed_lines import reversed_lines, with_reversed
from tests.scans.test_mri_checks import sample

N_LINES = 80
ORDERS: dict[str, Callable[[Tensor], Tensor]] = {
    "one half": lambda line: line >= N_LINES // 2,
    "by pairs": lambda line: line // 2 % 2 == 1,
    "by fours": lambda line: line // 4 % 2 == 1,
    "no order": lambda line: (line * 37 % 101) % 2 == 1,
}


def scan(n_coils: int, snr: float | None, seed: int = 0) -> Tensor:
    """K-space of a head with a phase of its own, as scanners see it, and a margin around it, by which lines are alike."""
    generator = torch.Generator().manual_seed(seed)
    image = torch.nn.functional.pad(brain().image((72, 60)).float(), (10, 10, 12, 12))
    receiver = draw_receiver(generator, n_coils=n_coils)
    kspace, _ = simulate_scan(image / image[image > 0].mean(), receiver, generator, oversampling=1)
    return kspace if snr is None else add_noise(kspace, snr, generator)


def narrow() -> Tensor:
    """K-space of an object that takes a third of its field, whose lines are much alike, and whose readouts are not symmetric."""
    generator = torch.Generator().manual_seed(3)
    image = torch.zeros(96, N_LINES, dtype=torch.complex64)
    image[10:60, 30:56] = torch.randn(50, 26, generator=generator, dtype=torch.complex64)
    kspace: Tensor = torch.fft.fftshift(torch.fft.fft2(torch.fft.ifftshift(image)))
    return kspace[None]


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize(
    ("n_coils", "snr", "shift"), [(1, None, 0), (4, 20.0, 0), (4, 20.0, 1), (12, 10.0, 0), (12, 10.0, 1)]
)
def test_readouts_reversed_in_any_order_are_named(order: str, n_coils: int, snr: float | None, shift: int) -> None:
    lines = ORDERS[order](torch.arange(N_LINES))
    [finding] = check_kspace(sample(with_reversed(scan(n_coils, snr), lines, shift))).findings
    assert (finding.name, finding.severity) == ("reversed-readouts", Severity.PROBLEM)


@pytest.mark.parametrize("order", ORDERS)
def test_lines_that_run_against_the_others_are_those_that_were_reversed(order: str) -> None:
    lines = ORDERS[order](torch.arange(N_LINES))
    found = reversed_lines(with_reversed(narrow(), lines))
    bright = torch.arange(N_LINES // 4, 3 * N_LINES // 4)
    assert float((found == lines)[bright].double().mean()) in (0.0, 1.0)  # either direction may be that of the others


def test_reversing_twice_changes_nothing() -> None:
    kspace, lines = narrow(), torch.arange(N_LINES) % 3 == 0
    assert torch.equal(with_reversed(with_reversed(kspace, lines), lines), kspace)
    assert not bool(reversed_lines(kspace)[N_LINES // 2 - 8 : N_LINES // 2 + 8].any())


@pytest.mark.parametrize("n_coils", [1, 2])
def test_an_image_without_an_empty_part_says_nothing(n_coils: int) -> None:
    """Of an object that is everywhere, no correction can be told from chance."""
    y, x = (torch.arange(n) - n // 2 for n in (128, 112))
    for seed in range(6):
        generator = torch.Generator().manual_seed(seed)
        white = torch.randn(n_coils, 128, 112, dtype=torch.complex64, generator=generator)
        assert list(odd_lines(sample(white / (1 + y[:, None] ** 2 + x**2)))) == []


def test_as_many_coils_as_there_are_cost_no_more_than_a_few(monkeypatch: pytest.MonkeyPatch) -> None:
    found = sample(scan(40, 30.0))
    compared: list[int] = []
    transform = torch.fft.ifft2
    monkeypatch.setattr(
        torch.fft, "ifft2", lambda block, **rest: compared.append(block.shape[-3]) or transform(block, **rest)
    )
    assert check_kspace(found).findings == ()
    assert max(compared) <= 8
