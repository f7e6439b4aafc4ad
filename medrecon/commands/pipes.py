"""Standard output in place of a file: `-` for images and for JSON, with nothing else printed there."""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

from medrecon.data.outputs.image_format import ImageFormat
from medrecon.errors import InputError

__all__ = ["PIPED", "Pipe", "piped"]

STANDARD = Path("-")
#: Formats that one stream of bytes can hold, and the next program of a pipe read; the first unless another is asked for.
PIPED = (ImageFormat.NPY,)


@dataclass(frozen=True)
class Pipe:
    """Where images and values are written, and whether images go on to standard output."""

    output: Path
    json_path: Path | None
    image_format: ImageFormat | None
    takes_images: bool = False


@contextmanager
def piped(output: Path, json_path: Path | None, image_format: ImageFormat | None) -> Iterator[Pipe]:
    """Give a temporary file in place of `-`, which goes to standard output when the block ends well; lines for people to the other.

    Raises
    ------
    InputError
        If both are `-`, or the format is none of a stream.
    """
    takes_images, takes_json = output == STANDARD, json_path == STANDARD
    if not (takes_images or takes_json):
        yield Pipe(output, json_path, image_format)
        return
    if takes_images and takes_json:
        raise InputError("--output - and --json - would both write to standard output; name a file for one of them")
    if takes_images:
        image_format = image_format or PIPED[0]
        if image_format not in PIPED:
            raise InputError(f"--output - writes {', '.join(PIPED)}, not {image_format}; name a file")
    from medrecon.data.writers import unfinished

    folder = Path(tempfile.mkdtemp(prefix="medrecon-"))
    with unfinished(folder):
        file = folder / (f"images{image_format.ending}" if takes_images and image_format else "report.json")
        pipe = Pipe(file, json_path, image_format, True) if takes_images else Pipe(output, file, image_format)
        with redirect_stdout(sys.stderr):
            yield pipe
        if file.is_file():
            with file.open("rb") as written:
                shutil.copyfileobj(written, sys.stdout.buffer)
            sys.stdout.buffer.flush()
