"""Where weights are looked for, and a download that is cut off, wrong, refused or impossible."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from gantools.errors import DownloadError, WeightsError
from gantools.pretrained.inception import WEIGHTS
from gantools.pretrained.weights import WeightsFile, sha256_of

CONTENT = bytes(range(256)) * 2000
SHA256 = hashlib.sha256(CONTENT).hexdigest()


def at(url: str, sha256: str = WEIGHTS.sha256) -> WeightsFile:
    """The Inception file, published elsewhere."""
    return replace(WEIGHTS, url=url + WEIGHTS.name, sha256=sha256)


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if "missing" in self.path:
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(CONTENT)))
        self.end_headers()
        self.wfile.write(CONTENT[: len(CONTENT) // 2] if "cut" in self.path else CONTENT)

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=httpd.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{httpd.server_port}/"
    httpd.shutdown()
    thread.join()
    httpd.server_close()


def test_a_download_is_checked_and_then_found(server: str, private_cache: Path) -> None:
    file = at(server, SHA256[:8]).find()
    assert file == private_cache / WEIGHTS.name and file.read_bytes() == CONTENT
    assert sha256_of(file) == SHA256
    # The second time nothing is asked of any server.
    assert at("http://127.0.0.1:1/", SHA256[:8]).find() == file
    assert [p.name for p in private_cache.iterdir()] == [WEIGHTS.name]


@pytest.mark.parametrize(("where", "message"), [("", "sha256 begins with"), ("cut/", "cut"), ("missing/", "404")])
def test_a_bad_download_leaves_nothing_and_says_what_to_do(
    server: str, private_cache: Path, where: str, message: str
) -> None:
    with pytest.raises(DownloadError, match=message) as e:
        at(server + where).find()
    assert WEIGHTS.name in str(e.value.hint) and "--weights" in str(e.value.hint)
    assert list(private_cache.iterdir()) == []


def test_no_network_says_which_file_to_put_where(private_cache: Path) -> None:
    with pytest.raises(DownloadError, match="cannot be downloaded") as e:
        at("http://127.0.0.1:1/").find()
    hint = str(e.value.hint)
    assert str(private_cache / WEIGHTS.name) in hint and WEIGHTS.variable in hint
    assert f"http://127.0.0.1:1/{WEIGHTS.name}" in hint


def test_a_cache_folder_that_cannot_be_made_is_a_download_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("GANTOOLS_CACHE", str(tmp_path / "file" / "below"))
    with pytest.raises(DownloadError):
        at("http://127.0.0.1:1/").find()


def test_the_given_path_wins_over_the_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given, named = tmp_path / "given.pth", tmp_path / "named.pth"
    given.touch()
    named.touch()
    monkeypatch.setenv(WEIGHTS.variable, str(named))
    assert WEIGHTS.find(given) == given
    assert WEIGHTS.find() == named


def test_a_named_file_that_is_not_there_is_an_error_not_a_download(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(WeightsError, match="named by --weights does not exist"):
        WEIGHTS.find(tmp_path / "no.pth")
    with pytest.raises(WeightsError, match="is a folder"):
        WEIGHTS.find(tmp_path)
    monkeypatch.setenv(WEIGHTS.variable, str(tmp_path / "no.pth"))
    with pytest.raises(WeightsError, match=WEIGHTS.variable):
        WEIGHTS.find()


def test_damaged_cached_weights_are_named(private_cache: Path) -> None:
    private_cache.mkdir()
    (private_cache / WEIGHTS.name).write_bytes(CONTENT)
    with pytest.raises(WeightsError, match="damaged") as e:
        WEIGHTS.find()
    assert "Delete it" in str(e.value.hint)
