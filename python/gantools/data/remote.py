"""Sources by URL (`https`, `s3`, `gs`, `hf`), through fsspec: the extra `remote`.

Of a zip only the directory and the images that are wanted are read, by ranges; nothing is kept. Everything else, and a
zip on a server that gives no ranges, is fetched once into gantools' cache and then read as a file.
"""

from __future__ import annotations

import hashlib
import http
import json
import re
import urllib.request
import zipfile
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar
from urllib.parse import unquote, urlsplit

from gantools import _native
from gantools.cache import cache_folder
from gantools.data.ranges import Blocks, ZipEntries
from gantools.data.sources import Asked, Source, check_asked, folder, open_as, recognise, stylegan
from gantools.data.sources.tree import Tree, path_of
from gantools.errors import ConfigError, DataError, DownloadError, GantoolsError, cause
from gantools.files import atomic_write, write_json
from gantools.progress import Progress

#: Scheme -> the package that fsspec needs for it.
SCHEMES = {"https": "aiohttp", "http": "aiohttp", "s3": "s3fs", "gs": "gcsfs", "gcs": "gcsfs", "hf": "huggingface_hub"}
CHUNK = 1 << 20
TIMEOUT = 30
CHECK = "Check the address."
# What tells that a file was replaced, under the names that the file systems have for it.
MARKS = ("size", "ETag", "etag", "Last-Modified", "LastModified", "md5Hash", "blob_id", "sha256")

Say = Callable[[str], None]
T = TypeVar("T")


def is_url(text: str | Path) -> bool:
    """Whether a source is given by a URL of a kind that is read."""
    return isinstance(text, str) and text.partition("://")[0].lower() in SCHEMES and "://" in text


def open_url(
    url: str,
    kind: str | None,
    split: str | None,
    asked: Asked | None = None,
    *,
    progress: bool = True,
    say: Say = print,
) -> Source:
    """The images at a URL.

    Args:
        url: of a zip, or of any file that is a source; of `s3`, `gs` and `hf` also of a folder.
        kind: the source's name; None to recognise it.
        split: as for that source.
        asked: as for that source.
        progress: show a progress bar while a file is fetched.
        say: called with a line for the user.

    Raises:
        ConfigError: a package is missing, or the kind is none that has a path.
        DownloadError: no such host or file, no access, or an answer that ends early.
        DataError: as for that source.
    """
    place = _Place(url)
    if place.is_folder():
        path = place.fetch_folder(progress, say)
    else:
        # A .npz is a zip as well, whose arrays are read where they lie in the file.
        wanted = kind in ("folder", "stylegan") or (kind is None and not place.name.lower().endswith(".npz"))
        if wanted and place.ranges() and place.is_zip():
            source = _of_zip(place, kind, split, say)
            check_asked(source.kind, asked)
            return source
        path = place.fetch(progress, say)
    if kind is None:
        kind, words = recognise(path)
        say(f"{url} is taken for {words} (source {kind}).")
    return open_as(kind, path, split, asked)


def _of_zip(place: _Place, kind: str | None, split: str | None, say: Say) -> Source:
    blocks = Blocks(place.read, place.size)
    entries = place.guarded(lambda: ZipEntries(blocks, place.name))
    reader = _native.Source.fetched(entries.names, entries.fingerprint, entries.read)
    tree = Tree(Path(place.name), entries.names, reader)
    dataset = stylegan.dataset_in(tree.names) if kind != "folder" else None
    say(f"{place.url} is a zip of {place.size:,} bytes, read by ranges (source {'stylegan' if dataset else 'folder'}).")
    if dataset is None and kind == "stylegan":
        raise DataError(f"{place.url}: no dataset.json in it.", f"Type: gantools prep folder --source {place.url}")
    stem = PurePosixPath(place.name).stem or "images"

    def opened() -> Source:
        if dataset is not None:
            return stylegan.source_of_tree(tree, stem, split)
        return folder.source_of_tree(tree, "folder", stem, split)

    source = place.guarded(opened)
    return source.with_failure(lambda: place.failed(blocks.failure) if blocks.failure is not None else None)


