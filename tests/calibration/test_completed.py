import pytest
import torch

from medrecon.calibration import SecondSet, completed_maps, espirit, estimate_maps
from medrecon.operators import sense
from medrecon.reconstructors import Sense
from tests.kspace_files import simulated_scan


def test_maps_have_unit_length_everywhere_and_are_espirits_in_the_object() -> None:
    scan = simulated_scan((96, 96), acceleration=1, snr=60.0)
    maps, second = completed_maps(
        scan.kspace, scan.sampled, calibration=(24, 24), kernel=6, noise=0.0, rule=SecondSet()
    )
    assert second is None
    torch.testing.assert_close(torch.linalg.vector_norm(maps, dim=0), torch.ones(96, 96), rtol=0, atol=1e-4)
    cropped = espirit(scan.kspace)
    inside = (torch.linalg.vector_norm(cropped, dim=0) > 0.5) & (scan.truth.abs() > 0.2)
    overlap = (maps.conj() * cropped).sum(0).abs()[inside]
    assert float(inside.float().mean()) > 0.1
    assert float(overlap.quantile(0.02)) > 0.99


@pytest.mark.parametrize("lines", [7, 9, 13])
def test_few_calibration_lines_do_not_lose_the_object(lines: int) -> None:
    scan = simulated_scan((128, 96), acceleration=1, snr=30.0)
    sampled = torch.zeros(96, dtype=torch.bool)
    sampled[::3] = True
    sampled[48 - lines // 2 : 48 - lines // 2 + lines] = True
    y = scan.kspace * sampled
    maps = estimate_maps(y, sampled).maps
    image, ideal = (Sense()(y, sense(sampled, m)).abs() for m in (maps, scan.maps))
    error, floor = ((x - scan.truth.abs()).norm() / scan.truth.norm() for x in (image, ideal))
    assert float(error) < float(floor) + 0.1
