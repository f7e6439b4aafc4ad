"""The page of `medrecon reconstruct --report`: each file a case, with the methods of `--compare` beside the one that is written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from medrecon.commands.console import complain
from medrecon.commands.jobs import FileJob, fault_of
from medrecon.errors import ChangedError, InputError
from medrecon.words import counted

if TYPE_CHECKING:
    from medrecon.progress import Progress
    from medrecon.report.cases import Stacks
    from medrecon.report.viewer_report import ViewerCase
    from medrecon.results import Reconstruction

__all__ = ["Page", "numbers_of", "open_page"]

_ENDINGS = (".html", ".htm")
_BYTES = 2  # of a number in a page
_TOO_LARGE = "there are no residual maps: with them the page would be too large for browsers"


@dataclass(eq=False)
class Page:
    """A page into which cases come one after the other, and which is written in the end.

    Parameters
    ----------
    path
        where it goes.
    overwrite
        whether a file there is replaced.
    residuals
        whether there is room for maps of residuals.
    """

    path: Path
    overwrite: bool
    residuals: bool
    cases: list[ViewerCase] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    incomplete: bool = False

    def stacks(self, *, targets: bool) -> Stacks:
        """Make what takes in the images of a method, and the targets where they are asked for."""
        from medrecon.report.cases import Stacks

        return Stacks(targets, self.residuals)

    def add(self, job: FileJob, done: Reconstruction, stacks: Stacks, bar: Progress) -> None:
        """Take a file in that was reconstructed, and reconstruct it by the other methods; one that fails becomes a note."""
        from medrecon.report.cases import case_of
        from medrecon.workflows import reconstruct_file

        results = {job.method: (done, stacks)}
        notes = [] if self.residuals else [_TOO_LARGE]
        for name, settings in job.others.items():
            others = self.stacks(targets=False)
            try:
                made = reconstruct_file(job.source, None, settings, progress=bar, watch=others.add)
                job.same.require(job.source)
            except ChangedError:
                raise
            except Exception as error:
                fault = f"--compare {name} failed: {fault_of(error)}"
                complain(fault)
                notes.append(fault)
                self.incomplete = True
            else:
                results[name] = (made, others)
        self.cases.append(case_of(results, notes))

    def write(self) -> bool:
        """Write the page, unless every file failed; say whether it was.

        Raises
        ------
        InputError
            If it cannot be written.
        """
        from medrecon.report.cases import table_of_cases
        from medrecon.report.html import write_html
        from medrecon.report.viewer_report import ViewerReport

        if not self.cases:
            return False
        several = len(self.cases) + len(self.failed) > 1
        title = (
            f"Reconstructions of {counted(len(self.cases), 'file')}"
            if several
            else f"Reconstruction of {self.cases[0].name}"
        )
        tables = (table_of_cases(self.cases, self.failed),) if several else ()
        write_html(self.path, ViewerReport(title, tuple(self.cases), tables), overwrite=self.overwrite)
        return True


def open_page(path: Path, jobs: Sequence[FileJob], *, overwrite: bool) -> Page:
    """Make sure that a page can be written, and is not too large for browsers, before anything is reconstructed.

    Raises
    ------
    InputError
        If it cannot, or is.
    """
    from medrecon.data.writing import require_writable
    from medrecon.report.html import LARGEST_PAGE

    if path.suffix.lower() not in _ENDINGS:
        raise InputError(f"{path}: the report is an HTML file; name it *.html")
    require_writable(path, overwrite=overwrite)
    images, residuals = (_BYTES * sum(sizes) for sizes in zip((0, 0), *map(numbers_of, jobs), strict=True))
    if images > LARGEST_PAGE:
        raise InputError(
            f"{path}: would hold {images / 1e6:.0f} MB of images, and browsers open pages of up to {LARGEST_PAGE / 1e6:.0f} MB; "
            "take fewer by --slices, such as --slices 0:10, or fewer files or --compare"
        )
    return Page(path, overwrite, residuals=images + residuals <= LARGEST_PAGE)


def numbers_of(job: FileJob) -> tuple[int, int]:
    """Of the images and the residuals of a file, at most; none of one that will be refused anyhow."""
    from medrecon.report.cases import pooled_shape
    from medrecon.scans import open_scan

    if job.settings is None:
        return 0, 0
    try:
        scan = open_scan(job.source, job.settings.acquisition)
        count = len(job.settings.slices.of(len(scan), str(job.source)))
    except InputError:
        return 0, 0
    image, residual = scan.sizes
    height, width = image if residual == image else pooled_shape(residual)
    methods = 1 + len(job.others)
    return count * image[0] * image[1] * (methods + scan.has_target), count * methods * height * width
