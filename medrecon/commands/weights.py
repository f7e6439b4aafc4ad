"""`medrecon weights`: trained weights and their cards."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from medrecon.commands.console import print_table, say
from medrecon.commands.options import AllowExternalOption
from medrecon.device import DeviceName

__all__ = ["export", "import_fastmri", "list_", "score", "show"]


def list_(
    folder: Annotated[
        Path | None, typer.Option(help="Look there, subfolders included, and not in the package.")
    ] = None,
) -> int:
    """List trained weights: those that come with medrecon, or lie in a folder, and how good they were found.

    Example: medrecon weights list --folder runs
    """
    from medrecon.errors import InputError
    from medrecon.weights.shipped import SHIPPED

    place = SHIPPED if folder is None else folder
    if folder is not None and not folder.is_dir():
        raise InputError(f"{folder}: is no folder; give the one of your runs")
    found = (_row(path) for path in sorted(place.rglob("*.safetensors"))) if place.is_dir() else ()
    rows = [row for row in found if row]
    if not rows:
        say(f"{place} holds no weights; `medrecon train CONFIG` makes some")
        return 0
    print_table(("name", "network", "operator", "validation", "test", "file"), rows)
    return 0


def show(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A name of `medrecon weights list`, or a file.")],
) -> int:
    """Print the card of trained weights: what they are for, of what they were made, how good they are.

    Example: medrecon weights show runs/varnet_brain_small/best.safetensors
    """
    from medrecon.weights.card import find_weights, with_protocols
    from medrecon.weights.checkpoint import read_metadata

    card = read_metadata(find_weights(name)).get("card", {})
    with suppress(KeyError, TypeError, AttributeError):  # a card of another program is shown as it is
        card = with_protocols(card)
    say(json.dumps(card, indent=2, ensure_ascii=False))
    return 0


def score(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A name of `medrecon weights list`, or a file.")],
    part: Annotated[
        str, typer.Option(help="validation, test, or a folder of fastMRI's files, such as multicoil_val.")
    ] = "test",
    folder: Annotated[
        Path | None, typer.Option(help="Where the data set lies.", show_default="as `medrecon data path` says")
    ] = None,
    device: Annotated[
        DeviceName | None, typer.Option(help="Where to compute.", show_default="a GPU if there is one")
    ] = None,
    record: Annotated[bool, typer.Option("--record", help="Note the scores in the card.")] = False,
    allow_external: AllowExternalOption = False,
) -> int:
    """Score trained weights on a part of the data set of their training that they have not seen.

    Masks, views and dose are those of the training; `medrecon benchmark` compares methods on others, too.

    Example: medrecon weights score runs/mine/best.safetensors --part test --record
    """
    from medrecon.weights.card import find_weights, record_scores
    from medrecon.workflows.scoring import score_weights

    path = find_weights(name)
    found, protocol = score_weights(path, part, folder=folder, device=device, allow_external=allow_external)
    say(f"{path.stem}, {part}: {', '.join(_words({**asdict(found), 'protocol': protocol}))}")
    if record:
        record_scores(path, part, found)
    return 0


def export(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A name of `medrecon weights list`, or a file.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The .safetensors file to write, with a card beside.")],
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace files that exist.")] = False,
) -> int:
    """Write trained weights in half precision, with their card and without the state of their run: to pass on.

    Example: medrecon weights export runs/mine/best.safetensors --output mine.safetensors
    """
    from medrecon.weights.card import copy_weights, find_weights

    copy_weights(find_weights(name), output, overwrite=overwrite)
    say(f"{output}: {output.stat().st_size / 1e6:.1f} MB; card {output.with_suffix('.json')}")
    return 0


def import_fastmri(
    source: Annotated[
        Path, typer.Argument(metavar="FILE", help="A .pt or .ckpt file of a U-Net or VarNet of the package fastmri.")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="The .safetensors file to write, with a card beside.")],
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace files that exist.")] = False,
) -> int:
    """Rewrite weights of the package fastmri as weights of medrecon; nothing in the file is executed.

    Example: medrecon weights import fastmri knee_leaderboard_state_dict.pt --output varnet_knee.safetensors
    """
    from medrecon.workflows.fastmri_import import import_fastmri

    what = import_fastmri(source, output, overwrite=overwrite)
    say(f"{output}: {what}; card {output.with_suffix('.json')}")
    say(f"use it by `medrecon reconstruct SCAN --output IMAGE --weights {output}`")
    return 0


def _row(path: Path) -> list[str]:
    """What the table says of a file, also of one that cannot be used; nothing of the state of a run."""
    from medrecon.errors import InputError
    from medrecon.weights.card import with_protocols
    from medrecon.weights.card_fields import require_card
    from medrecon.weights.checkpoint import read_metadata

    try:
        metadata = read_metadata(path)
        if "run" in metadata:
            return []
        card = with_protocols(require_card(path, metadata))
        network = card["configuration"].get("network")
        kind = str(network.get("kind", "")) if isinstance(network, dict) else ""
        return [
            path.stem,
            kind,
            card["operator"],
            *(_scores(card, part) for part in ("validation", "test")),
            str(path),
        ]
    except (InputError, KeyError, TypeError, AttributeError) as error:
        reason = str(error) if isinstance(error, InputError) else f"{path}: its card is of another program"
        return [path.stem, "cannot be used", "", "", "", reason]


def _scores(card: dict[str, Any], part: str) -> str:
    found = card["metrics"].get(part)
    if not found or found["psnr"] is None:
        return ""
    return "\n".join(_words(found))


def _words(found: dict[str, Any]) -> tuple[str, str, str]:
    """Scores with their 95 % intervals, which cards from before they were noted do not have."""
    psnr, ssim = (_interval(found.get(f"{name}_interval"), digits) for name, digits in (("psnr", 2), ("ssim", 4)))
    return (
        f"{found['psnr']:.2f} dB{psnr}",
        f"SSIM {found['ssim']:.4f}{ssim}",
        f"{found['samples']} samples; {found['protocol']}",
    )


def _interval(ends: Sequence[float] | None, digits: int) -> str:
    return "" if ends is None else f" [{ends[0]:.{digits}f}, {ends[1]:.{digits}f}]"
