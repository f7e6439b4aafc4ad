"""The page as a file: what it holds, that it is exact, escaped, whole or absent; the browser's part is another module."""

import base64
import json
import math
import re
import zlib
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import torch

from medrecon.errors import InputError
from medrecon.report import html
from medrecon.report.html import write_html
from medrecon.report.viewer_report import (
    Column,
    MethodImages,
    Scores,
    Table,
    ViewerCase,
    ViewerReport,
    Window,
    quantile,
)

SHAPE = (3, 12, 16)
EVIL = "</script><script>alert(1)</script><img src=x onerror=alert(2)>&\"'"


def stack(seed: int, low: float = 0.0, high: float = 1.0) -> torch.Tensor:
    return low + (high - low) * torch.rand(SHAPE, generator=torch.Generator().manual_seed(seed))


def case(*, name: str = "scan.h5", target: torch.Tensor | None = None) -> ViewerCase:
    methods = (
        MethodImages("tv", stack(1), scores=Scores("fastmri-v1", 30.0, 0.9, 0.01, 1.02, 3.5), facts={"weight": 0.1}),
        MethodImages("zero-filled", stack(2), scores=Scores("fastmri-v1", math.inf, math.nan)),
    )
    return ViewerCase(name, methods, "arbitrary units", target=target)


