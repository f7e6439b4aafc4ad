"""Downloads against a server on this machine that cuts, forgets ranges, fails and lies as told."""

import hashlib
import shutil
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from medrecon.data.sets.download import download
from medrecon.data.sets.manifest import RemoteFile
from medrecon.errors import InputError

CONTENT = bytes(range(256)) * 12_000


@dataclass
class Behavior:
    """What the server does; `cuts` are the bytes after which it drops each next connection."""

    content: bytes = CONTENT
    ranges: bool = True
    cuts: list[int] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    asked: list[str | None] = field(default_factory=list)


@pytest.fixture
def server() -> Iterator[tuple[str, Behavior]]:
    behavior = Behavior()

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:
            pass

        def do_GET(self) -> None:
            wanted = self.headers.get("Range")
            behavior.asked.append(wanted)
            if behavior.statuses:
                self.send_error(behavior.statuses.pop(0))
                return
            start = int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted and behavior.ranges else 0
            size = len(behavior.content)
            if start >= size:
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{size}")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            self.send_response(206 if start else 200)
            self.send_header("Content-Length", str(size - start))
            if start:
                self.send_header("Content-Range", f"bytes {start}-{size - 1}/{size}")
            self.end_headers()
            stop = start + behavior.cuts.pop(0) if behavior.cuts else size
            self.wfile.write(behavior.content[start:stop])

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{running.server_port}/file.bin", behavior
        running.shutdown()
        thread.join()


def _remote(url: str, content: bytes = CONTENT) -> RemoteFile:
    digest = hashlib.sha256(content).hexdigest()
    return RemoteFile(name="file.bin", url=url, bytes=len(content), sha256=digest)


def test_a_file_comes_whole_and_once(server: tuple[str, Behavior], tmp_path: Path) -> None:
    url, behavior = server
    seen: list[tuple[str, int, int]] = []
    target = tmp_path / "file.bin"
    assert download(_remote(url), target, progress=lambda *step: seen.append(step)) == target
    assert target.read_bytes() == CONTENT
    assert seen[0] == ("file.bin", 0, len(CONTENT))
    assert seen[-1] == ("file.bin", len(CONTENT), len(CONTENT))
    download(_remote(url), target)
    assert behavior.asked == [None]
    assert list(tmp_path.iterdir()) == [target]


def test_a_cut_transfer_goes_on_where_it_stopped(server: tuple[str, Behavior], tmp_path: Path) -> None:
    url, behavior = server
    behavior.cuts = [1_000_000, 500_000]
    download(_remote(url), tmp_path / "file.bin", pause=0)
    assert behavior.asked == [None, "bytes=1000000-", "bytes=1500000-"]
    assert (tmp_path / "file.bin").read_bytes() == CONTENT


def test_a_transfer_that_keeps_stopping_is_continued_by_the_next_call(
    server: tuple[str, Behavior], tmp_path: Path
) -> None:
    url, behavior = server
    behavior.cuts = [700, 0, 0, 0, 0]
    with pytest.raises(InputError, match=r"stopped after 700 bytes .*the same command goes on from there"):
        download(_remote(url), tmp_path / "file.bin", pause=0)
    assert [file.name for file in tmp_path.iterdir()] == ["file.bin.part"]
    download(_remote(url), tmp_path / "file.bin", pause=0)
    assert behavior.asked[-1] == "bytes=700-"
    assert (tmp_path / "file.bin").read_bytes() == CONTENT


def test_a_server_without_ranges_sends_the_file_anew(server: tuple[str, Behavior], tmp_path: Path) -> None:
    url, behavior = server
    behavior.ranges, behavior.cuts = False, [1_000_000]
    download(_remote(url), tmp_path / "file.bin", pause=0)
    assert behavior.asked == [None, "bytes=1000000-"]
    assert (tmp_path / "file.bin").read_bytes() == CONTENT


@pytest.mark.parametrize("length", [1000, len(CONTENT), len(CONTENT) + 5])
def test_a_part_of_another_file_is_thrown_away(server: tuple[str, Behavior], tmp_path: Path, length: int) -> None:
    url, _ = server
    (tmp_path / "file.bin.part").write_bytes(b"x" * length)
    download(_remote(url), tmp_path / "file.bin", pause=0)
    assert (tmp_path / "file.bin").read_bytes() == CONTENT


def test_without_size_and_sha256_nothing_is_continued(server: tuple[str, Behavior], tmp_path: Path) -> None:
    url, behavior = server
    (tmp_path / "file.bin.part").write_bytes(b"x" * 10)
    download(RemoteFile(name="file.bin", url=url), tmp_path / "file.bin", pause=0)
    assert behavior.asked == [None]
    assert (tmp_path / "file.bin").read_bytes() == CONTENT


@pytest.mark.parametrize(("sent", "says"), [(b"y" + CONTENT[1:], "sha256"), (CONTENT[:-1], "bytes, not")])
def test_the_wrong_content_is_refused_and_deleted(
    server: tuple[str, Behavior], tmp_path: Path, sent: bytes, says: str
) -> None:
    url, behavior = server
    behavior.content = sent
    with pytest.raises(InputError, match=rf"{says}.*deleted"):
        download(_remote(url), tmp_path / "file.bin", pause=0)
    assert not list(tmp_path.iterdir())


def test_a_server_in_trouble_is_asked_again_and_a_refusal_is_not(server: tuple[str, Behavior], tmp_path: Path) -> None:
    url, behavior = server
    behavior.statuses = [503, 500]
    download(_remote(url), tmp_path / "file.bin", pause=0)
    behavior.statuses = [404]
    with pytest.raises(InputError, match="the server says 404"):
        download(_remote(url), tmp_path / "other.bin", pause=0)
    assert len(behavior.asked) == 4


def test_no_server(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"cannot be reached .*online"):
        download(_remote("http://127.0.0.1:9/file.bin"), tmp_path / "file.bin", pause=0)


def test_a_full_disk_is_seen_before_anything_is_written(
    server: tuple[str, Behavior], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(tmp_path)._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(InputError, match=r"3 MB are needed and 0 MB are free.*MEDRECON_DATA"):
        download(_remote(server[0]), tmp_path / "file.bin", pause=0)
    assert not list(tmp_path.iterdir())
