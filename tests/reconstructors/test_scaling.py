"""A uniform block of ones comes back as ones, whatever the sizes of pixels, bins and fans: the cases of ASTRA's own test."""

from __future__ import annotations

import itertools

import pytest
import torch

from medrecon.geometry import Arc, FanBeam, Geometry, Grid, ParallelBeam
from medrecon.operators import Radon
from medrecon.reconstructor import Reconstructor
from medrecon.reconstructors.filtered_backprojection import FilteredBackprojection
from medrecon.reconstructors.sirt import Sirt
from medrecon.reconstructors.tikhonov import Tikhonov

TOLERANCE = 0.01  # ASTRA's is 5 %
SPACINGS = (0.8, 1.0, 1.25)
PARALLEL = [ParallelBeam(Arc.half_turn(180), 256, spacing) for spacing in SPACINGS]
FANS = [
    FanBeam(Arc.full_turn(180), 256, *each)
    for each in itertools.product(SPACINGS, (500.0, 1000.0), (0.0, 250.0, 500.0))
]


def name(value: object) -> str:
    match value:
        case ParallelBeam():
            return f"parallel {value.spacing}"
        case FanBeam():
            return f"fan {value.spacing} {value.source_distance:g} {value.detector_distance:g}"
        case float():
            return str(value)
    return type(value).__name__


def middle_of_the_block(method: Reconstructor, pixel: float, geometry: Geometry) -> float:
    A = Radon(Grid((128, 128), pixel), geometry)
    block = torch.zeros(A.domain.shape)
    block[50:70, 50:70] = 1.0
    return float(method(A(block), A)[55:65, 55:65].mean())


@pytest.mark.parametrize("geometry", [*PARALLEL, *FANS], ids=name)
@pytest.mark.parametrize("pixel", SPACINGS)
def test_filtered_backprojection(pixel: float, geometry: Geometry) -> None:
    assert middle_of_the_block(FilteredBackprojection(), pixel, geometry) == pytest.approx(1.0, abs=TOLERANCE)


# Iterations take longer: all spacings with a parallel beam, and each pair of a fan's distances with each size of pixel once.
# Conjugate gradients are slowest with bins of 1.25 and pixels of .8 mm: 1.01 % off after 30, .85 % after 50, .74 % after 80.
ITERATED = [
    *itertools.product(SPACINGS, PARALLEL),
    *((SPACINGS[(k // 6 + k) % 3], fan) for k, fan in enumerate(FANS)),
]


@pytest.mark.parametrize(("pixel", "geometry"), ITERATED, ids=name)
@pytest.mark.parametrize("method", [Sirt(iterations=10), Tikhonov(weight=0.0, iterations=50, tolerance=0.0)], ids=name)
def test_iterations(method: Reconstructor, pixel: float, geometry: Geometry) -> None:
    assert middle_of_the_block(method, pixel, geometry) == pytest.approx(1.0, abs=TOLERANCE)