class Page(HTMLParser):
    """The parts of a page, read as a browser reads it."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[str, str] = {}
        self._open = ""
        self.text = path.read_text("utf-8")
        self.feed(self.text)
        self.values = json.loads(self.texts["report"])

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._open = dict(attrs).get("id") or dict(attrs).get("type") or tag

    def handle_endtag(self, tag: str) -> None:  # noqa: ARG002
        self._open = ""

    def handle_data(self, data: str) -> None:
        self.texts[self._open] = self.texts.get(self._open, "") + data

    def images(self, number: int, name: str) -> np.ndarray:
        """Unpack a stack by what the module says of its format."""
        about = self.values["cases"][number]["stacks"][name]
        slices = []
        for line in self.texts[about["id"]].split("\n"):
            high, low = np.split(np.frombuffer(zlib.decompress(base64.b64decode(line)), np.uint8).astype(np.uint16), 2)
            steps = (high << 8 | low).reshape(about["shape"][1:])
            slices.append(np.cumsum(steps, axis=1, dtype=np.uint16))
        return about["offset"] + about["step"] * np.array(slices, dtype=np.float64)


def written(folder: Path, *cases: ViewerCase, title: str = "Phantoms", tables: tuple[Table, ...] = ()) -> Page:
    write_html(folder / "r.html", ViewerReport(title, cases, tables), overwrite=True)
    return Page(folder / "r.html")


@pytest.mark.parametrize(("low", "high"), [(0.0, 1.0), (-1024.0, 3071.0), (1e-6, 2e-5), (-3.0, -3.0), (0.0, 1e30)])
def test_images_come_back_to_16_bits(tmp_path: Path, low: float, high: float) -> None:
    images = stack(3, low, high)
    one = ViewerCase("scan", (MethodImages("tv", images),), "HU", target=stack(4, low, high))
    page = written(tmp_path, one)
    for name, wanted in (("image-0", images), ("target", one.target)):
        assert wanted is not None
        error = np.abs(page.images(0, name) - wanted.double().numpy()).max()
        assert error <= float(wanted.max() - wanted.min()) / 131070 * (1 + 1e-6)


def test_nothing_asks_for_a_network(tmp_path: Path) -> None:
    page = written(tmp_path, case(target=stack(0)))
    assert not re.search(r"https?:|//[a-z]+\.[a-z]|@import|url\(", page.text)
    assert not [tag for tag, values in page.tags if "src" in values or "href" in values]
    [policy] = [v["content"] or "" for tag, v in page.tags if tag == "meta" and "http-equiv" in v]
    assert policy.startswith("default-src 'none'")
    assert policy.count("sha256-") == 2
    assert "unsafe" not in policy


def test_names_are_text_wherever_they_stand(tmp_path: Path) -> None:
    usual = written(tmp_path, case(target=stack(0)), tables=(Table("All", (Column("x"),), (("y",),)),))
    evil = replace(
        case(name=EVIL, target=stack(0)),
        methods=(MethodImages(EVIL, stack(1), facts={EVIL: EVIL}), MethodImages("b", stack(2))),
        unit=EVIL,
        facts={EVIL: EVIL},
        notes=(EVIL,),
    )
    page = written(tmp_path, evil, title=EVIL, tables=(Table(EVIL, (Column(EVIL),), ((EVIL,),)),))
    assert [tag for tag, _ in page.tags] == [tag for tag, _ in usual.tags]  # the names made no element
    assert page.texts["title"] == EVIL
    assert page.values["cases"][0]["name"] == EVIL
    assert "innerHTML" not in page.text
    assert "insertAdjacentHTML" not in page.text


def test_marks_of_the_page_in_a_title_are_kept(tmp_path: Path) -> None:
    assert "@images@ me@home" in written(tmp_path, case(), title="@images@ me@home").texts["title"]


def test_scores_stand_beside_their_protocol(tmp_path: Path) -> None:
    table = written(tmp_path, case()).values["cases"][0]["table"]
    assert [column["name"] for column in table["columns"]] == [
        *("method", "protocol", "PSNR (dB)", "SSIM", "NMSE", "residual", "seconds")
    ]
    assert table["rows"][0] == ["tv", "fastmri-v1", 30.0, 0.9, 0.01, 1.02, 3.5]
    assert table["rows"][1] == ["zero-filled", "fastmri-v1", "inf", None, None, None, None]
    bare = replace(case(), methods=(MethodImages("tv", stack(1)),))
    assert [column["name"] for column in written(tmp_path, bare).values["cases"][0]["table"]["columns"]] == ["method"]
    with pytest.raises(ValueError, match="name of the protocol"):
        Scores(psnr=30.0)


def test_the_first_window_is_that_of_the_target(tmp_path: Path) -> None:
    target = torch.zeros(SHAPE)
    target[0] = torch.linspace(0, 2, 192).reshape(SHAPE[1:])
    assert case(target=target).default_window == Window(0.0, quantile(target, 0.998))
    assert case(target=torch.zeros(SHAPE)).default_window == Window(0.0, 1.0)
    given = replace(case(), window=Window(-160, 240, "soft tissue"), presets=(Window(0, 80, "brain"),))
    presets = written(tmp_path, given).values["cases"][0]["presets"]
    assert [(p["name"], p["low"], p["high"]) for p in presets] == [("soft tissue", -160, 240), ("brain", 0, 80)]


def test_errors_are_shown_as_bright_as_fits(tmp_path: Path) -> None:
    target = stack(0)
    gains = []
    for error in (0.0005, 0.04, 0.3, 3.0):
        method = MethodImages("tv", target + error)
        one = ViewerCase("scan", (method,), "1/mm", target=target, window=Window(0, 1))
        gains.append(written(tmp_path, one).values["cases"][0]["gain"])
    assert gains == [100, 20, 2, 1]


def test_masks_are_pictures(tmp_path: Path) -> None:
    lines = torch.arange(16) % 4 == 0
    for mask, wanted in ((lines, lines.expand(12, 16)), (torch.eye(16) > 0, torch.eye(16) > 0)):
        page = written(tmp_path, replace(case(), mask=mask))
        np.testing.assert_array_equal(page.images(0, "mask")[0], wanted.double().numpy())


def test_residuals_are_of_any_size(tmp_path: Path) -> None:
    residual = torch.rand(3, 5, 7, generator=torch.Generator().manual_seed(9))
    one = replace(case(), methods=(MethodImages("fbp", stack(1), residual=residual),))
    page = written(tmp_path, one)
    assert page.images(0, "residual-0").shape == (3, 5, 7)
    assert page.values["cases"][0]["residualTop"] == pytest.approx(quantile(residual, 0.998))
    with pytest.raises(ValueError, match="3 images, and 2 residuals"):
        MethodImages("fbp", stack(1), residual=residual[:2])


@pytest.mark.parametrize("fault", [math.nan, math.inf])
def test_what_is_not_finite_is_refused_in_words(fault: float) -> None:
    images = stack(1)
    images[1, 2, 3] = fault
    with pytest.raises(ValueError, match=r"images of tv are finite, got NaN or infinity in slice 1; leave"):
        MethodImages("tv", images)
    with pytest.raises(ValueError, match=r"target of scan\.h5 are finite"):
        case(target=images)


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match=r"real numbers \(slice, y, x\), got \(12, 16\)"):
        MethodImages("tv", stack(1)[0])
    with pytest.raises(ValueError, match="real numbers"):
        MethodImages("tv", stack(1).to(torch.complex64))
    with pytest.raises(ValueError, match="stacks of one shape"):
        case(target=stack(1)[:2])
    with pytest.raises(ValueError, match="distinct names"):
        replace(case(), methods=(MethodImages("tv", stack(1)), MethodImages("tv", stack(2))))
    with pytest.raises(ValueError, match="at least one case"):
        ViewerReport("none", ())
    with pytest.raises(ValueError, match="low < high"):
        Window(1, 1)
    with pytest.raises(ValueError, match="rows of 2 cells"):
        Table("t", (Column("a"), Column("b")), (("x",),))


def test_the_file_is_whole_or_absent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "r.html"
    write_html(path, ViewerReport("first", (case(),)))
    with pytest.raises(InputError, match="exists already; give --overwrite"):
        write_html(path, ViewerReport("second", (case(),)))

    def interrupted(_: torch.Tensor) -> list[str]:
        raise KeyboardInterrupt

    monkeypatch.setattr(html, "_packed", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_html(path, ViewerReport("third", (case(),)), overwrite=True)
    assert Page(path).texts["title"] == "first"
    assert [file.name for file in tmp_path.iterdir()] == ["r.html"]


def test_too_many_images_are_refused_before_writing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(html, "LARGEST_PAGE", 1000)
    with pytest.raises(InputError, match="take fewer slices"):
        write_html(tmp_path / "r.html", ViewerReport("large", (case(),)))
    assert not list(tmp_path.iterdir())


def test_a_page_is_about_as_large_as_its_numbers(tmp_path: Path) -> None:
    empty = replace(case(), methods=(MethodImages("zeros", torch.zeros(4, 128, 128)),))
    noise = torch.randn(4, 128, 128, generator=torch.Generator().manual_seed(0))
    sizes = [len(written(tmp_path, one).text) for one in (empty, replace(case(), methods=(MethodImages("n", noise),)))]
    assert sizes[0] < 60_000  # the viewer itself
    assert sizes[1] - sizes[0] < 1.4 * 2 * noise.numel()
