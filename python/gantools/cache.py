"""Where gantools keeps what it can make or fetch again, what is there, and how it is cleared."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from gantools.errors import ConfigError

VARIABLE = "GANTOOLS_CACHE"

#: Kinds of entries, as they are listed.
STATISTICS, FEATURES, WEIGHTS, DATA, GIVEN = "statistics", "features", "weights", "downloads", "given weights"
# By names of gantools' own alone, so that a cache folder that is also something else loses nothing of it.
_ARRAYS = re.compile(r"[0-9a-f]{64}\.npz")
_WEIGHTS = re.compile(
    r"(pt_inception-2015-12-05|alexnet-owt|vgg16|vgg19|squeezenet1_1)-[0-9a-f]{8}\.pth"
    r"|lpips-v0\.1-(alex|vgg|squeeze)\.pth|clip-ViT-(B-32|L-14-336px)\.pt|niqe_pris_params\.npz"
)
# Put there by hand, as they are never downloaded: cleared they would be lost.
_GIVEN = re.compile(r"dinov2_vit[sblg]14_pretrain\.pth|vgg_normalised_conv3_1\.pth|mobilefacenet_folded\.npz")
_DATA = frozenset({"MNIST", "FashionMNIST", "CIFAR10", "CIFAR100", "celeba"})


def cache_folder() -> Path:
    """The folder named by `GANTOOLS_CACHE`, else `$XDG_CACHE_HOME/gantools`, else `~/.cache/gantools`."""
    if named := os.environ.get(VARIABLE):
        return Path(named)
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "gantools"


@dataclass(frozen=True)
class Entry:
    """Something in the cache folder that is kept or removed as a whole.

    Attributes:
        kind: `statistics` or `features` of a reference, `weights` of a network, `downloads` of data, or
            `given weights`, which a person put there and which are never removed.
        path: where it lies: a file, or a folder for a download.
        bytes: its size.
        made: when it was written, in seconds since 1970.
        used: when it was last read, as far as the file system keeps that, and not before it was made.
    """

    kind: str
    path: Path
    bytes: int
    made: float
    used: float


def entries(folder: Path | None = None) -> list[Entry]:
    """What gantools keeps in `folder` (None: the cache folder), longest unused first.

    Only what has the name of something that gantools writes there; never a symbolic link, or what is behind one.
    """
    root = cache_folder() if folder is None else folder
    found = list(_found(root))
    return sorted(found, key=lambda e: (e.used, e.path))


def _found(root: Path) -> Iterator[Entry]:
    for kind, place, pattern in (
        (STATISTICS, root / "statistics", _ARRAYS),
        (FEATURES, root / "features", _ARRAYS),
        (WEIGHTS, root, _WEIGHTS),
        (GIVEN, root, _GIVEN),
    ):
        for path in _children(place, link=place == root):
            if pattern.fullmatch(path.name) and path.is_file():
                yield _entry(kind, path, [path])
    for path in _children(root / "data"):
        if path.name in _DATA and path.is_dir():
            yield _entry(DATA, path, [f for f in path.rglob("*") if f.is_file() and not f.is_symlink()])


def _children(folder: Path, link: bool = False) -> list[Path]:
    """What lies in a folder, without symbolic links; nothing where it is not there, or is one and not `link`."""
    if not folder.is_dir() or (folder.is_symlink() and not link):
        return []
    return [path for path in folder.iterdir() if not path.is_symlink()]


def _entry(kind: str, path: Path, files: Sequence[Path]) -> Entry:
    stats = [path.stat(), *(f.stat() for f in files)]
    made = max(s.st_mtime for s in stats)
    return Entry(
        kind, path, sum(f.stat().st_size for f in files), made, max([made, *(f.stat().st_atime for f in files)])
    )


def removable(
    found: Sequence[Entry], *, unused_since: float | None = None, keep_bytes: int | None = None
) -> list[Entry]:
    """Which entries go.

    Args:
        found: of `entries`, longest unused first.
        unused_since: those that were last used before that second since 1970 go.
        keep_bytes: of the rest so many go, the longest unused first, that what stays is no larger; given weights stay
            whatever they take and count.

    Returns:
        Entries, none of them given weights.
    """
    gone = [e for e in found if e.kind != GIVEN and unused_since is not None and e.used < unused_since]
    if keep_bytes is not None:
        left = sum(e.bytes for e in found if e not in gone)
        for e in found:
            if left > keep_bytes and e.kind != GIVEN and e not in gone:
                gone.append(e)
                left -= e.bytes
    return gone


def remove(found: Sequence[Entry]) -> int:
    """Remove entries; gives the bytes that were freed. One that has gone meanwhile is none. OSError: it cannot be."""
    freed = 0
    for e in found:
        try:
            if e.kind == DATA:
                shutil.rmtree(e.path)
            else:
                e.path.unlink()
        except FileNotFoundError:
            continue
        freed += e.bytes
    return freed


_UNITS = {"": 1, "b": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}
_DAYS = {"h": 1 / 24, "d": 1.0, "w": 7.0, "m": 30.0, "y": 365.0}


def parse_bytes(text: str) -> int:
    """A size such as `500M`, `2G` or `1.5 GiB`, by powers of 1024. ConfigError: none."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kmgt]?)(?:i?b)?", text.strip().lower())
    if match is None:
        raise ConfigError(f"{text!r} is no size.", "Write for example 500M or 2G.")
    return int(float(match[1]) * _UNITS[match[2]])


def parse_age(text: str) -> float:
    """Seconds of an age: `12h`, `30d`, `2w`, `6m` (of 30 days), `1y`; a plain number is days. ConfigError: none."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([hdwmy]?)", text.strip().lower())
    if match is None:
        raise ConfigError(f"{text!r} is no age.", "Write for example 30d, 2w or 12h.")
    return float(match[1]) * _DAYS[match[2] or "d"] * 86400


def size_words(n: int) -> str:
    """A number of bytes for a reader: `33.0 MiB`."""
    value, unit = float(n), "B"
    for larger in ("KiB", "MiB", "GiB", "TiB"):
        if value < 1024:
            break
        value, unit = value / 1024, larger
    return f"{n} B" if unit == "B" else f"{value:.1f} {unit}"


def age_words(seconds: float) -> str:
    """An age for a reader: `5 min`, `3 h`, `12 d`."""
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{int(seconds // length)} {unit}"
    return "now"
