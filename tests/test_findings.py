"""The names of findings are one list, and what `--accept` takes."""

import ast
from pathlib import Path

import pytest

import medrecon
from medrecon.config.ct import CTAcquisition
from medrecon.config.mri import MRIAcquisition
from medrecon.config.settings import settings_from
from medrecon.errors import InputError
from medrecon.findings import KSpaceFinding, SinogramFinding

SCANS = Path(medrecon.__file__).parent / "scans"


def test_every_name_is_found_somewhere_and_none_is_made_up() -> None:
    enumerations = {"KSpaceFinding": KSpaceFinding, "SinogramFinding": SinogramFinding}
    used, written = {name: set() for name in enumerations}, []
    for path in sorted(SCANS.glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in enumerations:
                used[node.value.id].add(node.attr)
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Finding":
                written += [ast.unparse(arg) for arg in node.args[:1] if isinstance(arg, ast.Constant)]
    assert used == {name: set(kind.__members__) for name, kind in enumerations.items()}
    assert written == []


@pytest.mark.parametrize(
    ("kind", "names", "of_another"),
    [
        (MRIAcquisition, KSpaceFinding, SinogramFinding.OPAQUE),
        (CTAcquisition, SinogramFinding, KSpaceFinding.NOISY_COIL),
    ],
)
def test_a_name_of_no_check_of_the_modality_is_refused_with_those_there_are(
    kind: type[MRIAcquisition | CTAcquisition], names: type[KSpaceFinding | SinogramFinding], of_another: str
) -> None:
    for wrong in ("axes-crossed", of_another):
        with pytest.raises(InputError, match=rf"--accept should be '.*got {wrong}") as refused:
            settings_from(kind, {"accept": (wrong,)})
        assert all(f"'{name}'" in str(refused.value) for name in names)
        assert f"'{of_another}'" not in str(refused.value)
    taken = settings_from(kind, {"accept": ("axes-swapped",)})
    assert taken.accept == (names.AXES_SWAPPED,)
