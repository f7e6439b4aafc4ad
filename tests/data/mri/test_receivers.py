"""Simulated scanners: coils with the field of a loop, correlated noise of a stated level, and one scale for k-space and target."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from medrecon.calibration import noise_level
from medrecon.data.mri.receivers import Receiver, draw_receiver, simulate_scan


def _images(kspace: Tensor) -> Tensor:
    axes = (-2, -1)
    images = torch.fft.ifft2(torch.fft.ifftshift(kspace, dim=axes), norm="ortho")
    shifted: Tensor = torch.fft.fftshift(images, dim=axes)
    return shifted


def _silent(receiver: Receiver) -> Receiver:
    return replace(receiver, mixing=torch.zeros_like(receiver.mixing))


def _turned(receiver: Receiver) -> Receiver:
    """Turn the coils by a right angle, from x to y."""
    turn = torch.tensor([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    return replace(receiver, places=receiver.places @ turn.T, normals=receiver.normals @ turn.T)


@pytest.mark.parametrize("oversampling", [1, 2, 3])
@pytest.mark.parametrize("rows", [20, 22])
def test_the_target_is_the_middle_of_the_root_sum_of_squares(
    oversampling: int, rows: int, generator: torch.Generator
) -> None:
    image = torch.rand(rows, 12, generator=generator)
    receiver = draw_receiver(generator, 5)
    kspace, target = simulate_scan(image, receiver, generator, 0.1, oversampling=oversampling)
    assert kspace.shape == (5, oversampling * rows, 12)
    assert kspace.dtype == torch.complex64
    first = (oversampling - 1) * rows // 2
    torch.testing.assert_close(torch.linalg.vector_norm(_images(kspace), dim=0)[first : first + rows], target)


@pytest.mark.parametrize("shape", [(16, 16), (18, 14), (22, 26)])
def test_without_noise_coil_images_are_maps_times_image(shape: tuple[int, int], generator: torch.Generator) -> None:
    image = torch.rand(shape, generator=generator)
    receiver = _silent(draw_receiver(generator, 4))
    images = _images(simulate_scan(image, receiver, generator, 0.3)[0])
    top = shape[0] // 2
    middle = images[:, top : top + shape[0]] / receiver.scale
    torch.testing.assert_close(middle.abs(), receiver.maps(shape, 0.3).abs() * image)
    phase = middle / (receiver.maps(shape, 0.3) * image)
    torch.testing.assert_close(phase, phase[:1].expand_as(phase), rtol=0, atol=1e-3)  # one phase for all coils
    outside = torch.cat([images[:, :top], images[:, top + shape[0] :]], dim=1)
    assert float(outside.abs().max()) < 1e-5 * float(middle.abs().max() * receiver.scale)


def test_phase_is_smooth_and_not_flat(generator: torch.Generator) -> None:
    receiver = _silent(draw_receiver(generator, 1))
    images = _images(simulate_scan(torch.ones(64, 64), receiver, generator)[0])[:, 32:96]
    phase = (images / receiver.maps((64, 64)))[0]
    steps = torch.angle(phase[1:] * phase[:-1].conj())
    assert float(steps.abs().max()) < 0.3
    assert float(steps.std()) > 1e-3


def test_noise_has_the_stated_level_and_correlation(generator: torch.Generator) -> None:
    receiver = draw_receiver(generator, 6)
    kspace, _ = simulate_scan(torch.zeros(128, 128), receiver, generator)
    samples = kspace.flatten(1) / receiver.scale
    found = samples @ samples.conj().T / samples.shape[1] / 2
    expected = receiver.mixing @ receiver.mixing.conj().T
    torch.testing.assert_close(found, expected, rtol=0, atol=0.03 * receiver.sigma**2)
    assert float(found.diagonal().real.mean()) == pytest.approx(receiver.sigma**2, rel=0.02)
    assert receiver.sigma == pytest.approx(1 / 80, rel=1.2)  # 1/40 to 1/160, and some between the coils
    assert receiver.sigma > 1 / 200
    levels = noise_level(kspace[:, None], torch.ones(128, dtype=torch.bool)) / 2**0.5 / receiver.scale
    torch.testing.assert_close(levels, expected.diagonal().real.sqrt(), rtol=0.03, atol=0)
    correlation = expected / torch.outer(*[expected.diagonal().real.sqrt()] * 2)
    others = correlation.abs()[~torch.eye(6, dtype=torch.bool)]
    assert 0.02 < float(others.mean()) < 0.25


def test_the_field_on_a_coils_axis_is_that_of_a_loop(generator: torch.Generator) -> None:
    drawn = draw_receiver(generator, 1)
    coil = replace(drawn, places=torch.tensor([[1.0, 0.0, 0.0]]), normals=torch.tensor([[-1.0, 0.0, 0.0]]), shading=1.0)
    line = coil.maps((65, 65))[0, 32].abs()
    x = (torch.arange(65) - 32) * 2 / 65
    expected = ((1 - x) ** 2 + coil.radius**2) ** -1.5
    torch.testing.assert_close(line / line[32], expected / expected[32])


def test_the_field_beside_a_coils_axis_has_no_source(generator: torch.Generator) -> None:
    drawn = draw_receiver(generator, 1)
    coil = replace(drawn, places=torch.tensor([[1.0, 0.0, 0.0]]), normals=torch.tensor([[-1.0, 0.0, 0.0]]))
    maps = coil.maps((1001, 65))[0]
    x, y = (torch.arange(65).double() - 32) * 2 / 65, 2 / 1001
    on_axis = -(((1 - x) ** 2 + coil.radius**2) ** -1.5)
    change = -3 * (1 - x) * ((1 - x) ** 2 + coil.radius**2) ** -2.5
    beside = -y / 2 * change  # By near the axis: the divergence is zero, and all directions across the axis are alike
    ratio = maps[501] / maps[500]
    torch.testing.assert_close(ratio.imag.double(), -beside / on_axis, rtol=1e-2, atol=1e-6)


def test_turned_coils_see_a_turned_image(generator: torch.Generator) -> None:
    receiver = draw_receiver(generator, 7)
    maps, turned = (one.maps((65, 65), 0.2) for one in (receiver, _turned(receiver)))
    torch.testing.assert_close(turned, -1j * torch.rot90(maps, -1, dims=(1, 2)))
    assert not torch.allclose(maps.abs(), turned.abs(), rtol=0.05)


def test_shading_runs_from_none_to_that_of_the_loops(generator: torch.Generator) -> None:
    receiver = draw_receiver(generator, 9)
    y = (torch.arange(48) - 24) / 24
    disc = (y**2)[:, None] + y**2 < 0.49
    spread = []
    for shading in (0.0, 0.5, 1.0):
        rss = torch.linalg.vector_norm(replace(receiver, shading=shading).maps((48, 48)), dim=0)
        assert float(rss[disc].mean()) == pytest.approx(1, rel=1e-5)
        spread.append(float(rss.log().std()))
    assert spread[0] < 1e-5
    assert spread[1] == pytest.approx(spread[2] / 2, rel=1e-3)


def test_coils_see_different_parts_of_the_head(generator: torch.Generator) -> None:
    for _ in range(5):
        maps = draw_receiver(generator, 12).maps((40, 40)).flatten(1)
        energy = torch.linalg.eigvalsh(maps @ maps.conj().T)
        assert float(energy[-3] / energy[-1]) > 0.02  # at least three independent views, and not twelve equal ones
        assert float(energy[0] / energy[-1]) < 0.1


def test_a_seed_gives_one_scanner_and_another_seed_another() -> None:
    first, again, other = (draw_receiver(torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
    assert torch.equal(first.maps((8, 8)), again.maps((8, 8)))
    assert torch.equal(first.phase, again.phase)
    assert first.scale == again.scale != other.scale
    assert {len(draw_receiver(torch.Generator().manual_seed(k)).gains) for k in range(60)} == set(range(8, 17))
    assert len(draw_receiver(torch.Generator().manual_seed(1), 3).gains) == 3


@pytest.mark.parametrize(
    "image", [torch.ones(4, 4, 4), torch.ones(4, 4, dtype=torch.complex64), torch.ones(5, 4), torch.ones(4, 7)]
)
def test_what_is_no_image_of_even_sizes_is_refused(image: Tensor, generator: torch.Generator) -> None:
    with pytest.raises(ValueError, match=r"simulate_scan takes a real image .* of even sizes, got"):
        simulate_scan(image, draw_receiver(generator, 2), generator)
