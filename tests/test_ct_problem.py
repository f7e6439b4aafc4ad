"""CT samples become problems: thinned, of lower dose, in batches."""

from dataclasses import replace

import pytest
import torch

from medrecon.data.ct.attenuation import AttenuationUnit
from medrecon.data.ct.projections import phantom_image
from medrecon.data.ct.sinograms import SinogramSample
from medrecon.errors import InputError
from medrecon.figures import gray_window
from medrecon.geometry import Arc
from medrecon.operators import Radon
from medrecon.problem import add_dose_noise, ct_problem, subsample_views
from tests.sinogram_files import GEOMETRY, GRID, PHANTOM, sinograms


def sample(index: int = 0) -> SinogramSample:
    image = (1 + index / 4) * phantom_image(PHANTOM, GRID)
    return SinogramSample(
        sinograms(slices=index + 1)[index], GEOMETRY, GRID, image, AttenuationUnit.PER_MM, None, "s.h5", index
    )


@pytest.mark.parametrize("count", [1, 7, 20, 37, 60])
def test_views_are_kept_evenly_with_their_angles(count: int) -> None:
    whole, kept = sample(), subsample_views(sample(), count)
    assert kept.geometry.shape == (count, 64)
    angles = list(whole.geometry.angles)
    places = [min(range(60), key=lambda k: abs(angles[k] - angle)) for angle in kept.geometry.angles]
    assert len(set(places)) == count
    assert max(b - a for a, b in zip([*places], [*places[1:], 60], strict=True)) <= -(-60 // count)
    for place, row, angle in zip(places, kept.sinogram, kept.geometry.angles, strict=True):
        assert torch.equal(row, whole.sinogram[place])
        assert angle == pytest.approx(angles[place])
    if 60 % count == 0:
        assert isinstance(kept.geometry.angles, Arc)


def test_views_that_are_not_there() -> None:
    for count in (0, 61):
        with pytest.raises(InputError, match=f"s.h5: has 60 views, and {count} are to be kept; take 1 to 60"):
            subsample_views(sample(), count)


def test_doses_add_up_as_variances_do() -> None:
    generator = torch.Generator().manual_seed(1)
    first = add_dose_noise(sample(), 3000.0, generator)
    both = add_dose_noise(first, 6000.0, generator)
    assert (first.photons, both.photons) == (3000, pytest.approx(2000))
    air = sample().sinogram == 0
    assert float(both.sinogram[air].std()) == pytest.approx(2000**-0.5, rel=0.1)
    assert torch.equal(add_dose_noise(sample(), 3000.0, torch.Generator().manual_seed(1)).sinogram, first.sinogram)


def test_a_batch_of_samples_is_one_problem() -> None:
    problem = ct_problem([sample(k) for k in range(3)])
    assert isinstance(problem.A, Radon)
    assert (tuple(problem.y.shape), problem.shape) == ((3, 60, 64), (40, 48))
    assert problem.target is not None
    assert float((problem.A(problem.target) - problem.y).norm() / problem.y.norm()) < 0.02
    picture = problem.display_image(-problem.target)
    torch.testing.assert_close(picture, -problem.target)  # real images keep their sign


def test_samples_that_differ_make_no_problem() -> None:
    one = sample()
    for other in (subsample_views(one, 30), replace(one, target=None)):
        with pytest.raises(ValueError, match="takes samples of one geometry and grid"):
            ct_problem([one, other])
    with pytest.raises(ValueError, match="got 0"):
        ct_problem([])
    assert ct_problem([replace(one, target=None)]).target is None


def test_a_problem_prints_as_facts() -> None:
    assert repr(ct_problem([sample(), sample()])) == (
        "Problem(y (2, angle=60, detector=64) real = A x, x (..., y=40, x=48) real, on cpu, shown 40 x 48, target)"
    )


def test_a_figure_of_a_batch_shows_one_image_beside_its_target() -> None:
    problem = ct_problem([sample(0), sample(1)])
    assert problem.target is not None
    figure = problem.show(problem.target, index=1)
    target, image, difference = (axes.images[0] for axes in figure.axes if axes.get_title(loc="left"))
    assert torch.equal(torch.as_tensor(image.get_array()), problem.target[1])
    assert image.get_clim() == target.get_clim() == gray_window(problem.target[1])
    assert not torch.as_tensor(difference.get_array()).any()
    narrow = problem.show(problem.target[1], index=1, window=(0.01, 0.03))
    assert [axes.images[0].get_clim() for axes in narrow.axes[:4:2]] == [(0.01, 0.03)] * 2
