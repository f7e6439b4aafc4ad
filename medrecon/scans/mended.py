"""K-space as those read it that take many files: each is checked first, and its slices are mended as they are read."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from medrecon.data.mri.fastmri import KSpaceSample
from medrecon.data.mri.kspace_files import KSpaceFile
from medrecon.findings import KSpaceFinding, require_accepted
from medrecon.scans.mri_checks import MendedFile, check_scan
from medrecon.scans.mri_energy import energy_of
from medrecon.scans.mri_layout_checks import may_be_slab, partition_findings

__all__ = ["MendedKSpace"]


@dataclass(frozen=True, eq=False)
class MendedKSpace:
    """A file of k-space, mended as `medrecon reconstruct` mends it: `file[i]` reads a slice, `len(file)` counts them.

    The file is checked when its first slice is read, by each process anew; `accept` names problems that are not to stop it,
    and what is not to be mended. Coils are not weighted by their noise.

    Raises
    ------
    InputError
        When a slice is read, if it cannot be, or what the file holds is no k-space of its shape.
    """

    file: KSpaceFile
    accept: tuple[KSpaceFinding, ...] = ()

    def __len__(self) -> int:
        return len(self.file)

    def __iter__(self) -> Iterator[KSpaceSample]:
        return (self[index] for index in range(len(self)))

    def __getitem__(self, index: int) -> KSpaceSample:
        return self._mended[index]

    @cached_property
    def _mended(self) -> MendedFile:
        found = check_scan(self.file, range(len(self)), self.accept)
        slab = (
            partition_findings([energy_of(slice_) for slice_ in self.file], self.file) if may_be_slab(self.file) else ()
        )
        require_accepted((*found.findings, *slab), self.accept, str(self.file.path), "data.accept")
        return MendedFile(self.file, found)
