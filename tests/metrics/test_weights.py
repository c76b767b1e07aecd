"""Where weights are looked for, and a download that is cut off, wrong, refused or impossible."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from gantools.errors import DownloadError, WeightsError
from gantools.metrics import weights

CONTENT = bytes(range(256)) * 2000
SHA256 = hashlib.sha256(CONTENT).hexdigest()


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
    file = weights.inception_weights(base_url=server, sha256_prefix=SHA256[:8])
    assert file == private_cache / weights.FILE and file.read_bytes() == CONTENT
    assert weights.sha256_of(file) == SHA256
    # The second time nothing is asked of any server.
    assert weights.inception_weights(base_url="http://127.0.0.1:1/", sha256_prefix=SHA256[:8]) == file
    assert [p.name for p in private_cache.iterdir()] == [weights.FILE]


@pytest.mark.parametrize(("where", "message"), [("", "sha256 begins with"), ("cut/", "cut"), ("missing/", "404")])
def test_a_bad_download_leaves_nothing_and_says_what_to_do(
    server: str, private_cache: Path, where: str, message: str
) -> None:
    with pytest.raises(DownloadError, match=message) as e:
        weights.inception_weights(base_url=server + where)
    assert weights.FILE in str(e.value.hint) and "--weights" in str(e.value.hint)
    assert list(private_cache.iterdir()) == []


def test_no_network_says_which_file_to_put_where(private_cache: Path) -> None:
    with pytest.raises(DownloadError, match="cannot be downloaded") as e:
        weights.inception_weights(base_url="http://127.0.0.1:1/")
    hint = str(e.value.hint)
    assert str(private_cache / weights.FILE) in hint and weights.VARIABLE in hint
    assert weights.BASE_URL + weights.FILE in hint


def test_a_cache_folder_that_cannot_be_made_is_a_download_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("GANTOOLS_CACHE", str(tmp_path / "file" / "below"))
    with pytest.raises(DownloadError):
        weights.inception_weights(base_url="http://127.0.0.1:1/")


def test_the_given_path_wins_over_the_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given, named = tmp_path / "given.pth", tmp_path / "named.pth"
    given.touch()
    named.touch()
    monkeypatch.setenv(weights.VARIABLE, str(named))
    assert weights.inception_weights(given) == given
    assert weights.inception_weights() == named


def test_a_named_file_that_is_not_there_is_an_error_not_a_download(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(WeightsError, match="named by --weights does not exist"):
        weights.inception_weights(tmp_path / "no.pth")
    with pytest.raises(WeightsError, match="is a folder"):
        weights.inception_weights(tmp_path)
    monkeypatch.setenv(weights.VARIABLE, str(tmp_path / "no.pth"))
    with pytest.raises(WeightsError, match=weights.VARIABLE):
        weights.inception_weights()


def test_damaged_cached_weights_are_named(private_cache: Path) -> None:
    private_cache.mkdir()
    (private_cache / weights.FILE).write_bytes(CONTENT)
    with pytest.raises(WeightsError, match="damaged") as e:
        weights.inception_weights()
    assert "Delete it" in str(e.value.hint)
