"""The names of findings are one list, and what `--accept` takes."""

import ast
from pathlib import Path

import pytest

import medrecon
from medrecon.config.ct import CTAcquisition
from medrecon.config.mri import MRIAcquisition
from medrecon.config.settings import settings_from
from medrecon.errors import InputError
from medrecon.findings import FindingName

SCANS = Path(medrecon.__file__).parent / "scans"


def test_every_name_is_found_somewhere_and_none_is_made_up() -> None:
    used, written = set(), []
    for path in sorted(SCANS.glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "FindingName":
                used.add(node.attr)
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Finding":
                written += [ast.unparse(arg) for arg in node.args[:1] if isinstance(arg, ast.Constant)]
    assert used == set(FindingName.__members__)
    assert written == []


@pytest.mark.parametrize("kind", [MRIAcquisition, CTAcquisition])
def test_a_misspelled_name_is_refused_with_those_there_are(kind: type[MRIAcquisition | CTAcquisition]) -> None:
    with pytest.raises(InputError, match=r"--accept should be 'asymmetric-echo', .*'view-sums'.*got axes-crossed"):
        settings_from(kind, {"accept": ("axes-crossed",)})
    taken = settings_from(kind, {"accept": ("axes-swapped",)})
    assert taken.accept == (FindingName.AXES_SWAPPED,)
