"""Write numbers.yaml anew, and print what moved: `python -m tests.regression`, or `make regression`."""

import tempfile
from pathlib import Path

import torch

from tests.regression.cases import CASES, Case, Score, measure, weights_missing
from tests.regression.numbers import FILE, compare, read_numbers, renewed, write_numbers


def main() -> None:
    """Measure every case; one whose weights are missing keeps its number."""
    torch.set_num_threads(1)
    old = read_numbers()
    with tempfile.TemporaryDirectory() as folder:

        def measured(case: Case) -> Score | None:
            missing = weights_missing(case)
            if missing is not None:
                print(f"  {missing}: " + ("kept as it is" if case in old.scores else "not measured"))
                return None
            return measure(case, Path(folder))

        new = renewed(old, CASES, measured)
    lines = compare(old, new)
    write_numbers(new)
    print("\n".join(lines) or "no score moved")
    beyond = sum(line.startswith("!") for line in lines)
    print(
        f"{FILE.name}: {len(new.scores)} scores, {len(lines)} moved, new or gone; {beyond} beyond the tolerance "
        f"({old.tolerance.psnr:g} dB, {old.tolerance.ssim:g}), marked with !"
    )


if __name__ == "__main__":
    main()