class _Place:
    """A file or folder on a server.

    Attributes:
        url: as the user gave it.
        name: the last part of its path.
        size: in bytes; 0 where the server does not say.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        parts = urlsplit(url)
        scheme = parts.scheme.lower()
        path = unquote(parts.path if scheme in ("http", "https") else parts.netloc + parts.path)
        self.name = re.sub(r"[^\w.()-]+", "-", PurePosixPath(path).name) or "images"
        self._web = scheme in ("http", "https")
        try:
            import fsspec

            # The usual variables name a proxy.
            options = {"client_kwargs": {"trust_env": True}} if self._web else {}
            self._files, self._path = fsspec.core.url_to_fs(url, **options)
        except ImportError:
            package = "" if SCHEMES[scheme] == "aiohttp" else f" {SCHEMES[scheme]}"
            raise ConfigError(
                f"{url}: reading {scheme} needs packages that are not installed.",
                f"Type: pip install 'gantools[remote]'{package}",
            ) from None
        self._info: dict[str, Any] = self.guarded(lambda: dict(self._files.info(self._path)))
        self.size = int(self._info.get("size") or 0)

    def guarded(self, work: Callable[[], T]) -> T:
        """What `work` gives; its errors in words."""
        try:
            return work()
        except GantoolsError:
            raise
        except zipfile.BadZipFile as e:
            raise DataError(f"{self.url}: a damaged zip, or none.", "Fetch it and look at it.") from e
        # The file systems have many classes of errors, not all of them of one family.
        except Exception as e:
            raise self.failed(e) from e

    def failed(self, error: BaseException) -> DownloadError:
        """An error of a file system, in words."""
        # Whatever keeps fsspec from asking for a web file's size it calls a missing file; the cause is behind it.
        while isinstance(error, FileNotFoundError) and error.__cause__ is not None:
            error = error.__cause__
        status = getattr(error, "status", None)
        if isinstance(error, FileNotFoundError) or status in (404, 410):
            return DownloadError(f"{self.url}: there is no such file{f' ({status})' if status else ''}.", CHECK)
        if isinstance(error, PermissionError) or status in (401, 403):
            return DownloadError(
                f"{self.url}: access is denied{f' ({status})' if status else ''}.",
                "Log in as the service wants it (a token or keys in its usual variables), or fetch the file yourself.",
            )
        if isinstance(status, int) and status >= 400:
            return DownloadError(f"{self.url}: the server answers with error {status}.", "Try again later.")
        host = urlsplit(self.url).hostname
        kind = type(error).__name__
        if "DNS" in kind or "Connector" in kind or isinstance(error, ConnectionError):
            refused = isinstance(getattr(error, "os_error", error), ConnectionRefusedError)
            what = "refuses the connection" if refused else "is not known, or there is no network"
            return DownloadError(f"{self.url}: the host {host} {what}.", "Check the address and the network.")
        if "Payload" in kind or "Disconnected" in kind or isinstance(error, EOFError):
            return DownloadError(
                f"{self.url}: the answer ends early.", "Run the same command again; what is done is kept."
            )
        words = "no answer in time" if "Timeout" in kind else cause(error)
        return DownloadError(f"{self.url}: cannot be read ({words}).", "Check the address and the network.")

    def is_folder(self) -> bool:
        """Whether it is a folder, which web servers do not have."""
        return not self._web and self._info.get("type") == "directory"

    def ranges(self) -> bool:
        """Whether the server gives parts of the file; asked for by reading one."""
        if not self.size or self._info.get("partial") is False:
            return False
        if not self._web:
            return True
        # A server that knows no ranges sends the whole file, which is not waited for.
        request = urllib.request.Request(self.url, headers={"Range": "bytes=0-3", "Accept-Encoding": "identity"})
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT) as answer:
                return bool(answer.status == http.HTTPStatus.PARTIAL_CONTENT)
        except OSError:
            return False

    def is_zip(self) -> bool:
        """Whether the file begins as a zip does."""
        return self.size >= 4 and bool(self.guarded(lambda: self.read(0, 4)) == b"PK\x03\x04")

    def read(self, start: int, end: int) -> bytes:
        """The bytes from `start` up to `end`. EOFError: the answer has another length."""
        data: bytes = self._files.cat_file(self._path, start=start, end=end)
        if len(data) != end - start:
            raise EOFError(f"{len(data)} of {end - start} bytes came")
        return data

    def fetch(self, progress: bool, say: Say) -> Path:
        """The file in the cache, fetched where it is not there or was replaced on the server."""
        return self._fetched(self._path, self.name, self._info, _cache(self.url), progress, say)

    def fetch_folder(self, progress: bool, say: Say) -> Path:
        """The folder in the cache with all its files."""
        listed: dict[str, dict[str, Any]] = self.guarded(lambda: self._files.find(self._path, detail=True))
        if not listed:
            raise DataError(f"{self.url}: no file in it.", CHECK)
        root = _cache(self.url)
        total = sum(int(info.get("size") or 0) for info in listed.values())
        say(f"{self.url} is a folder of {len(listed):,} files, {total:,} bytes.")
        above = self._path.rstrip("/") + "/"
        for path, info in sorted(listed.items()):
            inner = path_of(path.removeprefix(above))
            self._fetched(path, inner, info, root, progress, lambda _: None)
        return root / self.name

    def _fetched(self, path: str, name: str, info: dict[str, Any], root: Path, progress: bool, say: Say) -> Path:
        target = root / (name if name == self.name else f"{self.name}/{name}")
        marks = {key: str(info[key]) for key in MARKS if info.get(key) is not None}
        origin = root / "origins" / f"{hashlib.sha256(name.encode()).hexdigest()[:16]}.json"
        if target.is_file() and origin.is_file():
            known = json.loads(origin.read_text())
            if known["marks"] == marks:
                say(f"{self.url} is in the cache: {target}, sha256 {known['sha256']}.")
                return target
        size = int(info.get("size") or 0)
        digest = hashlib.sha256()
        target.parent.mkdir(parents=True, exist_ok=True)
        origin.parent.mkdir(exist_ok=True)
        say(f"Fetching {self.url}{f' ({size:,} bytes)' if size else ''} into {target.parent}.")

        def copy() -> None:
            done = 0
            options = {"block_size": 0} if self._web else {}
            with (
                atomic_write(target) as f,
                Progress(f"fetching {name}", size or 1, unit="bytes", show=progress) as bar,
                self._files.open(path, "rb", **options) as answer,
            ):
                while data := answer.read(CHUNK):
                    f.write(data)
                    digest.update(data)
                    done += len(data)
                    bar.update(min(done, size or done))
                if size and done != size:
                    raise EOFError

        self.guarded(copy)
        write_json(origin, {"url": self.url, "marks": marks, "sha256": digest.hexdigest()})
        say(f"{target}: sha256 {digest.hexdigest()}.")
        return target


def _cache(url: str) -> Path:
    return cache_folder() / "data" / "remote" / hashlib.sha256(url.encode()).hexdigest()[:16]
