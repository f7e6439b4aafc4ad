"""What every network promises before it has learned anything, and that it learns, tried on each line of `tests/networks/cases.py`.

The outputs of peers with the same weights are compared in `tests/networks`: test_end_to_end, test_fastmri_weights and test_unet.
"""

from __future__ import annotations

import pytest

from tests.contracts.promises import OF_NETWORKS, lines_of
from tests.networks.cases import CASES


@pytest.mark.parametrize(("name", "promise"), lines_of(CASES, OF_NETWORKS))
def test_promise(name: str, promise: str) -> None:
    OF_NETWORKS[promise](CASES[name])
