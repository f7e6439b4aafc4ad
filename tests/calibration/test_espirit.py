import importlib
import math

import pytest
import torch
from torch import Tensor

from medrecon.calibration import HardCrop, SoftCrop, eigenvectors, espirit
from tests.calibration.conftest import birdcage_maps, fourier

module = importlib.import_module("medrecon.calibration.espirit")


def distance(a: Tensor, b: Tensor) -> Tensor:
    """Per pixel, the distance of two vectors of coils up to a phase."""
    inner = (a.conj() * b).sum(-3, keepdim=True)
    return torch.linalg.vector_norm(a * torch.sgn(inner) - b, dim=-3)


def inside(maps: Tensor) -> Tensor:
    return maps.abs().sum(-3) > 0


@pytest.mark.parametrize(("ny", "nx", "noise"), [(96, 80, 0.0), (81, 95, 0.01), (128, 128, 0.02)])
def test_finds_the_maps_that_made_the_data(scan, ny, nx, noise):
    kspace, truth, body = scan(6, ny, nx, noise)
    maps = espirit(kspace)
    assert inside(maps)[body].float().mean() > 0.99
    error = distance(maps, truth)[body & inside(maps)]
    assert error.quantile(0.99) < 2e-2
    assert (maps.abs() - truth.abs()).abs().amax(0)[body & inside(maps)].quantile(0.99) < 1e-2


@pytest.mark.parametrize(("coils", "ny", "nx", "noise"), [(8, 128, 128, 0.0), (5, 81, 95, 0.02), (16, 64, 100, 0.01)])
def test_agrees_with_sigpy(scan, coils, ny, nx, noise):
    app = pytest.importorskip("sigpy.mri.app")
    kspace, _, _ = scan(coils, ny, nx, noise)
    maps = espirit(kspace)
    theirs = torch.from_numpy(app.EspiritCalib(kspace.numpy(), show_pbar=False).run())
    both = inside(maps) & inside(theirs)
    assert both.float().mean() > 0.3
    assert (inside(maps) != inside(theirs)).float().mean() < 1e-3
    assert distance(maps, theirs)[both].max() < 1e-2


def test_leads_to_a_fixed_vector_of_the_operator_evaluated_by_its_definition(scan):
    kspace, _, body = scan(4, 40, 36)
    kernels = module._signal_kernels(kspace[:, 8:32, 6:30], 5, 0.02, 0.0)
    padded = torch.zeros(len(kernels), 4, 40, 36, dtype=torch.complex64)
    padded[..., :5, :5] = kernels
    images = torch.fft.ifft2(padded, norm="forward").roll((20, 18), (-2, -1))
    operator = torch.einsum("vayx,vbyx->yxab", images, images.conj()) / 25
    values, vectors = torch.linalg.eigh(operator)
    maps = espirit(kspace, kernel=5, crop=HardCrop(-1.0))
    clear = body & (values[..., -1] - values[..., -2] > 0.1)
    assert clear.float().mean() > 0.2
    assert distance(maps, vectors[..., -1].movedim(-1, 0))[clear].max() < 1e-3


def test_maps_have_unit_length_and_a_real_positive_principal_coil(scan):
    kspace, _, _ = scan(noise=0.01)
    maps = espirit(kspace)
    kept = inside(maps)
    assert torch.allclose(torch.linalg.vector_norm(maps, dim=0)[kept], torch.ones(()), atol=1e-5)
    block = kspace[:, 36:60, 28:52].flatten(1)
    principal = torch.linalg.eigh(block @ block.mH).eigenvectors[:, -1]
    virtual = torch.einsum("c,cyx->yx", principal.conj(), maps)[kept]
    virtual = virtual / torch.sgn(virtual[0])
    assert virtual.imag.abs().max() < 1e-4
    assert virtual.real.min() >= 0


def test_hard_crop_keeps_or_drops_and_soft_crop_fades(scan):
    kspace, _, _ = scan()
    hard, soft = espirit(kspace, crop=HardCrop(0.9)), espirit(kspace, crop=SoftCrop(0.9))
    length = torch.linalg.vector_norm(soft, dim=0)
    assert ((length > 0.05) & (length < 0.95)).any()
    assert torch.allclose(length * hard, soft * inside(hard), atol=1e-5)
    assert (length[inside(hard)] > 0.499).all()
    assert (length[~inside(hard)] < 0.501).all()


def test_soft_crop_is_zero_a_half_and_one():
    weights = SoftCrop(0.8)(torch.tensor([0.0, 0.6, 0.8, 1.0, 1.1]))
    assert torch.allclose(weights, torch.tensor([0.0, 0.0, 0.5, 1.0, 1.0]), atol=1e-6)


def test_batch_equals_loop(scan):
    slices = torch.stack([scan(5, 64, 60, 0.01, seed)[0] * scale for seed, scale in ((0, 1.0), (1, 1e3), (2, 1e-3))])
    batch = espirit(slices[:, None])
    assert batch.shape == (3, 1, 5, 64, 60)
    for one, maps in zip(slices, batch[:, 0], strict=True):
        assert torch.allclose(espirit(one), maps, atol=1e-5)


@pytest.mark.parametrize("scale", [1e-6, 1e6])
def test_scale_does_not_matter(scan, scale):
    kspace, _, _ = scan(noise=0.01)
    assert torch.allclose(espirit(kspace * scale), espirit(kspace), atol=1e-4)


