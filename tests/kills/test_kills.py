"""Sixty kills at random moments leave nothing half written, nothing behind, and no other result; `make kill` makes a thousand."""

from datetime import date
from pathlib import Path

import pytest

from tests.kills.harness import Campaign
from tests.kills.scenarios import scenarios

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/stat").exists(), reason="this system does not say when a process began"
)


@pytest.mark.slow
def test_sixty_kills_leave_no_trace(tmp_path: Path) -> None:
    campaign = Campaign(tmp_path)
    with scenarios(tmp_path) as known:
        campaign.run(known, 60, date.today().isoformat(), print)
    assert campaign.faults == []
    assert sum(count["kills"] for count in campaign.counts.values()) == 60
    assert all(count["kills"] > 0 for count in campaign.counts.values())
