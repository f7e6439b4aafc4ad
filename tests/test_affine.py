"""The geometry of images: the worked example in numbers, and what crops, flips and swaps of arrays do to it."""

import itertools

import numpy as np
import pytest

from medrecon.affine import IDENTITY, Affine

R = ((0.8660254, 0.5, 0.0), (-0.4698463, 0.8137977, 0.3420201), (0.1710101, -0.2961981, 0.9396926))  # Rz(30) Rx(20)
POSITION, SPACING, SHAPE = (10.0, -20.0, 30.0), (1.5, 2.0, 5.0), (4, 3, 2)


def example() -> Affine:
    return Affine.centered(POSITION, R, spacing=SPACING, shape=SHAPE)


def world(affine: Affine, values: np.ndarray) -> dict[float, np.ndarray]:
    """Of an array `(z, y, x)` of distinct values, where each lies."""
    return {
        values[z, y, x]: np.array(affine(x, y, z)) for z, y, x in itertools.product(*(range(n) for n in values.shape))
    }


def agree(one: dict, other: dict, within: float = 1e-9) -> bool:
    return all(np.abs(place - one[value]).max() < within for value, place in other.items())


def test_the_worked_example_in_numbers():
    affine = example()
    expected = [
        [1.29904, -0.93969, 0.85505, 7.48657],
        [0.75000, 1.62760, -1.48099, -21.64660],
        [0.0, 0.68404, 4.69846, 24.61750],
    ]
    np.testing.assert_allclose(affine.matrix[:3], expected, atol=1e-5)
    np.testing.assert_allclose(affine.ras[:2], -affine.matrix[:2])
    np.testing.assert_allclose(affine.ras[2:], affine.matrix[2:])
    np.testing.assert_allclose(affine(2, 1, 1), POSITION, atol=1e-9)
    np.testing.assert_allclose(affine(3, 2, 1), (10.35935, -17.62240, 30.68404), atol=1e-5)
    np.testing.assert_allclose(affine.spacing, SPACING, atol=1e-6)
    np.testing.assert_allclose(affine.directions, R, atol=1e-6)
    np.testing.assert_allclose(affine.normal, R[2], atol=1e-6)
    np.testing.assert_allclose(affine.index_of((10.35935, -17.62240, 30.68404)), (3, 2, 1), atol=1e-4)
    np.testing.assert_allclose(Affine.of_ras(affine.ras).matrix, affine.matrix)
    assert Affine.of(affine.matrix) == affine


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_flipped_array_lies_where_it_lay(axis):
    values = np.arange(24.0).reshape(2, 3, 4)
    flipped = example().flipped(axis, SHAPE[axis])
    assert agree(world(example(), values), world(flipped, np.flip(values, 2 - axis)))
    again = flipped.flipped(axis, SHAPE[axis])
    np.testing.assert_allclose(again.matrix, example().matrix, atol=1e-12)


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_a_transposed_array_lies_where_it_lay(order):
    values = np.arange(24.0).reshape(2, 3, 4)
    swapped = values.transpose(2, 1, 0).transpose(order).transpose(2, 1, 0)
    assert agree(world(example(), values), world(example().transposed(order), swapped))


@pytest.mark.parametrize("after", [(2, 2, 1), (3, 3, 2), (1, 2, 2), (5, 4, 3), (7, 6, 2)])
def test_a_crop_keeps_the_center_for_odd_and_even_sizes(after):
    affine = example().centered_crop(SHAPE, after)
    np.testing.assert_allclose(affine(*(n // 2 for n in after)), POSITION, atol=1e-9)
    np.testing.assert_allclose(
        affine.matrix, Affine.centered(POSITION, R, spacing=SPACING, shape=after).matrix, atol=1e-6
    )
    np.testing.assert_allclose(affine.centered_crop(after, SHAPE).matrix, example().matrix, atol=1e-9)


@pytest.mark.parametrize(("n", "m"), [(4, 8), (4, 7), (3, 8), (5, 4), (6, 9)])
def test_interpolation_keeps_the_center_and_the_field(n, m):
    """The Fourier transform of a point at n // 2 + k, padded to m, has its peak at m // 2 + k m / n."""
    affine = Affine.centered(POSITION, R, spacing=SPACING, shape=(n, 3, 1))
    finer = affine.interpolated((n, 3, 1), (m, 3, 1))
    np.testing.assert_allclose(finer(m // 2, 1, 0), affine(n // 2, 1, 0), atol=1e-9)
    assert finer.spacing[0] * m == pytest.approx(affine.spacing[0] * n)
    np.testing.assert_allclose(finer(m // 2 + m / n, 1, 0), affine(n // 2 + 1, 1, 0), atol=1e-9)


def test_a_left_handed_system_is_kept():
    mirrored = (R[0], R[1], tuple(-part for part in R[2]))
    affine = Affine.centered(POSITION, mirrored, spacing=SPACING, shape=SHAPE)
    assert np.linalg.det(affine.matrix) < 0
    np.testing.assert_allclose(affine.directions, mirrored, atol=1e-6)
    np.testing.assert_allclose(affine.normal, R[2], atol=1e-6)


@pytest.mark.parametrize(
    ("directions", "spacing", "match"),
    [
        ((R[0], R[1], R[0]), SPACING, "span space"),
        (((0.0, 0.0, 0.0), R[1], R[2]), SPACING, "length 1"),
        (((float("nan"), 0.0, 0.0), R[1], R[2]), SPACING, "length 1"),
        (R, (1.5, 0.0, 5.0), "span space"),
        (R, (1.5, float("inf"), 5.0), "up to 1e"),
    ],
)
def test_what_is_no_geometry_is_refused(directions, spacing, match):
    with pytest.raises(ValueError, match=match):
        Affine.centered(POSITION, directions, spacing=spacing, shape=SHAPE)


def test_the_identity():
    affine = Affine.centered((0.0, 0.0, 0.0), IDENTITY, spacing=(1.0, 1.0, 1.0), shape=(4, 4, 1))
    assert affine.origin == (-2.0, -2.0, 0.0)
    with pytest.raises(ValueError, match="order"):
        affine.transposed((0, 0, 1))
