"""`medrecon weights`: trained weights and their cards."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from medrecon.commands.console import print_table, say

__all__ = ["list_", "show"]


def list_(
    folder: Annotated[
        Path | None, typer.Option(help="Look there, subfolders included, and not in the package.")
    ] = None,
) -> int:
    """List trained weights: those that come with medrecon, or lie in a folder.

    Example: medrecon weights list --folder runs
    """
    from medrecon.errors import InputError
    from medrecon.training.checkpoint import read_metadata

    place = _shipped() if folder is None else folder
    if folder is not None and not folder.is_dir():
        raise InputError(f"{folder}: is no folder; give the one of your runs")
    rows = []
    for path in sorted(place.rglob("*.safetensors")) if place.is_dir() else ():
        try:
            card = read_metadata(path)["card"]
        except (InputError, KeyError) as error:
            rows.append([path.stem, "cannot be used", "", "", str(error)])
            continue
        network = card["configuration"].get("network", {}).get("kind", "")
        rows.append([path.stem, network, card["operator"], _scores(card), str(path)])
    if not rows:
        say(f"{place} holds no weights; `medrecon train CONFIG` makes some")
        return 0
    print_table(("name", "network", "operator", "validation", "file"), rows)
    return 0


def show(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A name of `medrecon weights list`, or a file.")],
) -> int:
    """Print the card of trained weights: what they are for, of what they were made, how good they are.

    Example: medrecon weights show runs/varnet_brain_small/best.safetensors
    """
    from medrecon.training.checkpoint import read_metadata

    shipped = _shipped() / f"{name}.safetensors"
    card = read_metadata(shipped if shipped.is_file() else Path(name)).get("card")
    say(json.dumps(card, indent=2, ensure_ascii=False))
    return 0


def _shipped() -> Path:
    return Path(__file__).resolve().parent.parent / "weights"


def _scores(card: dict[str, Any]) -> str:
    found = card["metrics"].get("validation")
    if not found or found["psnr"] is None:
        return ""
    return f"{found['psnr']:.2f} dB, SSIM {found['ssim']:.4f}, {found['samples']} samples"
