"""Reduce the pictures that `medrecon demo` made to the small ones that README.md shows.

Run as `python performance/update_picture.py` after `medrecon demo`. The palette holds grays and the colors of the error
maps alone, so that grays stay gray.
"""

from pathlib import Path

import matplotlib
import numpy as np
from PIL import Image
from scipy.spatial import KDTree

ROOT = Path(__file__).resolve().parent.parent
PICTURES = {"comparison.png": "demo.png", "ct_comparison.png": "demo_ct.png"}
WIDTH, SHADES = 1550, 48


def reduce(source: Path, target: Path) -> None:
    """Write `source` with `WIDTH` pixels a row, in `SHADES` grays and as many colors."""
    steps = np.linspace(0, 1, SHADES)
    shades = np.concatenate([steps[:, None].repeat(3, axis=1), matplotlib.colormaps["magma"](steps)[:, :3]])
    palette = (shades * 255).round().astype(np.uint8)
    with Image.open(source) as picture:
        size = WIDTH, round(picture.height * WIDTH / picture.width)
        pixels = np.asarray(picture.convert("RGB").resize(size, Image.Resampling.LANCZOS))
    _, nearest = KDTree(palette).query(pixels)
    small = Image.fromarray(nearest.astype(np.uint8)).convert("P")
    small.putpalette(palette.tobytes())
    small.save(target, optimize=True)


if __name__ == "__main__":
    for source, name in PICTURES.items():
        target = ROOT / "docs" / "images" / name
        reduce(ROOT / "demo" / source, target)
        print(f"{target.relative_to(ROOT)}: {target.stat().st_size / 1000:.0f} kB")
