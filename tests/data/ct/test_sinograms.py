"""A CT sample holds together, or is refused in words."""

from dataclasses import replace

import pytest
import torch

from medrecon.data.ct.attenuation import AttenuationUnit
from medrecon.data.ct.sinograms import SinogramSample
from medrecon.geometry import Arc, Grid, ParallelBeam


def _sample() -> SinogramSample:
    return SinogramSample(
        sinogram=torch.zeros(6, 9),
        geometry=ParallelBeam(Arc.half_turn(6), n_bins=9, spacing=1.0),
        grid=Grid((5, 4), 1.0),
        target=torch.zeros(5, 4),
        unit=AttenuationUnit.PER_MM,
        photons=1e4,
        name="a.h5",
        index=0,
    )


def test_a_sample_holds_together() -> None:
    assert replace(_sample(), target=None, photons=None).target is None


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        (
            "sinogram",
            torch.zeros(9, 6),
            r"a\.h5: the geometry has \(angle, detector\) = \(6, 9\), and the sinogram is \(9, 6\)",
        ),
        ("target", torch.zeros(4, 5), r"a\.h5: the grid has \(y, x\) = \(5, 4\), and the target is \(4, 5\)"),
        ("photons", 0.0, "photons per ray are above zero, got 0"),
    ],
)
def test_a_contradiction_is_refused(field: str, value: object, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        replace(_sample(), **{field: value})
