"""What every reconstructor promises, tried on each line of `tests/reconstructors/cases.py`."""

from __future__ import annotations

import pytest

from tests.contracts.promises import OF_RECONSTRUCTORS, lines_of
from tests.reconstructors.cases import RECONSTRUCTORS


@pytest.mark.parametrize(("name", "promise"), lines_of(RECONSTRUCTORS, OF_RECONSTRUCTORS))
def test_promise(name: str, promise: str) -> None:
    OF_RECONSTRUCTORS[promise](RECONSTRUCTORS[name])