def test_swapping_the_axes_swaps_the_maps(scan):
    kspace, _, body = scan()
    swapped = espirit(kspace.mT.contiguous()).mT
    assert distance(espirit(kspace), swapped)[body].quantile(0.99) < 1e-2


def test_double_precision_agrees_with_single(scan):
    kspace, _, body = scan()
    double = espirit(kspace.to(torch.complex128))
    assert double.dtype == torch.complex128
    assert (double - espirit(kspace)).abs().amax(0)[body].quantile(0.99) < 1e-3


def test_fewer_lines_on_one_axis(scan):
    kspace, truth, body = scan()
    maps = espirit(kspace, calibration=(24, 14))
    assert distance(maps, truth)[body & inside(maps)].quantile(0.95) < 4e-2
    assert inside(maps)[body].float().mean() > 0.95
    far = kspace.clone()
    far[..., :33], far[..., 47:] = 0, 0
    assert torch.equal(espirit(far, calibration=(24, 14)), maps)


def test_knowing_the_noise_helps_where_there_is_much(scan):
    kspace, truth, body = scan(4, 96, 80, 0.5)
    told, untold = espirit(kspace, noise=0.5), espirit(kspace)
    errors = [distance(maps, truth)[body].mean() for maps in (told, untold)]
    assert errors[0] < 0.75 * errors[1]


def test_one_coil_has_a_map_of_ones(scan):
    maps = espirit(scan(1)[0])
    assert torch.allclose(maps[inside(maps)[None]], torch.ones((), dtype=maps.dtype), atol=1e-5)
    assert inside(maps).any()


@pytest.mark.parametrize("noise", [0.0, 0.05])
def test_many_coils_have_the_maps_that_all_power_iterations_give(scan, noise, monkeypatch):
    kspace, _, body = scan(40, 64, 60, noise)
    fast = espirit(kspace, noise=noise, crop=SoftCrop(0.5))
    sizes = []
    plain = eigenvectors.leading_eigenpair

    def counted(matrices):
        sizes.append(matrices.shape[-1])
        return plain(matrices)

    monkeypatch.setattr(eigenvectors, "leading_eigenpair", counted)
    espirit(kspace, noise=noise)
    assert eigenvectors._FEW in sizes
    monkeypatch.setattr(eigenvectors, "_MANY", 40)
    apart = distance(fast, espirit(kspace, noise=noise, crop=SoftCrop(0.5)))[body]
    assert apart.quantile(0.99) < 1e-3
    assert apart.max() < 1e-2


def test_an_empty_slice_has_empty_maps(scan):
    kspace = torch.stack([scan()[0], torch.zeros(6, 96, 80, dtype=torch.complex64)])
    maps = espirit(kspace)
    assert not maps[1].any()
    assert torch.isfinite(torch.view_as_real(maps)).all()


def test_nothing_but_noise_gives_finite_maps():
    noise = torch.randn(4, 48, 40, dtype=torch.complex64, generator=torch.Generator().manual_seed(0))
    for level in (0.0, 1.0, 10.0):
        assert torch.isfinite(torch.view_as_real(espirit(noise, noise=level))).all()


def test_a_dead_coil_stays_dead(scan):
    kspace = scan()[0].clone()
    kspace[2] = 0
    maps = espirit(kspace)
    assert maps[2].abs().max() < 1e-5
    assert torch.allclose(torch.linalg.vector_norm(maps, dim=0)[inside(maps)], torch.ones(()), atol=1e-5)


def test_pixels_where_two_maps_cross_are_solved_one_by_one(monkeypatch):
    y, x = torch.meshgrid(torch.linspace(-1, 1, 129)[:-1], torch.linspace(-1, 1, 129)[:-1], indexing="ij")
    disk = (x / 0.8) ** 2 + (y / 0.98) ** 2 < 1  # reaches both edges of the field of view, where the maps jump
    wrapped = fourier(birdcage_maps(6, 128, 128) * disk).to(torch.complex64)
    refined = espirit(wrapped)
    monkeypatch.setattr(module, "_STRETCH", math.inf)
    interpolated = espirit(wrapped)
    monkeypatch.setattr(module, "_NODES_PER_TAP", 1000)  # every pixel is a node
    exact = espirit(wrapped)
    both = inside(refined) & inside(interpolated) & inside(exact)
    assert distance(refined, exact)[both].max() < 1e-2
    assert distance(interpolated, exact)[both].max() > 5e-2


@pytest.mark.parametrize(
    ("kspace", "options", "words"),
    [
        (
            torch.zeros(4, 32, 32),
            {},
            r"takes complex k-space \(\.\.\., coil, ky, kx\), got torch.float32 \(4, 32, 32\)",
        ),
        (torch.zeros(32, 32, dtype=torch.complex64), {}, r"got torch.complex64 \(32, 32\)"),
        (torch.ones(4, 32, 32, dtype=torch.complex64), {"calibration": (24, 4)}, "24 x 4 .* kernel=6.*low_resolution"),
        (torch.ones(4, 32, 32, dtype=torch.complex64), {"threshold": 2.0}, "threshold between 0 and 1, got 2.0"),
        (torch.full((4, 32, 32), torch.nan, dtype=torch.complex64), {}, "finite k-space, got NaN or infinity"),
    ],
)
def test_refuses_in_words(kspace, options, words):
    with pytest.raises(ValueError, match=words):
        espirit(kspace, **options)
