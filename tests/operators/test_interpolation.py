import pytest
import torch

from medrecon.operators import Fourier, Interpolation
from medrecon.spaces import image_space


def padded(x: torch.Tensor, m: int) -> torch.Tensor:
    """The image of k-space of `n x n` that is padded with zeros to `m x m`, or cropped, its center at `m // 2`."""
    n = x.shape[-1]
    kspace = Fourier(image_space((n, n)))(x)
    wide = torch.zeros(m, m, dtype=x.dtype)
    few = min(n, m)
    here, there = slice(n // 2 - few // 2, n // 2 - few // 2 + few), slice(m // 2 - few // 2, m // 2 - few // 2 + few)
    wide[there, there] = kspace[here, here]
    return Fourier(image_space((m, m))).H(wide) * (m / n)


@pytest.mark.parametrize(("n", "m"), [(6, 8), (6, 9), (7, 12), (5, 5), (8, 6), (9, 7), (9, 4)])
def test_zero_filled_or_cropped_kspace_gives_the_same(n: int, m: int, generator: torch.Generator) -> None:
    space = image_space((n, n))
    x = space.random(generator=generator, dtype=torch.float64)
    torch.testing.assert_close(Interpolation(space, (m, m), (n / m, n / m))(x), padded(x, m))


def test_the_middle_is_that_of_the_whole(generator: torch.Generator) -> None:
    space = image_space((6, 6))
    x = space.random(generator=generator, dtype=torch.float64)
    torch.testing.assert_close(Interpolation(space, (4, 5), (0.5, 0.5))(x), padded(x, 12)[4:8, 4:9])


@pytest.mark.parametrize(("shape", "step"), [((9, 4), (1.0, 1.0)), ((0, 4), (1.0, 1.0)), ((6, 6), (1.0, -1.0))])
def test_points_beyond_the_image_are_refused(shape: tuple[int, int], step: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match="Interpolation takes points within"):
        Interpolation(image_space((6, 6)), shape, step)
