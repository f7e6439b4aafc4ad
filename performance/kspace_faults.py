"""How many faults of k-space the checks name, and how often sound k-space, on people on whom no threshold was chosen.

    python performance/kspace_faults.py FOLDER ... [--people test] [--every 4] [--only WORDS] [--keep]

Heads are the planes in `t1_axial.npz` of the folders, an array of planes for each person, with simulated coils and noise, at the
noise of the receiver and at a signal-to-noise ratio of 8. Thresholds were chosen on the validation people, those of even number;
`--people test` takes the others. `--every` takes one in so many of them.
"""

from __future__ import annotations

import argparse
import math
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import h5py
import numpy as np
import torch
from tables import publish
from torch import Tensor

from medrecon.data.formats import open_kspace
from medrecon.data.mri.receivers import draw_receiver, simulate_scan
from medrecon.scans.mri_checks import check_scan

COILS = (1, 2, 4, 8, 16)
RATIOS = (None, 8.0)
COLUMNS = ["k-space", "noise", *(f"{n} coils" if n > 1 else "1 coil" for n in COILS)]
N_SLICES = 3
Fault = Callable[[Tensor, np.random.Generator], Tensor | None]


def sound(kspace: Tensor, _: np.random.Generator) -> Tensor:
    return kspace


def ghost(kspace: Tensor, draw: np.random.Generator) -> Tensor:
    n = kspace.shape[-2]
    phase = draw.choice([0.2, 0.4, 0.8, 1.5]) * draw.choice([-1, 1])
    turn = phase + 2 * math.pi * draw.choice([0, 0.3, -0.5, 1.0]) * (torch.arange(n) - n // 2) / n
    rows = torch.fft.fftshift(torch.fft.ifft(torch.fft.ifftshift(kspace[..., 1::2], dim=-2), dim=-2), dim=-2)
    rows = rows * torch.polar(torch.ones(n), turn.float())[:, None]
    other = kspace.clone()
    other[..., 1::2] = torch.fft.fftshift(torch.fft.fft(torch.fft.ifftshift(rows, dim=-2), dim=-2), dim=-2)
    return other


def reversed_in(order: Callable[[np.ndarray, np.random.Generator], np.ndarray]) -> Fault:
    def fault(kspace: Tensor, draw: np.random.Generator) -> Tensor:
        lines = torch.from_numpy(order(np.arange(kspace.shape[-1]), draw))
        other = kspace.clone()
        other[..., lines] = kspace[..., lines].flip(-2).roll(int(draw.integers(2)), -2)
        return other

    return fault


def coils_first(kspace: Tensor, _: np.random.Generator) -> Tensor | None:
    return kspace.swapaxes(0, 1) if kspace.shape[1] > 1 else None


def most_noisy(times: float) -> Fault:
    def fault(kspace: Tensor, draw: np.random.Generator) -> Tensor | None:
        n = kspace.shape[1]
        if n < 4:
            return None
        noise = kspace[..., : kspace.shape[-1] // 16].abs().square().mean((0, 2, 3)).sqrt().median()
        noisy = torch.from_numpy(draw.permutation(n)[: n // 2 + 1 + int(draw.integers(n // 2 - 1))])
        other = kspace.clone()
        shape = (*kspace[:, noisy].shape, 2)
        parts = torch.from_numpy(draw.standard_normal(shape).astype(np.float32)) / math.sqrt(2)
        other[:, noisy] += times * noise * torch.view_as_complex(parts)
        return other

    return fault


def side_left_out(eighths: int) -> Fault:
    def fault(kspace: Tensor, draw: np.random.Generator) -> Tensor:
        axis = int(draw.choice([-2, -1]))
        n = kspace.shape[axis]
        kept = n * eighths // 8
        return kspace.narrow(axis, int(draw.choice([0, n - kept])), kept)

    return fault


def rolled(kspace: Tensor, draw: np.random.Generator) -> Tensor:
    axis = int(draw.choice([-2, -1]))
    share = draw.uniform(0.1, 0.3) * draw.choice([-1, 1])
    return kspace.roll(round(share * kspace.shape[axis]), axis)


def real_part(kspace: Tensor, _: np.random.Generator) -> Tensor:
    return kspace.real.to(kspace.dtype)


def magnitudes(kspace: Tensor, _: np.random.Generator) -> Tensor:
    return kspace.abs().to(kspace.dtype)


def clipped(kspace: Tensor, draw: np.random.Generator) -> Tensor:
    parts = torch.view_as_real(kspace).clone()
    highest = parts.abs().amax((-3, -2, -1), keepdim=True) * draw.uniform(0.3, 0.7)
    return torch.view_as_complex(torch.minimum(torch.maximum(parts, -highest), highest))


def second_half_stronger(axis: int) -> Fault:
    def fault(kspace: Tensor, draw: np.random.Generator) -> Tensor:
        n = kspace.shape[axis]
        gain = torch.where(torch.arange(n) < n // 2, 1.0, float(draw.uniform(2, 4)))
        return kspace * (gain[:, None] if axis == -2 else gain)

    return fault


def interleaved(kspace: Tensor, draw: np.random.Generator) -> Tensor:
    m = int(draw.integers(2, 5))
    return torch.cat([kspace[..., first::m] for first in range(m)], dim=-1)


#: What is done to k-space, and the names and words that tell of it.
FAULTS: dict[str, tuple[Fault, tuple[str, ...]]] = {
    "sound: named all the same": (sound, ("",)),
    "odd lines turned and shifted": (ghost, ("odd-even-lines",)),
    "every second readout reversed": (reversed_in(lambda line, _: line % 2 == 1), ("reversed-readouts",)),
    "readouts of one half reversed": (
        reversed_in(lambda line, _: line >= len(line) // 2),
        ("reversed-readouts", "odd-even"),
    ),
    "readouts reversed by pairs": (reversed_in(lambda line, _: line // 2 % 2 == 1), ("reversed-readouts", "odd-even")),
    "readouts reversed by fours": (reversed_in(lambda line, _: line // 4 % 2 == 1), ("reversed-readouts", "odd-even")),
    "readouts reversed in no order": (
        reversed_in(lambda line, draw: draw.random(len(line)) < 0.5),
        ("reversed-readouts", "odd-even"),
    ),
    "coils before slices": (coils_first, ("coils-as-slices",)),
    "most coils 5 times as noisy": (most_noisy(5.0), ("noisy-coil",)),
    "most coils 12 times as noisy": (most_noisy(12.0), ("noisy-coil",)),
    "5 of 8 parts, no header": (side_left_out(5), ("was not acquired",)),
    "6 of 8 parts, no header": (side_left_out(6), ("was not acquired",)),
    "7 of 8 parts, no header": (side_left_out(7), ("was not acquired",)),
    "rolled by a tenth to three": (rolled, ("k-space is rolled",)),
    "no imaginary part": (real_part, ("phase-lost",)),
    "magnitudes": (magnitudes, ("phase-lost",)),
    "clipped at .3 to .7": (clipped, ("clipped",)),
    "second half of lines 2 to 4 times": (second_half_stronger(-1), ("gain-step",)),
    "second half of readouts 2 to 4 times": (second_half_stronger(-2), ("gain-step",)),
    "lines by twos, threes or fours": (interleaved, ("line-order",)),
}


def heads(folders: list[Path], parity: int, every: int) -> Iterator[tuple[int, list[Tensor]]]:
    """Planes `(y, x)` of people of even, or odd, number, in units of their mean."""
    for folder in folders:
        for path in sorted(folder.rglob("t1_axial.npz")):
            with np.load(path) as held:
                for number, name in enumerate(sorted(held)):
                    if number % 2 == parity and number // 2 % every == 0:
                        volume = held[name].astype(np.float32)
                        volume = np.moveaxis(volume, int(np.argmin(volume.shape)), 0)
                        places = np.linspace(0.15, 0.85, N_SLICES) * len(volume)
                        yield number, [_plane(volume[int(place)]) for place in places]


def _plane(plane: np.ndarray) -> Tensor:
    image = torch.from_numpy(plane[: plane.shape[0] // 2 * 2, : plane.shape[1] // 2 * 2].copy())
    return image / image[image > image.max() / 10].mean()


def scan(planes: list[Tensor], n_coils: int, snr: float | None, seed: int) -> Tensor:
    """K-space `(slice, coil, ky, kx)`."""
    generator = torch.Generator().manual_seed(seed)
    receiver = draw_receiver(generator, n_coils=n_coils)
    heights = np.linspace(-0.3, 0.3, len(planes))
    slices = [
        simulate_scan(plane, receiver, generator, float(height), oversampling=1)[0]
        for plane, height in zip(planes, heights, strict=True)
    ]
    kspace = torch.stack(slices)
    if snr is None:
        return kspace
    images = torch.fft.ifft2(kspace[len(planes) // 2], norm="ortho").abs().square().sum(0).sqrt()
    level = float(images[images > images.max() / 10].mean()) / snr / math.sqrt(n_coils)
    return kspace + level * torch.randn(kspace.shape, generator=generator, dtype=kspace.dtype)


def told(kspace: Tensor, path: Path) -> list[str]:
    """What is said of a file without a header."""
    with h5py.File(path, "w") as file:
        file["kspace"] = kspace.contiguous().numpy()
    opened = open_kspace(path)
    found = check_scan(opened, range(len(opened))).findings
    notes = [note for note in opened.notes if "no header" not in note and "readout holds no signal" not in note]
    return [f"{finding.name}: {finding.text}" for finding in found] + notes


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("folders", nargs="+", type=Path, help="where `t1_axial.npz` are looked for")
    parser.add_argument("--people", choices=["validation", "test"], default="test")
    parser.add_argument("--every", type=int, default=4, help="take one in so many people")
    parser.add_argument("--only", nargs="*", default=[""], help="keep the faults whose names hold one of these words")
    parser.add_argument("--keep", action="store_true", help="write the table for the pages")
    options = parser.parse_args()
    faults = {name: fault for name, fault in FAULTS.items() if any(word in name for word in options.only)}
    named: Counter[tuple[str, float | None, int]] = Counter()
    tried: Counter[tuple[str, float | None, int]] = Counter()
    draw, people = np.random.default_rng(0), 0
    with TemporaryDirectory() as folder:
        for number, planes in heads(options.folders, options.people == "test", options.every):
            people += 1
            for n_coils in COILS:
                for snr in RATIOS:
                    kspace = scan(planes, n_coils, snr, 100 * number + n_coils)
                    for name, (fault, words) in faults.items():
                        wrong = fault(kspace, draw)
                        if wrong is None:
                            continue
                        said = told(wrong, Path(folder) / "scan.h5")
                        tried[name, snr, n_coils] += 1
                        named[name, snr, n_coils] += any(word in text for text in said for word in words)
                        if fault is sound and said:
                            print(number, n_coils, snr, said, flush=True)
    rows = [
        [
            name,
            "receiver" if snr is None else f"SNR {snr:g}",
            *(f"{named[name, snr, n]} of {tried[name, snr, n]}" if tried[name, snr, n] else "" for n in COILS),
        ]
        for name in faults
        for snr in RATIOS
    ]
    notes = [
        f"{people} {options.people} people, {N_SLICES} slices each, no header; thresholds are of the validation people.",
        "Of readouts that are not reversed in turn, a ghost that is named instead counts: the file is refused.",
        "Where noise hides whether lines are rolled or missing, both are said; that counts in either row.",
    ]
    command = f"python performance/kspace_faults.py FOLDER --every {options.every} --keep"
    title = "Faults of k-space that are named"
    publish("kspace_faults", title, command, COLUMNS, rows, notes, keep=options.keep)


if __name__ == "__main__":
    torch.set_grad_enabled(mode=False)
    torch.set_num_threads(1)
    main()
