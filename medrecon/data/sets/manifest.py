"""What a data set is: its files, license and origin, as written in ``data_manifests/NAME.yaml``."""

import math
from pathlib import Path, PurePosixPath
from typing import Annotated, Literal
from urllib.parse import quote

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, ValidationError

from medrecon.documents import parse_yaml, read_text
from medrecon.errors import InputError

__all__ = [
    "CollectedFile",
    "Collection",
    "CollectionSource",
    "DataFile",
    "Manifest",
    "PackageArchive",
    "PackageSource",
    "Part",
    "Registration",
    "RemoteFile",
    "Split",
    "Stack",
    "UrlSource",
    "load_manifest",
    "manifest_folder",
    "manifest_names",
]

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Md5 = Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
SafeName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class DataFile(_Model):
    """A file that the publisher offers; ``bytes`` and ``sha256`` are stated where they are known."""

    name: SafeName
    bytes: int | None = Field(default=None, ge=0)
    sha256: Sha256 | None = None


class RemoteFile(DataFile):
    """A file that can be downloaded from ``url``; if ``unpack`` is set, a zip archive of which the files are wanted."""

    url: str = Field(pattern=r"^https?://")
    md5: Md5 | None = None
    unpack: bool = False


class Stack(_Model):
    """``samples`` arrays of ``shape``, ``per_file`` in each of the numbered files of a split but the last."""

    samples: int = Field(gt=0)
    per_file: int = Field(gt=0)
    shape: tuple[int, ...] = Field(min_length=1)

    @property
    def files(self) -> int:
        """The number of files."""
        return math.ceil(self.samples / self.per_file)

    def length(self, number: int) -> int:
        """Samples in the file of this number."""
        return min(self.per_file, self.samples - number * self.per_file)


class Split(_Model):
    """The volumes of one part: ``count`` HDF5 files that match ``pattern``, each holding ``datasets``.

    With a ``stack``, the ``*`` of ``pattern`` stands for the files' number, 000 and on, and each data set is a stack.
    """

    name: SafeName
    pattern: str
    count: int | None = Field(default=None, gt=0)
    datasets: tuple[str, ...] = Field(min_length=1)
    stack: Stack | None = None


class Registration(_Model):
    """The publisher gives the files to those who register: the user does so, and is told how."""

    kind: Literal["registration"]
    instructions: str


class PackageArchive(_Model):
    """An archive on the Python package index of which the files that match ``members`` are wanted.

    ``members`` are paths inside the archive; ``*`` stands for any characters, ``/`` among them. ``build_backend`` is
    what a source archive's ``pyproject.toml`` names (see `medrecon.data.sets.packages`).
    """

    package: SafeName
    version: SafeName
    archive: Literal["sdist", "wheel"]
    bytes: int = Field(gt=0)
    sha256: Sha256
    members: tuple[str, ...] = Field(min_length=1)
    build_backend: str = Field(default="setuptools.build_meta", pattern=r"^\w+(\.\w+)*$")


class PackageSource(_Model):
    """Files that travel inside Python packages and are turned into the data set by ``converter``.

    ``revision`` counts the versions of the converter's output; a set made by another revision is made anew.
    """

    kind: Literal["package"]
    archives: tuple[PackageArchive, ...] = Field(min_length=1)
    converter: Literal["brain-axt2", "brain-small", "lodopab-small"]
    revision: int = Field(default=1, ge=1)


class UrlSource(_Model):
    """Files that anyone may download; they, or what they unpack to, are the data set as they are."""

    kind: Literal["url"]
    files: tuple[RemoteFile, ...] = Field(min_length=1)


Part = Literal["train", "validation", "test", "calibration"]


