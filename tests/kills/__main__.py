"""`python -m tests.kills KILLS [SEED]`: kill commands at random moments, seeded by the date; status 1 where one left a fault."""

import sys
import tempfile
import time
from datetime import date
from functools import partial
from pathlib import Path

import torch

from tests.kills.harness import Campaign
from tests.kills.scenarios import scenarios


def main() -> int:
    kills = int(sys.argv[1])
    seed = sys.argv[2] if len(sys.argv) > 2 else date.today().isoformat()
    torch.set_num_threads(1)
    start = time.monotonic()
    with tempfile.TemporaryDirectory() as folder, scenarios(Path(folder)) as known:
        campaign = Campaign(Path(folder))
        campaign.run(known, kills, seed, partial(print, flush=True))
    print(campaign.table())
    for fault in campaign.faults:
        print(f"FAULT {fault}")
    print(f"seed {seed}, {time.monotonic() - start:.0f} s, {len(campaign.faults)} faults")
    return 1 if campaign.faults else 0


if __name__ == "__main__":
    sys.exit(main())
