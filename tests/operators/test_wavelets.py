"""The wavelet transform against PyWavelets'."""

import numpy as np
import pytest
import pywt
import torch

from medrecon.operators import Wavelet
from medrecon.spaces import Space, image_space


def band(coefficients: np.ndarray, level: int, high: tuple[int, ...]) -> np.ndarray:
    """The coefficients of a level, low (0) or high (1) along each axis, where they stand in ours."""
    corner = []
    for size, half in zip(coefficients.shape, high, strict=True):
        n = size >> level
        corner.append(slice(half * n, (half + 1) * n))
    return coefficients[tuple(corner)]


@pytest.mark.filterwarnings("ignore:Level value of")
@pytest.mark.parametrize("wavelet", ["haar", "db2", "db4", "sym4", "coif1", "db10"])
@pytest.mark.parametrize(("shape", "levels"), [((16, 24), 1), ((32, 16), 3), ((72, 144), 2)])
def test_is_pywavelets_up_to_a_shift(
    wavelet: str, shape: tuple[int, int], levels: int, generator: torch.Generator
) -> None:
    """PyWavelets' filters start `taps / 2 - 1` samples earlier at each level, which is a shift of the image."""
    W = Wavelet(Space(("y", "x"), shape, is_complex=False), wavelet, levels)
    x = W.domain.random(generator=generator, dtype=torch.float64)
    coarse, *details = pywt.wavedec2(x.numpy(), wavelet, mode="periodization", level=levels)
    early = pywt.Wavelet(wavelet).dec_len // 2 - 1
    for level, (y_detail, x_detail, both) in zip(range(levels, 0, -1), details, strict=True):
        shift = (2**level - 1) * early
        ours = W(torch.roll(x, (shift, shift), (0, 1))).numpy()
        for high, theirs in (((1, 0), y_detail), ((0, 1), x_detail), ((1, 1), both)):
            np.testing.assert_allclose(band(ours, level, high), theirs, rtol=0, atol=1e-10)
        if level == levels:
            np.testing.assert_allclose(band(ours, level, (0, 0)), coarse, rtol=0, atol=1e-10)


@pytest.mark.parametrize("wavelet", ["haar", "db4", "sym4", "db10", "coif2"])
@pytest.mark.parametrize(("shape", "levels"), [((32, 48), 4), ((80, 144), 2), ((8, 16, 8), 3)])
def test_energy_is_kept_and_the_adjoint_inverts(
    wavelet: str, shape: tuple[int, ...], levels: int, generator: torch.Generator
) -> None:
    W = Wavelet(image_space(shape), wavelet, levels)
    x = W.domain.random((2,), generator=generator, dtype=torch.float64)
    torch.testing.assert_close(W.range.norm(W(x)), W.domain.norm(x), rtol=1e-9, atol=0)
    torch.testing.assert_close(W.H(W(x)), x, rtol=0, atol=1e-8)
    torch.testing.assert_close(W(W.H(x)), x, rtol=0, atol=1e-8)


def test_a_constant_is_in_the_coarse_corner() -> None:
    W = Wavelet(image_space((16, 32)), "db4", 2)
    coefficients = W(torch.ones(16, 32, dtype=torch.complex128))
    torch.testing.assert_close(coefficients[:4, :8], torch.full((4, 8), 4.0 + 0j, dtype=torch.complex128))
    coefficients[:4, :8] = 0
    assert float(coefficients.abs().max()) < 1e-9


def test_vanishing_moments_away_from_the_edges() -> None:
    W = Wavelet(Space(("x",), (128,), is_complex=False), "db4", 1)
    cubic = torch.linspace(-1, 1, 128, dtype=torch.float64) ** 3
    details = W(cubic)[64:]
    assert float(details[:-4].abs().max()) < 1e-9
    assert float(details[-4:].abs().max()) > 1e-2


@pytest.mark.parametrize("wavelet", ["bior2.2", "dmey", "morlet", "DB4"])
def test_refuses_what_is_not_orthogonal(wavelet: str) -> None:
    with pytest.raises(ValueError, match=f"Wavelet takes an orthogonal wavelet such as haar.*got '{wavelet}'"):
        Wavelet(image_space((16, 16)), wavelet, 1)


@pytest.mark.parametrize(("shape", "levels"), [((16, 12), 3), ((15, 16), 1), ((16, 16), 0)])
def test_refuses_sizes_that_do_not_divide(shape: tuple[int, ...], levels: int) -> None:
    with pytest.raises(ValueError, match=f"Wavelet of {levels} levels takes sizes divisible by {2**levels}"):
        Wavelet(image_space(shape), "haar", levels)
