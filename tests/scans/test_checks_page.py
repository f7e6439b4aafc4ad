"""The page of the checks names every one, with its severity."""

import ast
import re
from pathlib import Path

import medrecon.scans
from medrecon.findings import KSpaceFinding, Severity, SinogramFinding

PAGE = Path(__file__).parents[2] / "docs" / "checks.md"
FOLDER = Path(medrecon.scans.__file__).parent


def found_in_source() -> dict[str, set[str]]:
    """Names of findings with their severities, of calls that spell out both."""
    found: dict[str, set[str]] = {}
    for path in FOLDER.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name)):
                continue
            if node.func.id == "mended_or_left":
                found.setdefault(_spelled(node.args[0]), set()).add(Severity.MENDED.value)
            elif node.func.id == "Finding":
                name, severity = node.args[:2]
                if isinstance(severity, ast.Attribute) and (spelled := _spelled(name)):
                    found.setdefault(spelled, set()).add(Severity[severity.attr].value)
    return found


def _spelled(name: ast.expr) -> str:
    """A name that is a text, or the member of an enumeration."""
    if isinstance(name, ast.Constant):
        return str(name.value)
    return name.attr.lower().replace("_", "-") if isinstance(name, ast.Attribute) else ""


def told() -> dict[str, set[str]]:
    rows = re.findall(r"^\| `([a-z-]+)` \| ([a-z, ]+) \|", PAGE.read_text(), re.MULTILINE)
    return {name: set(severities.split(", ")) for name, severities in rows}


def test_every_check_is_named_and_no_other() -> None:
    assert set(told()) == {*KSpaceFinding, *SinogramFinding}


def test_every_check_is_named_with_its_severity() -> None:
    found, page = found_in_source(), told()
    assert len(found) >= 15
    assert {name: page.get(name) for name in found} == found