class CollectedFile(_Model):
    """One file of a collection: where it lies below the collection's address, whose it is, and the part of that person.

    `packed` is where the packed form has the same values: a file, or ``ARCHIVE.npz/ARRAY``, or ``ARCHIVE.npz/ARRAY/INDEX``.
    Of a volume `slices` are taken, where there are any. `spacing` is in millimeters `(z, y, x)`, of these slices;
    `orientation` the six direction cosines of DICOM along a row and along a column; `offset` is taken from every value.
    """

    path: str = Field(pattern=r"^[^/.]")
    sha256: Sha256
    packed: str = Field(pattern=r"^[^/.][^/]*(/[^/]+){0,2}$")
    person: SafeName
    part: Part
    contrast: SafeName | None = None
    slices: tuple[int, ...] = ()
    spacing: tuple[float, float, float] | None = None
    orientation: tuple[float, float, float, float, float, float] | None = None
    offset: float = 0.0

    @property
    def suffix(self) -> str:
        """The ending of its name, two of a compressed file."""
        name = PurePosixPath(self.path)
        return "".join(name.suffixes[-2:]) if name.suffix == ".gz" else name.suffix


class Collection(_Model):
    """Files of many people that lie below one address at a pinned state, and what kind of files they are.

    `archives` are those of the packed form, a folder of this name.
    """

    name: SafeName
    kind: Literal["volumes", "slices", "brains", "images", "kspace", "dicom"]
    address: str = Field(pattern=r"^https?://.*/$")
    license: str
    citation: str
    archives: dict[SafeName, Sha256] = Field(default_factory=dict)
    files: tuple[CollectedFile, ...] = Field(min_length=1)

    def remote(self, file: CollectedFile) -> RemoteFile:
        """Say where one of its files can be downloaded, and under which name it is kept."""
        return RemoteFile(
            name=f"{file.sha256[:24]}{file.suffix}", url=self.address + quote(file.path), sha256=file.sha256
        )


class CollectionSource(_Model):
    """Images that anyone may download from several collections, divided by person, and written as one set by `converter`.

    The packed form is a folder of folders, one a collection; both give the same set.
    """

    kind: Literal["collection"]
    collections: tuple[Collection, ...] = Field(min_length=1)
    converter: Literal["heads-open", "ct-open"]
    revision: int = Field(default=1, ge=1)


Source = Annotated[Registration | PackageSource | UrlSource | CollectionSource, Field(discriminator="kind")]


class Manifest(_Model):
    """One data set; ``files`` are the publisher's archives where the user obtains them himself."""

    name: SafeName
    title: str
    license: str = Field(validation_alias=AliasChoices("license", "licence"))
    citation: str
    homepage: str
    description: str
    files: tuple[DataFile, ...] = ()
    splits: tuple[Split, ...] = Field(min_length=1)
    source: Source


def manifest_folder() -> Path:
    """Return the folder of the manifests: inside an installed package, or at the root of a checkout."""
    package = Path(__file__).resolve().parents[2]
    installed = package / "data_manifests"
    return installed if installed.is_dir() else package.parent / "data_manifests"


def manifest_names(folder: Path | None = None) -> tuple[str, ...]:
    """Return the names of the data sets that have a manifest, in alphabetical order."""
    return tuple(sorted(file.stem.replace("_", "-") for file in (folder or manifest_folder()).glob("*.yaml")))


def load_manifest(name: str, folder: Path | None = None) -> Manifest:
    """Read the manifest of the data set `name`; a file ``a_b.yaml`` describes the set ``a-b``.

    Raises
    ------
    InputError
        If no manifest has this name, or its file does not say what a manifest must.
    """
    folder = folder or manifest_folder()
    names = manifest_names(folder)
    if name not in names:
        raise InputError(f"no data set is called '{name}'; there are: {', '.join(names) or 'none'}")
    file = next(file for file in folder.glob("*.yaml") if file.stem.replace("_", "-") == name)
    try:
        manifest = Manifest.model_validate(parse_yaml(read_text(file, "a manifest"), str(file)))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        raise InputError(f"{file}: {where}: {first['msg']}") from error
    if manifest.name != name:
        raise InputError(f"{file}: name is '{manifest.name}', and the file's name says '{name}'; make them agree")
    return manifest
