"""Files of statistics: ours, and those of pytorch-fid, TTUR, clean-fid, ADM (guided-diffusion) and EDM2.

| kind | file | holds |
|---|---|---|
| `gantools` | `.npz` | statistics and features of any layers, and a note that says of which |
| `pytorch-fid` | `.npz` | `mu`, `sigma` (TTUR and clean-fid write the same); what they were made with is not said |
| `clean-fid` | `.npz` | `feats`, features for KID |
| `adm` | `.npz` | `mu`, `sigma` of pool3, `mu_s`, `sigma_s` of the spatial layer, perhaps images `arr_0`; protocol tf |
| `edm2` | `.pkl` | a dict of `fid` (pool3, protocol tf) and `fd_dinov2`, each with `mu`, `sigma` |

No pickled code is run, neither of a `.npz` nor of a `.pkl`.
"""

from __future__ import annotations

import contextlib
import fnmatch
import hashlib
import json
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gantools import unpickle as pickles
from gantools.data.sources.array import holds_images
from gantools.errors import ConfigError, DataError, MetricError
from gantools.files import atomic_write
from gantools.metrics.networks.extractor import Extractor
from gantools.metrics.numbers.frechet import FeatureSums, Statistics

FORMAT = "gantools-statistics"
#: Raised whenever files of this layout would be read in another way.
FORMAT_VERSION = 2
#: EDM2's files have 34 MB; pickles are held in memory while they are read.
MAX_PICKLE_BYTES = 1 << 30
HINT = "Give a .npz with mu (d,) and sigma (d, d), or the images themselves."
# What a damaged .npz comes to.
_DAMAGE = (OSError, ValueError, EOFError, TypeError, KeyError, zipfile.BadZipFile, zlib.error, NotImplementedError)
POOL3, SPATIAL = 2048, 2023


@dataclass(frozen=True)
class Entry:
    """The statistics or features of one layer in a file; what the file does not say is None.

    Attributes:
        dims: width of a feature.
        n: images.
        extractor: name of the network; `dinov2*` for any of those names.
        layer: of that network.
        protocol: how images came to it.
        weights_sha256: of the network's weights.
        statistics: mean and covariance; None where the file has features alone.
        features: name of the array of features float32 (n, dims); None where it has none.
    """

    dims: int
    n: int | None = None
    extractor: str | None = None
    layer: str | None = None
    protocol: str | None = None
    weights_sha256: str | None = None
    statistics: Statistics | None = None
    features: str | None = None

    def differences(self, extractor: Extractor, layer: str) -> list[str]:
        """In what these are not the features of `layer` of `extractor`, each as `WHAT (file: A, asked for: B)`."""
        found = []
        if self.extractor is not None and not fnmatch.fnmatchcase(extractor.name, self.extractor):
            found.append(_difference("extractor", self.extractor, extractor.name))
        if self.layer is not None and self.layer != layer:
            found.append(_difference("layer", self.layer, layer))
        if self.dims != extractor.layers[layer]:
            found.append(_difference("width", self.dims, extractor.layers[layer]))
        if self.protocol is not None and self.protocol != extractor.protocol:
            found.append(_difference("protocol", self.protocol, extractor.protocol))
        if self.weights_sha256 is not None and self.weights_sha256 != extractor.weights_sha256:
            found.append(_difference("weights", self.weights_sha256[:8], extractor.weights_sha256[:8]))
        return found


def _difference(what: str, file: object, asked: object) -> str:
    return f"{what} (file: {file}, asked for: {asked})"


