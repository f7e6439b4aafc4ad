"""Downloads that resume, are verified, and appear whole or not at all."""

import http.client
import time
import urllib.error
import urllib.request
from pathlib import Path

from medrecon.data.sets.cache import require_space, sha256_of
from medrecon.data.sets.manifest import RemoteFile
from medrecon.errors import InputError
from medrecon.progress import Progress, silent

__all__ = ["download"]

_CHUNK = 1 << 20
_ATTEMPTS = 5
_TIMEOUT_SECONDS = 60.0


class _StoppedError(Exception):
    """The transfer ended early; what came so far is kept."""


def download(remote: RemoteFile, path: Path, *, progress: Progress = silent, pause: float = 1.0) -> Path:
    """Download `remote` to `path`, going on where an earlier try stopped.

    The bytes gather in ``path.part``, which is renamed to `path` only when its size and sha256 are what the manifest
    states. A try that stops is repeated after `pause`, 2 `pause`, ... seconds; a part that does not verify is deleted,
    and if it was resumed, the download is made once more from the start. A server that knows no ranges sends the file
    anew; so does this function ask for it where neither size nor sha256 is known.

    Returns
    -------
    `path`; a file that lies there already and verifies is left as it is.

    Raises
    ------
    InputError
        If the server refuses or cannot be reached, the transfer keeps stopping, or what came is not what was promised.
    """
    if path.is_file() and _fault(remote, path) is None:
        return path
    part = path.with_name(path.name + ".part")
    resumed = _transfer(remote, part, progress, pause)
    fault = _fault(remote, part)
    if fault and resumed:
        part.unlink()
        _transfer(remote, part, progress, pause)
        fault = _fault(remote, part)
    if fault:
        part.unlink()
        raise InputError(f"{remote.url}: {fault}; it was deleted: try again later, or report it")
    return part.replace(path)


def _fault(remote: RemoteFile, file: Path) -> str | None:
    size = file.stat().st_size
    if remote.bytes is not None and size != remote.bytes:
        return f"what came has {size} bytes, not {remote.bytes}"
    if remote.sha256 is not None and (found := sha256_of(file)) != remote.sha256:
        return f"what came has sha256 {found}, not {remote.sha256}"
    return None


def _transfer(remote: RemoteFile, part: Path, progress: Progress, pause: float) -> bool:
    """Bring `part` to its full size; tell whether an earlier part was continued."""
    verifiable = remote.sha256 is not None or remote.bytes is not None
    if not verifiable:
        part.unlink(missing_ok=True)
    elif remote.bytes is not None and part.is_file() and part.stat().st_size == remote.bytes:
        return True
    resumed = False
    for attempt in range(1, _ATTEMPTS + 1):
        start = part.stat().st_size if part.is_file() else 0
        resumed = resumed or start > 0
        try:
            _receive(remote, part, start, progress)
        except (_StoppedError, TimeoutError, ConnectionError, http.client.HTTPException) as error:
            if attempt == _ATTEMPTS:
                have = part.stat().st_size if part.is_file() else 0
                raise InputError(
                    f"{remote.url}: the transfer stopped after {have} bytes ({error}); "
                    "the same command goes on from there"
                ) from error
            time.sleep(pause * attempt)
        else:
            return resumed
    raise AssertionError("unreachable")


def _receive(remote: RemoteFile, part: Path, start: int, progress: Progress) -> None:
    request = urllib.request.Request(remote.url, headers={"Range": f"bytes={start}-"} if start else {})
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT_SECONDS) as response:
            _write(remote, response, part, start, progress)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == 416 and start:  # the part is as long as the file, or longer
            if start != _total(error.headers.get("Content-Range"), 0):
                part.unlink()
                raise _StoppedError("the part was longer than the file") from error
            return
        if error.code >= 500:
            raise _StoppedError(f"the server says {error.code} {error.reason}") from error
        raise InputError(f"{remote.url}: the server says {error.code} {error.reason}") from error
    except urllib.error.URLError as error:
        if isinstance(error.reason, TimeoutError | ConnectionResetError):
            raise _StoppedError(str(error.reason)) from error
        raise InputError(f"{remote.url}: cannot be reached ({error.reason}); is this machine online?") from error


def _write(remote: RemoteFile, response: http.client.HTTPResponse, part: Path, start: int, progress: Progress) -> None:
    content_range = response.headers.get("Content-Range", "")
    continues = response.status == 206 and content_range.startswith(f"bytes {start}-")
    done = start if continues else 0
    length = response.headers.get("Content-Length")
    total = done + int(length) if length else (remote.bytes or 0)
    require_space(part.parent, total - done)
    try:
        with part.open("ab" if continues else "wb") as file:
            progress(remote.name, done, total)
            while piece := _read(response):
                file.write(piece)
                done += len(piece)
                progress(remote.name, done, total)
    except OSError as error:
        raise InputError(
            f"{part}: cannot be written ({error.strerror}); the same command goes on from there"
        ) from error
    if done < total:
        raise _StoppedError(f"{total - done} bytes are missing")


def _read(response: http.client.HTTPResponse) -> bytes:
    try:
        return response.read(_CHUNK)
    except (OSError, http.client.HTTPException) as error:
        raise _StoppedError(str(error) or type(error).__name__) from error


def _total(content_range: str | None, otherwise: int) -> int:
    """Return N of a header ``Content-Range: bytes */N``."""
    tail = (content_range or "").rpartition("/")[2]
    return int(tail) if tail.isdigit() else otherwise
