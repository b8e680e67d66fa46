import hashlib
import multiprocessing
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from firstorder.data.images import fetch
from firstorder.data.images.fetch import RemoteFile, fetch_file

CONTENT = bytes(range(256)) * 4096  # 1 MiB
MD5 = hashlib.md5(CONTENT).hexdigest()


class Server(ThreadingHTTPServer):
    """Serve CONTENT at every address, with one fault of `script` a request, then without."""

    daemon_threads = True

    def __init__(self, *script: str) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.script = list(script)
        self.ranges: list[str | None] = []
        self.served = 0
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/files"


class Handler(BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        fault = self.server.script.pop(0) if self.server.script else "none"
        wanted = self.headers.get("Range")
        self.server.ranges.append(wanted)
        if fault.isdigit():
            self.send_error(int(fault))
            return
        content = b"<!DOCTYPE html><html>Sign in</html>" if fault == "html" else CONTENT
        start = int(wanted[6:-1]) if wanted and fault != "no ranges" else 0
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        if fault == "damage":
            content = content[:-1] + b"?"
        end = len(content) // 2 if fault in ("truncate", "stall") else len(content)
        self.server.served += end - start  # before the client can have read it all
        self.wfile.write(content[start:end])
        if fault == "stall":
            time.sleep(1)
        self.close_connection = True

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch, "PAUSE", 0.01)
    monkeypatch.setattr(fetch, "TIMEOUT", 0.3)


@pytest.fixture
def serve() -> Iterator[object]:
    servers: list[Server] = []

    def start(*script: str) -> Server:
        servers.append(Server(*script))
        return servers[-1]

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def remote(*servers: Server, md5: str | None = MD5) -> RemoteFile:
    return RemoteFile("file.zip", md5, tuple(server.url for server in servers))


def test_a_file_is_fetched_once(tmp_path, serve) -> None:
    server = serve()
    for _ in range(2):
        assert fetch_file(remote(server), tmp_path).read_bytes() == CONTENT
    assert len(server.ranges) == 1
    assert [path.name for path in tmp_path.iterdir() if path.suffix != ".lock"] == ["file.zip"]


@pytest.mark.parametrize("fault", ["truncate", "stall"])
def test_a_broken_download_is_resumed_where_it_stopped(tmp_path, serve, fault) -> None:
    server = serve(fault)
    assert fetch_file(remote(server), tmp_path).read_bytes() == CONTENT
    assert server.ranges == [None, f"bytes={len(CONTENT) // 2}-"]
    assert server.served == len(CONTENT)


def test_a_later_call_resumes_what_an_earlier_one_left(tmp_path, serve, monkeypatch) -> None:
    monkeypatch.setattr(fetch, "ATTEMPTS", 1)
    server = serve("truncate")
    with pytest.raises(ValueError, match="/files breaks off"):
        fetch_file(remote(server), tmp_path)
    assert not (tmp_path / "file.zip").exists()
    assert fetch_file(remote(server), tmp_path).read_bytes() == CONTENT
    assert server.served == len(CONTENT)


def test_a_server_that_can_not_resume_starts_again(tmp_path, serve) -> None:
    server = serve("truncate", "no ranges")
    assert fetch_file(remote(server), tmp_path).read_bytes() == CONTENT


def test_a_server_error_is_tried_again(tmp_path, serve) -> None:
    server = serve("500", "503")
    assert fetch_file(remote(server), tmp_path).read_bytes() == CONTENT
    assert len(server.ranges) == 3


def test_a_missing_file_is_not_asked_for_again(tmp_path, serve) -> None:
    server = serve("404", "404")
    with pytest.raises(ValueError, match=r"file.zip could not be downloaded: .* answers 404"):
        fetch_file(remote(server), tmp_path)
    assert len(server.ranges) == 1


def test_a_server_that_keeps_failing_is_named_with_its_answer(tmp_path, serve) -> None:
    server = serve(*["500"] * 9)
    with pytest.raises(ValueError, match=rf"{server.url} answers 500 Internal Server Error"):
        fetch_file(remote(server), tmp_path)
    assert len(server.ranges) == fetch.ATTEMPTS


@pytest.mark.parametrize(
    ("fault", "complaint"), [("html", "a web page in its place"), ("damage", "whose md5 is not")]
)
def test_what_is_not_the_file_is_refused_and_not_kept(tmp_path, serve, fault, complaint) -> None:
    with pytest.raises(ValueError, match=complaint):
        fetch_file(remote(serve(fault)), tmp_path)
    assert [path.name for path in tmp_path.iterdir() if path.suffix != ".lock"] == []


def test_a_web_page_is_told_without_a_checksum(tmp_path, serve) -> None:
    with pytest.raises(ValueError, match="a web page in its place"):
        fetch_file(remote(serve("html"), md5=None), tmp_path)


def test_the_next_folder_is_tried_where_one_fails(tmp_path, serve) -> None:
    servers = serve("404"), serve("damage"), serve()
    assert fetch_file(remote(*servers), tmp_path).read_bytes() == CONTENT


def test_a_mirror_takes_the_place_of_the_public_folders(tmp_path, serve) -> None:
    public, mirror = serve(), serve()
    assert fetch_file(remote(public), tmp_path, mirror.url).read_bytes() == CONTENT
    assert public.ranges == []


def test_a_mirror_can_be_a_folder(tmp_path, serve) -> None:
    (tmp_path / "mirror").mkdir()
    (tmp_path / "mirror" / "file.zip").write_bytes(CONTENT)
    path = fetch_file(remote(serve("404")), tmp_path / "cache", str(tmp_path / "mirror"))
    assert path.read_bytes() == CONTENT


def test_a_folder_without_the_file_is_named(tmp_path, serve) -> None:
    with pytest.raises(ValueError, match="mirror does not hold it"):
        fetch_file(remote(serve()), tmp_path, str(tmp_path / "mirror"))


def test_a_place_that_cannot_be_reached_is_named(tmp_path) -> None:
    with pytest.raises(ValueError, match=r"127.0.0.1:1 cannot be reached"):
        fetch_file(RemoteFile("file.zip", None, ("http://127.0.0.1:1",)), tmp_path)


def test_processes_that_ask_at_once_fetch_once(tmp_path, serve) -> None:
    server = serve()
    context = multiprocessing.get_context("fork")
    processes = [
        context.Process(target=fetch_file, args=(remote(server), tmp_path)) for _ in range(4)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0] * 4
    assert server.served == len(CONTENT)
    assert Path(tmp_path / "file.zip").read_bytes() == CONTENT
