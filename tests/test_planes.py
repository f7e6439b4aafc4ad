"""Where images lie: by a scanner's prescription, whatever is cropped, and where nothing is stated."""

from dataclasses import replace

import numpy as np
import pytest

from medrecon.affine import Affine
from medrecon.planes import ImagePlanes, Prescription, SlicePose, assumed_planes
from tests.test_affine import R

POSE = SlicePose(position=(10.0, -20.0, 30.0), read=R[1], phase=R[0], normal=tuple(-part for part in R[2]))
SHAPE, PIXEL = (3, 4), (2.0, 1.5)  # (y, x)


def stack(count: int, gap: float = 5.0) -> Prescription:
    places = (np.array(POSE.position) + k * gap * np.array(POSE.normal) for k in range(count))
    return Prescription(tuple(replace(POSE, position=tuple(place.tolist())) for place in places), 4.0)


def test_the_middle_of_a_slice_is_pixel_n_over_2_of_any_crop():
    for shape in ((3, 4), (2, 3), (6, 7)):
        planes = stack(2).planes(range(2), shape=shape, pixel=PIXEL)
        np.testing.assert_allclose(planes.affines[0](shape[1] // 2, shape[0] // 2, 0), POSE.position, atol=1e-9)
        np.testing.assert_allclose(planes.affines[1].spacing, (1.5, 2.0, 4.0), atol=1e-6)
    assert "not verified" in planes.notes[0]


def test_of_siemens_a_reversed_image_lies_where_the_forward_transform_puts_it():
    """The inverse transform of their k-space is the image reversed about n // 2: every point must lie where it lay."""
    rng = np.random.default_rng(3)
    image = rng.normal(size=SHAPE) + 1j * rng.normal(size=SHAPE)
    shift = np.fft.fftshift
    kspace = shift(np.fft.ifft2(np.fft.ifftshift(image)))  # of which the forward transform is the image
    ours = shift(np.fft.ifft2(np.fft.ifftshift(kspace))) * image.size
    forward = stack(1).planes(range(1), shape=SHAPE, pixel=PIXEL).affines[0]
    siemens = replace(stack(1), vendor="SIEMENS Healthineers").planes(range(1), shape=SHAPE, pixel=PIXEL)
    assert siemens.notes == ()
    for y in range(SHAPE[0]):
        for x in range(1, SHAPE[1]):  # pixel 0 of an even size wraps
            reversed_y, reversed_x = (2 * (SHAPE[0] // 2) - y) % SHAPE[0], (2 * (SHAPE[1] // 2) - x) % SHAPE[1]
            assert ours[reversed_y, reversed_x] == pytest.approx(image[y, x])
            np.testing.assert_allclose(
                siemens.affines[0](2 * (SHAPE[1] // 2) - x, 2 * (SHAPE[0] // 2) - y, 0), forward(x, y, 0), atol=1e-9
            )


def test_slices_make_a_volume_whose_step_is_the_distance_of_their_positions():
    volume = stack(3).planes(range(3), shape=SHAPE, pixel=PIXEL).volume()
    np.testing.assert_allclose(volume.z, 5 * np.array(POSE.normal), atol=1e-6)
    some = stack(6).planes(range(2, 6), shape=SHAPE, pixel=PIXEL)
    np.testing.assert_allclose(some.volume()(2, 1, 0), np.array(POSE.position) + 10 * np.array(POSE.normal), atol=1e-6)


def test_slices_unevenly_spaced_or_not_parallel_make_none():
    planes = stack(4).planes(range(4), shape=SHAPE, pixel=PIXEL)
    with pytest.raises(ValueError, match="lie 5 to 10 mm apart"):
        ImagePlanes((*planes.affines[:2], planes.affines[3])).volume()
    with pytest.raises(ValueError, match="lie 0 to 0 mm apart"):
        ImagePlanes(planes.affines[:1] * 2).volume()
    with pytest.raises(ValueError, match="not parallel"):
        ImagePlanes((planes.affines[0], planes.affines[1].transposed((1, 0, 2)))).volume()


@pytest.mark.parametrize("vendor", ["", "siemens"])
def test_the_partitions_of_a_slab_lie_about_its_middle(vendor):
    slab = Prescription((POSE,), vendor=vendor).slab(6, 1.25)
    places = np.array([pose.position for pose in slab.slices])
    np.testing.assert_allclose(places[3], POSE.position)
    step = (-1.25 if vendor else 1.25) * np.array(POSE.normal)
    np.testing.assert_allclose(np.diff(places, axis=0), np.tile(step, (5, 1)), atol=1e-9)


def test_where_nothing_is_stated_it_is_said():
    planes = assumed_planes(range(1, 3), 4, first=(-8, -8), pixel=(0.5, 0.5), distance=5.0)
    assert planes.volume() == Affine((0.5, 0, 0), (0, 0.5, 0), (0, 0, 5.0), (-4.0, -4.0, -5.0))
    assert len(planes.notes) == 1
    assert "state no position" in planes.notes[0]
    unknown = assumed_planes(range(1), 1, first=(0, 0), pixel=None, distance=None)
    assert "pixels 1 mm and slices 1 mm apart are taken" in unknown.notes[1]
