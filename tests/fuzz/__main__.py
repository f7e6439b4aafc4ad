"""Damage many files, and count how the commands end with them: `python -m tests.fuzz`, or `make fuzz`.

What ends as nothing may is shrunk and kept in a folder; small ones go to `tests/fuzz/cases`, as KIND-NAME, once they are mended.
"""

import argparse
import datetime
import sys
import tempfile
from pathlib import Path

from tests.fuzz.campaign import Campaign, Ended, table
from tests.fuzz.seeds import SEEDS


def main() -> int:
    """Run the campaign; the status is 1 where a file ended as none may."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz")
    parser.add_argument("--files", type=int, default=10_000, help="of all kinds together")
    parser.add_argument("--seed", type=int, default=int(datetime.date.today().strftime("%Y%m%d")), help="today's date")
    parser.add_argument("--kind", action="append", choices=[*SEEDS], help="of these kinds alone")
    parser.add_argument("--keep", type=Path, default=Path("fuzz-failures"), help="the folder of those that failed")
    given = parser.parse_args()
    kinds, ended = given.kind or [*SEEDS], list[Ended]()
    with tempfile.TemporaryDirectory() as folder, Campaign(Path(folder), given.seed) as campaign:
        for kind in kinds:
            for one in campaign.run(kind, range(-(-given.files // len(kinds)))):
                ended.append(one)
                if not one.is_fine:
                    given.keep.mkdir(exist_ok=True)
                    kept = given.keep / f"{kind}-{given.seed}-{one.path.name}"
                    kept.write_bytes(one.path.read_bytes())
                    print(f"{one.end}: {kept}: {one.damage}: {' '.join(one.words.split())[:600]}", flush=True)
                    kept.write_bytes(campaign.shrunk(one))
    print(f"seed {given.seed}", *table(ended), sep="\n")
    return 0 if all(one.is_fine for one in ended) else 1


if __name__ == "__main__":
    sys.exit(main())