@dataclass(frozen=True)
class StatisticsFile:
    """A file of statistics that has been read; features are read when they are asked for.

    Attributes:
        path: where it lies.
        kind: `gantools`, `pytorch-fid`, `clean-fid`, `adm` or `edm2`.
        sha256: of the file.
        entries: what it holds, at least one.
        reference: what the images were, as in `references.Reference.id`, where the file says so.
        images: number of images it holds as well, 0 for none.
    """

    path: Path
    kind: str
    sha256: str
    entries: tuple[Entry, ...]
    reference: str | None = None
    images: int = 0

    @property
    def n(self) -> int | None:
        """Images of the first entry."""
        return self.entries[0].n

    def find(self, extractor: Extractor, layer: str) -> Entry:
        """The entry for `layer` of `extractor`. MetricError: the file has none; it says what the nearest differs in."""
        differences = {i: entry.differences(extractor, layer) for i, entry in enumerate(self.entries)}
        best = min(differences, key=lambda i: len(differences[i]))
        if not differences[best]:
            return self.entries[best]
        holds = "; ".join(words(entry) for entry in self.entries)
        raise MetricError(
            f"{self.path}: holds other statistics than those asked for; it differs in "
            f"{', '.join(differences[best])}. It holds: {holds}.",
            "Ask for what the file was made with (gantools ref show says it), or give the images instead of the file.",
        )

    def statistics(self, extractor: Extractor, layer: str) -> Statistics:
        """Mean and covariance of `layer` of `extractor`. MetricError: as `find`."""
        entry = self.find(extractor, layer)
        if entry.statistics is not None:
            return entry.statistics
        return FeatureSums.of(self.features_of(entry)).statistics()

    def features(self, extractor: Extractor, layer: str, needed_by: str) -> NDArray[np.float32]:
        """float32 (n, dims). MetricError: as `find`, or there are none; it says that `needed_by` needs them."""
        entry = self.find(extractor, layer)
        if entry.features is None:
            raise MetricError(
                f"{self.path}: holds means and covariances, no features of single images; {needed_by} needs them.",
                "Give the images themselves, or a file made from them with: gantools ref make IMAGES --features",
            )
        return self.features_of(entry)

    def features_of(self, entry: Entry) -> NDArray[np.float32]:
        """float32 (n, dims), those of an entry that has any. DataError: the array is damaged."""
        assert entry.features is not None
        with _reading(self.path), open_npz(self.path) as z:
            features = np.asarray(z[entry.features], np.float32)
        if features.ndim != 2 or features.shape[1] != entry.dims or len(features) < 2:
            raise DataError(f"{self.path}: {entry.features} {features.shape} are no features of width {entry.dims}.")
        if not np.isfinite(features).all():
            raise DataError(f"{self.path}: {entry.features} is not finite.")
        return features


def words(entry: Entry) -> str:
    """What an entry is, in words, for example `inception 2048 by protocol tf`."""
    name = " ".join([entry.extractor or "features of a network that is not named", entry.layer or ""]).strip()
    width = "" if entry.layer == str(entry.dims) else f", width {entry.dims}"
    return f"{name}{width}" + (f" by protocol {entry.protocol}" if entry.protocol else "")


def is_statistics(path: Path) -> bool:
    """Whether `path` is to be read as a file of statistics: a `.pkl`, or a `.npz` that does not hold images alone."""
    if path.suffix.lower() == ".pkl":
        return True
    if path.suffix.lower() != ".npz":
        return False
    with contextlib.suppress(*_DAMAGE), open_npz(path) as z:
        return "mu" in z or "feats" in z or not holds_images(z.files)
    return True


def read_statistics(path: str | Path) -> StatisticsFile:
    """Read a file of statistics of any kind the module names.

    Raises:
        DataError: missing, damaged, of a newer version, or without statistics.
    """
    file = Path(path)
    with _reading(file):
        if file.suffix.lower() == ".pkl":
            return _read_edm2(file)
        digest = _sha256(file)
        with open_npz(file) as z:
            note = _note(file, z)
            if note is not None:
                entries = tuple(_own_entry(file, z, given) for given in note["entries"])
                return StatisticsFile(file, "gantools", digest, entries, note.get("reference"))
            if "feats" in z and "mu" not in z:
                return StatisticsFile(file, "clean-fid", digest, (_features_entry(file, z),))
            if "mu_s" in z:
                pool3 = Entry(POOL3, None, "inception", "2048", "tf", None, _statistics(file, z, "mu", "sigma"))
                spatial = _statistics(file, z, "mu_s", "sigma_s")
                entries = (pool3, replace(pool3, dims=SPATIAL, layer="spatial", statistics=spatial))
                for entry in entries:
                    assert entry.statistics is not None
                    if entry.statistics.dims != entry.dims:
                        raise DataError(f"{file}: statistics of width {entry.statistics.dims}, not {entry.dims}.", HINT)
                return StatisticsFile(file, "adm", digest, entries, None, _length(z, "arr_0"))
            statistics = _statistics(file, z, "mu", "sigma", "features" if "features" in z else None, "n")
            entry = Entry(statistics.dims, statistics.n, statistics=statistics)
            if statistics.features is not None:
                entry = replace(entry, features="features")
            return StatisticsFile(file, "pytorch-fid", digest, (entry,), None, _length(z, "arr_0"))


