"""Sources by URL, from a server on this machine and from a file system of fsspec that has folders."""

from __future__ import annotations

import contextlib
import http.server
import importlib
import io
import json
import re
import threading
import zipfile

import numpy as np
import pytest
from PIL import Image

import gantools
from gantools.data import ranges, remote
from gantools.errors import ConfigError, DataError, DownloadError, GantoolsError

fsspec = pytest.importorskip("fsspec")
pytest.importorskip("aiohttp")


class Server(http.server.BaseHTTPRequestHandler):
    """Files by path; how it answers is set on the server that the test has."""

    def log_message(self, *args):
        pass

    def do_HEAD(self):
        self.answer(body=False)

    def do_GET(self):
        self.answer(body=True)

    def answer(self, body):
        state = self.server.state
        path = self.path.partition("?")[0]
        if path in state["status"]:
            self.send_error(state["status"][path])
            return
        data = state["files"].get(path)
        if data is None:
            self.send_error(404)
            return
        wanted = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
        whole, start = len(data), 0
        if wanted and state["ranges"]:
            start = int(wanted[1])
            data = data[start : int(wanted[2]) + 1]
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{start + len(data) - 1}/{whole}")
        else:
            self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.send_header("ETag", f'"{hash(state["files"][path])}"')
        self.end_headers()
        if body:
            state["sent"] += len(data)
            state["requests"] += 1
            if state["cut"] and state["requests"] > state["cut"]:
                data = data[: len(data) // 2]
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                self.wfile.write(data)
            if state["cut"] and state["requests"] > state["cut"]:
                self.close_connection = True


@pytest.fixture
def server(tmp_path, monkeypatch):
    monkeypatch.setenv("GANTOOLS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(ranges, "PAUSES", (0.0, 0.0))
    fsspec.filesystem("http").invalidate_cache()
    httpd = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server)
    httpd.state = {"files": {}, "ranges": True, "status": {}, "cut": 0, "sent": 0, "requests": 0}
    threading.Thread(target=httpd.serve_forever, daemon=True).start()
    httpd.url = f"http://127.0.0.1:{httpd.server_port}"
    yield httpd
    httpd.shutdown()
    httpd.server_close()


def png(seed, size=40):
    buffer = io.BytesIO()
    pixels = np.random.default_rng(seed).integers(0, 256, (size, size, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def zipped(files, method=zipfile.ZIP_STORED):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return buffer.getvalue()


PHOTOS = {f"set/{'cat' if i % 3 else 'dög'}/{i:02d}.png": png(i) for i in range(12)} | {"set/cat/readme.md": b"x"}
DATASET = {
    "a/0.png": png(0),
    "a/1.png": png(1),
    "dataset.json": json.dumps({"labels": [["a/0.png", 4], ["a/1.png", 2]]}),
}


def prep(kind, place, **options):
    return gantools.prep(kind, size=16, out=place, progress=False, overwrite=True, **options)


def same(ours, theirs):
    np.testing.assert_array_equal(ours.gather(np.arange(len(ours))), theirs.gather(np.arange(len(theirs))))
    assert (ours.names, ours.classes) == (theirs.names, theirs.classes)
    assert (ours.labels is None) == (theirs.labels is None)
    assert ours.labels is None or ours.labels.tolist() == theirs.labels.tolist()


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
@pytest.mark.parametrize("files", [PHOTOS, DATASET], ids=["photos", "dataset.json"])
def test_a_zip_read_by_ranges_is_the_set_of_the_zip(tmp_path, server, files, method):
    data = zipped(files, method)
    (tmp_path / "x.zip").write_bytes(data)
    server.state["files"]["/sets/x.zip"] = data
    url = f"{server.url}/sets/x.zip?download=1"
    ours = prep(url, tmp_path / "ours")
    same(ours, prep(str(tmp_path / "x.zip"), tmp_path / "theirs"))
    assert ours.manifest["source"]["skipped" if files is PHOTOS else "kind"] in ({".md": 1}, "stylegan")
    # A second time there is nothing to do, and nothing is kept in the cache.
    assert gantools.prep(url, size=16, out=tmp_path / "ours", progress=False).manifest == ours.manifest
    assert not (tmp_path / "cache").exists()
    named = "stylegan" if files is DATASET else "folder"
    same(prep(named, tmp_path / "named", source=url), ours)


def test_of_a_large_zip_only_what_is_wanted_is_read(tmp_path, server):
    rng = np.random.default_rng(0)
    files = {f"{i:02d}.png": png(i, 16) + rng.bytes(1 << 20) for i in range(48)}
    server.state["files"]["/x.zip"] = zipped(files)
    s = prep(f"{server.url}/x.zip", tmp_path / "s", limit=2)
    assert len(s) == 2
    assert server.state["sent"] < len(server.state["files"]["/x.zip"]) / 4


@pytest.mark.parametrize("name", ["x.zip", "x.tar", "x.npz", "x.parquet"])
def test_other_files_and_servers_without_ranges_are_fetched_once(tmp_path, server, capsys, name):
    if name == "x.zip":
        data = zipped(PHOTOS)
        server.state["ranges"] = False
    elif name == "x.tar":
        from tests.data.sources.makers import write_tar

        data = write_tar(tmp_path / name, PHOTOS).read_bytes()
    elif name == "x.npz":
        buffer = io.BytesIO()
        np.savez(buffer, x=np.random.default_rng(0).integers(0, 256, (5, 16, 16, 3), dtype=np.uint8), y=np.arange(5))
        data = buffer.getvalue()
    else:
        pyarrow = pytest.importorskip("pyarrow")
        import pyarrow.parquet as pq

        table = {"image": [{"bytes": png(i), "path": f"{i}.png"} for i in range(3)], "label": [0, 1, 0]}
        pq.write_table(pyarrow.table(table), tmp_path / name)
        data = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(data)
    server.state["files"][f"/{name}"] = data
    ours = gantools.prep(f"{server.url}/{name}", size=16, out=tmp_path / "ours")
    words = capsys.readouterr().err
    assert f"Fetching {server.url}/{name} ({len(data):,} bytes)" in words
    assert f"sha256 {remote.hashlib.sha256(data).hexdigest()}" in words
    same(ours, prep(str(tmp_path / name), tmp_path / "theirs"))
    sent = server.state["sent"]
    gantools.prep(f"{server.url}/{name}", size=16, out=tmp_path / "again")
    # A server without ranges answers the question for one with the whole file, which is not waited for.
    assert name == "x.zip" or server.state["sent"] - sent < 100
    assert "is in the cache" in capsys.readouterr().err
    # A file that was replaced is fetched again.
    server.state["files"][f"/{name}"] = b"no set any more"
    fsspec.filesystem("http").invalidate_cache()
    with pytest.raises(GantoolsError):
        prep(f"{server.url}/{name}", tmp_path / "other")


def fails(kind, place, **options):
    with pytest.raises(GantoolsError) as error:
        prep(kind, place, **options)
    assert "\n" not in error.value.message and error.value.hint
    assert not re.search(r"Error|Exception|aiohttp|errno|fsspec|object at", str(error.value))
    assert not place.exists()
    return error.value


def test_errors_are_one_line_each(tmp_path, server):
    files, place = server.state["files"], tmp_path / "s"
    files["/x.zip"] = zipped(PHOTOS)
    error = fails(f"{server.url}/gone.zip", place)
    assert isinstance(error, DownloadError) and "there is no such file" in error.message
    server.state["status"] = {"/secret.zip": 403, "/broken.zip": 500}
    assert "access is denied" in fails(f"{server.url}/secret.zip", place).message
    assert "error 500" in fails(f"{server.url}/broken.zip", place).message
    assert "host no.such.host.invalid is not known" in fails("https://no.such.host.invalid/x.zip", place).message
    port = server.server_port
    files["/half.zip"] = files["/x.zip"][: len(files["/x.zip"]) // 2]
    error = fails(f"{server.url}/half.zip", place)
    assert isinstance(error, DataError) and "damaged zip" in error.message
    files["/empty.zip"] = zipped({})
    fails(f"{server.url}/empty.zip", place)
    files["/text.zip"] = b"no zip, but long enough to be one"
    fails(f"{server.url}/text.zip", place)
    assert "no image in it" in _message(server, files, place)
    assert "given twice" in fails(f"{server.url}/x.zip", place, source="there").message
    server.shutdown()
    server.server_close()
    assert "refuses the connection" in fails(f"http://127.0.0.1:{port}/x.zip", place).message


def _message(server, files, place):
    files["/none.zip"] = zipped({"a.txt": b"x"})
    return fails(f"{server.url}/none.zip", place).message


@pytest.mark.parametrize("with_ranges", [True, False])
def test_an_answer_that_ends_early_is_no_set_and_no_rejects(tmp_path, server, with_ranges):
    rng = np.random.default_rng(0)
    files = {f"{i:02d}.png": png(i, 16) + rng.bytes(1 << 20) for i in range(12)}
    server.state["files"]["/x.zip"] = zipped(files)
    server.state["ranges"] = with_ranges
    # The directory still comes, then answers are cut.
    server.state["cut"] = 3 if with_ranges else 1
    error = fails(f"{server.url}/x.zip", tmp_path / "s", shard_size=2)
    assert isinstance(error, DownloadError) and "the answer ends early" in error.message
    assert "Run the same command again" in error.hint
    server.state["cut"] = 0
    assert len(prep(f"{server.url}/x.zip", tmp_path / "s", shard_size=2)) == 12


def test_a_damaged_image_in_a_zip_is_a_reject_with_its_reason(tmp_path, server):
    data = zipped(PHOTOS)
    at = data.index(PHOTOS["set/cat/01.png"])
    server.state["files"]["/x.zip"] = data[: at + 100] + b"????" + data[at + 104 :]
    s = prep(f"{server.url}/x.zip", tmp_path / "s")
    reject = json.loads((tmp_path / "s/rejects.jsonl").read_text())
    assert (len(s), reject["name"]) == (11, "set/cat/01.png")
    assert reject["reason"].endswith("its checksum in the zip is wrong")


def test_a_folder_of_a_file_system_that_has_folders(tmp_path, monkeypatch):
    from fsspec.implementations.memory import MemoryFileSystem

    monkeypatch.setenv("GANTOOLS_CACHE", str(tmp_path / "cache"))

    class Bucket(MemoryFileSystem):
        protocol = "s3"
        store, pseudo_dirs = {}, [""]

        @classmethod
        def _strip_protocol(cls, path):
            return "/" + path.removeprefix("s3://").strip("/")

    monkeypatch.setitem(importlib.import_module("fsspec.registry")._registry, "s3", Bucket)
    for name, data in PHOTOS.items():
        Bucket().pipe_file(f"/bucket/photos/{name}", data)
    s = prep("s3://bucket/photos", tmp_path / "s")
    assert (len(s), s.classes) == (12, ["cat", "dög"])
    assert [name.partition("/")[2] for name in s.names] == [name.partition("/")[2] for name in sorted(s.names)]
    Bucket().pipe_file("/bucket/x.zip", zipped(PHOTOS))
    same(prep("s3://bucket/x.zip", tmp_path / "z"), s)


def test_a_missing_package_is_named(tmp_path, monkeypatch):
    for scheme, package in (("s3", "s3fs"), ("gs", "gcsfs")):
        if not _installed(package):
            with pytest.raises(ConfigError, match=rf"pip install 'gantools\[remote\]' {package}"):
                prep(f"{scheme}://bucket/x.zip", tmp_path / "s")


def _installed(package):
    import importlib.util

    return importlib.util.find_spec(package) is not None


def test_what_is_a_url():
    for text in ("https://host/x.zip", "s3://b/k", "HTTP://h/x", "hf://datasets/a/b", "gs://b/k"):
        assert remote.is_url(text)
    for text in ("photos", "/data/https:/x", "C://x", "ftp://h/x", "http:/x", "a=http://x"):
        assert not remote.is_url(text)
