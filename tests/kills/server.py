"""A server on this machine that sends the files of a folder slowly: `python -m tests.kills.server FOLDER`."""

import sys
import time
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

PIECE, PAUSE = 1 << 14, 0.004  # bytes, seconds


class Handler(BaseHTTPRequestHandler):
    def __init__(self, folder: Path, *arguments: object) -> None:
        self.folder = folder
        super().__init__(*arguments)  # type: ignore[arg-type]

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        content = (self.folder / Path(self.path).name).read_bytes()
        wanted = self.headers.get("Range")
        start = int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted else 0
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(content) - start))
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.end_headers()
        for place in range(start, len(content), PIECE):
            try:
                self.wfile.write(content[place : place + PIECE])
            except OSError:  # the one who asked was killed
                return
            time.sleep(PAUSE)


if __name__ == "__main__":
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, Path(sys.argv[1]))) as running:
        print(running.server_port, flush=True)
        running.serve_forever(poll_interval=0.05)