def _own_entry(file: Path, z: Any, given: Mapping[str, Any]) -> Entry:
    names = {key: given.get(key) for key in ("extractor", "layer", "protocol", "weights_sha256")}
    if not all(value is None or isinstance(value, str) for value in names.values()):
        raise DataError(f"{file}: its note is damaged.", HINT)
    features = given.get("features")
    mu, sigma, n = given.get("mu", "mu"), given.get("sigma", "sigma"), given.get("n", "n")
    statistics = _statistics(file, z, mu, sigma, features if features in z else None, n)
    kept = features if isinstance(features, str) and features in z else None
    return Entry(statistics.dims, statistics.n, **names, statistics=statistics, features=kept)


def _features_entry(file: Path, z: Any) -> Entry:
    shape = _shape(z, "feats")
    if len(shape) != 2 or shape[0] < 2 or shape[1] < 1:
        raise DataError(f"{file}: feats {shape} are no features (n, d).", HINT)
    return Entry(shape[1], shape[0], features="feats")


def _note(file: Path, z: Any) -> dict[str, Any] | None:
    """The note of a file of ours, with `entries`; None for any other file."""
    if "note" not in z:
        return None
    note = json.loads(str(z["note"]))
    if not isinstance(note, dict) or note.get("format") != FORMAT:
        return None
    if note.get("version") != FORMAT_VERSION:
        raise DataError(
            f"{file}: statistics of version {note.get('version')}, this gantools reads {FORMAT_VERSION}.",
            "Make the file again from the images with: gantools ref make",
        )
    entries = note.get("entries")
    if not isinstance(entries, list) or not entries or not all(isinstance(entry, dict) for entry in entries):
        raise DataError(f"{file}: its note is damaged.", HINT)
    return {**note, "entries": entries}


def _statistics(
    file: Path, z: Any, mu: str, sigma: str, features: str | None = None, n: str | None = None
) -> Statistics:
    missing = [k for k in (mu, sigma) if k not in z]
    if missing:
        raise DataError(f"{file}: has no array {missing[0]!r} (it has {', '.join(z) or 'nothing'}).", HINT)
    count = int(z[n]) if n is not None and n in z else -1
    few = None
    if features is not None:
        shape = _shape(z, features)
        if len(shape) == 2 and shape[0] <= shape[1]:
            few = np.asarray(z[features], np.float32)
    return checked(file, Statistics(count if count >= 0 else None, _f8(z[mu]), _f8(z[sigma]), few))


def _f8(values: Any) -> NDArray[np.float64]:
    return np.asarray(values, np.float64)


def checked(file: Path, statistics: Statistics) -> Statistics:
    """`statistics` as read from `file`. DataError: shapes that do not fit, or numbers that are not finite."""
    mean, covariance, features = statistics.mean, statistics.covariance, statistics.features
    d = mean.size
    fits = mean.shape == (d,) and d > 0 and covariance.shape == (d, d)
    if not fits or (features is not None and features.shape != (statistics.n, d)):
        raise DataError(f"{file}: mu {mean.shape} and sigma {covariance.shape} do not go together.", HINT)
    if not (np.isfinite(mean).all() and np.isfinite(covariance).all()):
        raise DataError(f"{file}: mu or sigma is not finite.", HINT)
    return statistics


# What EDM2 calls its metrics: the extractor's name, its layer, its protocol.
_EDM2: dict[str, tuple[str, str | None, str | None]] = {
    "fid": ("inception", str(POOL3), "tf"),
    "fd_dinov2": ("dinov2*", None, None),
}


def _read_edm2(file: Path) -> StatisticsFile:
    hint = "EDM2's reference statistics are a dict of metric -> {mu, sigma}. Give those, a .npz or the images."
    if file.stat().st_size > MAX_PICKLE_BYTES:
        raise DataError(f"{file}: larger than 1 GiB.", hint)
    data = file.read_bytes()
    try:
        found = pickles.load(data)
    except ValueError as e:
        raise DataError(f"{file}: not a pickle of arrays alone, so it is not read ({e}).", hint) from e
    entries = []
    for name, pair in found.items() if isinstance(found, dict) else ():
        if isinstance(pair, dict) and all(isinstance(pair.get(k), np.ndarray) for k in ("mu", "sigma")):
            statistics = checked(file, Statistics(None, _f8(pair["mu"]), _f8(pair["sigma"])))
            extractor, layer, protocol = _EDM2.get(name, (name, None, None))
            entries.append(Entry(statistics.dims, None, extractor, layer, protocol, None, statistics))
    if not entries:
        raise DataError(f"{file}: has no mu and sigma.", hint)
    return StatisticsFile(file, "edm2", hashlib.sha256(data).hexdigest(), tuple(entries))


