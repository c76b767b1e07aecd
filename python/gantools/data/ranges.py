"""Parts of a large file that is far away: blocks that are kept for a while, and the entries of a zip through them."""

from __future__ import annotations

import hashlib
import io
import threading
import time
import zipfile
import zlib
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

from gantools.errors import DataError

BLOCK = 2 << 20
# What is kept in memory, and how far blocks are asked for ahead of a reader that goes through the file.
KEPT, AHEAD = 64, 4
# A connection may break; the second pause is long enough for a server that is busy.
PAUSES = (0.2, 2.0)
MAX_ENTRY = 1 << 30
LOCAL_HEADER = 30
# The local header may have more extra fields than the directory says.
SLACK = 512
UTF8_NAME, ENCRYPTED = 0x800, 0x1


class Blocks:
    """The bytes of a file, asked for in blocks; may be used by several threads.

    Args:
        fetch: gives the bytes from a first up to a last position; called from any thread.
        size: of the file in bytes.

    Attributes:
        failure: the last error of `fetch` that did not go away when it was tried again.
    """

    def __init__(self, fetch: Callable[[int, int], bytes], size: int) -> None:
        self._fetch, self.size = fetch, size
        self.failure: Exception | None = None
        self._blocks: OrderedDict[int, Future[bytes]] = OrderedDict()
        self._lock = threading.Lock()
        self._pool = ThreadPoolExecutor(AHEAD, thread_name_prefix="gantools-ranges")

    def read(self, start: int, end: int) -> bytes:
        """The bytes from `start` up to `end`, cut off at the end of the file; raises what `fetch` raises."""
        end = min(end, self.size)
        if start >= end:
            return b""
        first, last = start // BLOCK, (end - 1) // BLOCK
        with self._lock:
            ahead = last + AHEAD if first - 1 in self._blocks else last
            futures = [self._block(i) for i in range(first, min(ahead, (self.size - 1) // BLOCK) + 1)]
        try:
            data = b"".join(future.result() for future in futures[: last - first + 1])
        except Exception as e:
            self.failure = e
            raise
        return data[start - first * BLOCK : end - first * BLOCK]

    def _block(self, index: int) -> Future[bytes]:
        future = self._blocks.get(index)
        # One that failed is tried again by the next who wants it.
        if future is None or (future.done() and future.exception() is not None):
            future = self._pool.submit(self._load, index * BLOCK, min((index + 1) * BLOCK, self.size))
            self._blocks[index] = future
            while len(self._blocks) > KEPT:
                self._blocks.popitem(last=False)
        self._blocks.move_to_end(index)
        return future

    def _load(self, start: int, end: int) -> bytes:
        for pause in PAUSES:
            try:
                return self._fetch(start, end)
            except (FileNotFoundError, PermissionError):
                raise
            # Whatever the library raises for a connection that broke.
            except Exception:
                time.sleep(pause)
        return self._fetch(start, end)


class RangeFile(io.RawIOBase):
    """A file to read from and move in, over blocks."""

    def __init__(self, blocks: Blocks) -> None:
        self._blocks, self._at = blocks, 0

    def readable(self) -> bool:
        """True."""
        return True

    def seekable(self) -> bool:
        """True."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """As of any file."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._blocks.size}[whence]
        self._at = max(0, base + offset)
        return self._at

    def tell(self) -> int:
        """The position."""
        return self._at

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """As of any file."""
        data = self._blocks.read(self._at, self._at + len(buffer))
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)


class ZipEntries:
    """The files in a zip, of which only those that are asked for are read.

    Args:
        blocks: the archive.
        where: what it is called, for errors.

    Attributes:
        names: of the files, in the order of the directory; folders are none.
        fingerprint: 32 hexadecimal digits over names, sizes and checksums.

    Raises:
        zipfile.BadZipFile: no zip, or its directory is damaged.
    """

    def __init__(self, blocks: Blocks, where: str) -> None:
        self._blocks = blocks
        with zipfile.ZipFile(io.BufferedReader(RangeFile(blocks), 1 << 16)) as archive:
            self._entries = [entry for entry in archive.infolist() if not entry.is_dir()]
        if not self._entries:
            raise DataError(f"{where}: no file in it.", "Check the address.")
        self.names = [_name(entry) for entry in self._entries]
        digest = hashlib.sha256()
        for name, entry in zip(self.names, self._entries, strict=True):
            digest.update(f"{name!r} {entry.file_size} {entry.CRC:08x}\n".encode())
        self.fingerprint = digest.hexdigest()[:32]

    def read(self, index: int) -> bytes:
        """The content of file `index`. DataError: damaged, encrypted, larger than 1 GiB or of another compression."""
        entry = self._entries[index]
        if entry.flag_bits & ENCRYPTED:
            raise DataError("it is encrypted")
        if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise DataError("its compression is not read")
        if max(entry.file_size, entry.compress_size) > MAX_ENTRY:
            raise DataError("larger than 1 GiB")
        start = entry.header_offset
        guessed = LOCAL_HEADER + len(entry.filename.encode()) + len(entry.extra) + SLACK
        data = self._blocks.read(start, start + guessed + entry.compress_size)
        if data[:4] != b"PK\x03\x04":
            raise DataError("its place in the zip is damaged")
        skipped = LOCAL_HEADER + int.from_bytes(data[26:28], "little") + int.from_bytes(data[28:30], "little")
        if skipped + entry.compress_size > len(data):
            data = self._blocks.read(start, start + skipped + entry.compress_size)
        content = data[skipped : skipped + entry.compress_size]
        if entry.compress_type == zipfile.ZIP_DEFLATED:
            content = _inflated(content, entry.file_size)
        if len(content) != entry.file_size or zlib.crc32(content) != entry.CRC:
            raise DataError("its checksum in the zip is wrong")
        return content


def _inflated(data: bytes, size: int) -> bytes:
    try:
        # One byte more shows that there are more than the directory says.
        return zlib.decompressobj(-15).decompress(data, size + 1)
    except zlib.error as e:
        raise DataError("its compressed data in the zip are damaged") from e


def _name(entry: zipfile.ZipInfo) -> str:
    """The name as it was meant: many tools write UTF-8 without the mark that says so."""
    if entry.flag_bits & UTF8_NAME:
        return entry.orig_filename
    try:
        return entry.orig_filename.encode("cp437").decode("utf-8")
    except UnicodeError:
        return entry.orig_filename