def write_statistics(
    path: Path,
    entries: Sequence[Entry],
    features: Sequence[NDArray[np.float32] | None] | None = None,
    reference: str | None = None,
) -> None:
    """Write our own `.npz`, whole or not at all.

    The first entry is `mu` and `sigma`, as pytorch-fid reads them; Inception's spatial layer is `mu_s` and `sigma_s`,
    as ADM's evaluator reads them; others are numbered. `note` is JSON and says what each is.

    Args:
        path: the file.
        entries: what to write, each with statistics.
        features: float32 (n, dims) for each, or None.
        reference: what the images were.

    Raises:
        OSError: it cannot be written.
    """
    arrays: dict[str, NDArray[Any]] = {}
    notes = []
    for i, entry in enumerate(entries):
        statistics = entry.statistics
        assert statistics is not None
        tail = f"_{i}" if i else ""
        if i and (entry.extractor, entry.layer) == ("inception", "spatial") and "mu_s" not in arrays:
            tail = "_s"
        names = {"mu": f"mu{tail}", "sigma": f"sigma{tail}", "n": f"n{tail}"}
        arrays[names["mu"]], arrays[names["sigma"]] = statistics.mean, statistics.covariance
        arrays[names["n"]] = np.array(-1 if statistics.n is None else statistics.n)
        kept = features[i] if features is not None else None
        kept = statistics.features if kept is None else kept
        if kept is not None:
            names["features"] = f"features{tail}"
            arrays[names["features"]] = kept
        said = ("extractor", "layer", "dims", "protocol", "weights_sha256")
        notes.append({**{key: getattr(entry, key) for key in said}, **names})
    note = {"format": FORMAT, "version": FORMAT_VERSION, "reference": reference, "entries": notes}
    arrays["note"] = np.array(json.dumps(note, sort_keys=True))
    save_arrays(path, arrays)


def save_arrays(file: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write a `.npz`, whole or not at all; folders are made. OSError: it cannot be written."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(file) as f:
        np.savez(f, **arrays)  # type: ignore[arg-type]


def target_file(out: str | Path, overwrite: bool) -> Path:
    """The `.npz` to write. ConfigError: another suffix. DataError: it exists."""
    target = Path(out)
    if target.suffix.lower() != ".npz":
        raise ConfigError(
            f"{target}: a file of statistics is called .npz.", f"Give --out {target}.npz (in Python out=)."
        )
    if target.exists() and not overwrite:
        raise DataError(
            f"{target}: exists already.",
            "Replace it with --overwrite (in Python overwrite=True), or choose another place.",
        )
    return target


@contextlib.contextmanager
def open_npz(file: Path) -> Iterator[Any]:
    """The arrays of a `.npz`, without pickles. ValueError, OSError, BadZipFile: there are none."""
    loaded = np.load(file, allow_pickle=False)
    if not isinstance(loaded, np.lib.npyio.NpzFile):
        raise ValueError("a single array")
    with loaded:
        yield loaded


@contextlib.contextmanager
def _reading(file: Path) -> Iterator[None]:
    """Errors of reading as DataErrors that name the file."""
    try:
        yield
    except FileNotFoundError:
        raise DataError(f"{file}: no such file.", HINT) from None
    except _DAMAGE as e:
        raise DataError(f"{file}: damaged, or not a .npz file ({e}).", HINT) from e


def _shape(z: Any, name: str) -> tuple[int, ...]:
    """The shape of an array, which is not read."""
    with z.zip.open(f"{name}.npy") as f:
        version = np.lib.format.read_magic(f)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape: tuple[int, ...] = read(f)[0]
    return shape


def _length(z: Any, name: str) -> int:
    return _shape(z, name)[0] if name in z else 0


def _sha256(file: Path) -> str:
    with file.open("rb") as f:
        return hashlib.file_digest(f, "sha256").hexdigest()
