"""Files of weights and parameters: where they are looked for, downloaded and checked, and how they are read.

In this order: the path that was given, the file that an environment variable names, the cache folder
(`GANTOOLS_CACHE`, by default `~/.cache/gantools`), a download into it whose sha256 is checked.
"""

from __future__ import annotations

import hashlib
import logging
import os
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pooch
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from gantools.cache import cache_folder
from gantools.errors import DownloadError, WeightsError
from gantools.files import atomic_write

TIMEOUT_S = 30.0


def sha256_of(path: Path) -> str:
    """The sha256 of a file, 64 hexadecimal digits."""
    with path.open("rb") as f:
        return hashlib.file_digest(f, "sha256").hexdigest()


@dataclass(frozen=True)
class WeightsFile:
    """A published file.

    Attributes:
        what: what it holds, for messages.
        name: what it is called in the cache folder.
        variable: environment variable that may name it.
        url: where it is downloaded from; None for a file that has to be given.
        sha256: what the sha256 of a cached or downloaded file must begin with. torchvision's names end in it.
        source: where a person gets it, when there is no `url`.
    """

    what: str
    name: str
    variable: str
    url: str | None = None
    sha256: str = ""
    source: str = ""

    def find(self, path: str | Path | None = None, by: str = "--weights") -> Path:
        """The file itself; a given or named one may be any, a cached or downloaded one has the right hash.

        Args:
            path: the file to use, or None to look for it as the module says.
            by: what named `path`, for the message.

        Raises:
            WeightsError: a named file does not exist, the cached one is damaged, or there is none and no download.
            DownloadError: there is none and the download fails; the hint says which file to put where.
        """
        file = self.here(path, by)
        if file is not None:
            return file
        if self.url is None:
            raise WeightsError(f"there are no weights of {self.what}.", self.where(by))
        file = cache_folder() / self.name
        download(self.url, file, self.sha256, self.where(by))
        return file

    def here(self, path: str | Path | None = None, by: str = "--weights") -> Path | None:
        """As `find`, without a download: None where there is no file yet.

        Raises:
            WeightsError: a named file does not exist, or the cached one is damaged.
        """
        for given, called in ((path, by), (os.environ.get(self.variable), self.variable)):
            if given:
                file = Path(given).expanduser()
                if not file.is_file():
                    what = "is a folder, not a file" if file.is_dir() else "does not exist"
                    raise WeightsError(f"{file}: the file of {self.what} named by {called} {what}.", self.where(by))
                return file
        file = cache_folder() / self.name
        if not file.is_file():
            return None
        if self.sha256 and not sha256_of(file).startswith(self.sha256):
            raise WeightsError(
                f"{file}: damaged, its sha256 does not begin with {self.sha256[:16]}.",
                "Delete it, and it is downloaded again." if self.url else self.where(by),
            )
        return file

    def where(self, by: str = "") -> str:
        """Which file to put where; `by` is the option that names one, where there is one."""
        origin = f"Download {self.url} on a machine with network" if self.url else f"Get {self.source}"
        option = f"{by} FILE (in Python {by[2:].replace('-', '_')}=FILE) or " if by.startswith("--") else ""
        return (
            f"{origin} and put it at {cache_folder() / self.name}, or name its place by {option}{self.variable}=FILE."
        )


def download(url: str, file: Path, sha256_prefix: str, hint: str) -> None:
    """Download `url` to `file`: under a temporary name first, renamed once the hash is right.

    Args:
        url: what to download.
        file: where it is put.
        sha256_prefix: what the sha256 of the content must begin with.
        hint: what a person can do where it fails.

    Raises:
        DownloadError: no network, an error of the server, a cut-off file or another hash; nothing is left behind.
    """
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        logging.getLogger("gantools").info("downloading %s to %s", url, file)
        with atomic_write(file) as f:
            pooch.HTTPDownloader(progressbar=False, timeout=TIMEOUT_S)(url, f, None)
            f.flush()
            partial = Path(f.name)
            found = sha256_of(partial)
            if not found.startswith(sha256_prefix):
                raise DownloadError(
                    f"{url}: {partial.stat().st_size:,} bytes came whose sha256 begins with {found[:8]}, not "
                    f"{sha256_prefix}; the download was cut off or something on the way replaced it.",
                    hint,
                )
    except (OSError, ValueError) as e:
        # requests' exceptions are OSErrors; pooch raises ValueError for a reply without a length.
        raise DownloadError(f"{url}: cannot be downloaded ({_reason(e)}).", hint) from e


def _reason(error: Exception) -> str:
    # The causes of a failed connection are nested; the innermost says what a person can act on.
    inner: BaseException = error
    while inner.__cause__ or inner.__context__:
        inner = inner.__cause__ or inner.__context__ or inner
    text = str(inner) or type(inner).__name__
    return text if len(text) <= 200 else text[:200] + "..."


#: What `kind_of_file` calls the two kinds that hold a network with its code, and what `torch.save` writes.
TORCHSCRIPT, ONNX = "a TorchScript file", "an ONNX file"
_PICKLED = "a PyTorch file of weights"


def kind_of_file(path: Path) -> str:
    """What a file that should hold a network or its weights is, by its first bytes, in words: `a TorchScript file`.

    `a file of another kind` where nothing is recognised. WeightsError: there is none, or it cannot be read.
    """
    try:
        with path.open("rb") as f:
            head = f.read(512)
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                names = archive.namelist()
            inner = {name.split("/", 1)[-1] for name in names}
            if "constants.pkl" in inner or any(name.startswith("code/") for name in inner):
                return TORCHSCRIPT
            return _PICKLED if "data.pkl" in inner else "a zip archive"
    except FileNotFoundError:
        raise WeightsError(f"{path}: no such file.") from None
    except (OSError, zipfile.BadZipFile) as e:
        raise WeightsError(f"{path}: cannot be read ({e}).") from e
    text = head.lstrip().lower()
    if not head:
        return "an empty file"
    if head.startswith(b"version https://git-lfs"):
        return "a git-lfs pointer (the file itself was not fetched: git lfs pull)"
    if text.startswith((b"<!doctype html", b"<html")):
        return "an HTML page (a download that gave an error page)"
    if len(head) > 8 and head[8:9] == b"{" and int.from_bytes(head[:8], "little") <= path.stat().st_size:
        return "a safetensors file of weights"
    if head.startswith(b"\x89HDF"):
        return "an HDF5 file (Keras)"
    if head.startswith(b"\x93NUMPY"):
        return "a numpy array"
    # A ModelProto begins with its first field, the version of the format, and goes on with one of its next.
    if len(head) > 2 and head[0] == 0x08 and 1 <= head[1] <= 32 and head[2] in (0x12, 0x1A, 0x22, 0x28, 0x3A, 0x42):
        return ONNX
    if head[:1] == b"\x80":
        return "a PyTorch file of weights, or another pickle"
    return "a file of another kind"


def other_file(path: Path, what: str) -> WeightsError:
    """The error for a file that holds no weights of `what` as a state dict; it says what the file is instead."""
    kind = kind_of_file(path)
    if kind in (TORCHSCRIPT, ONNX):
        return WeightsError(
            f"{path}: {kind}, a network with its code; --weights takes a state dict of {what}.",
            f"Score by it: gantools score SAMPLES --extractor {path} --extractor-size N (in Python own_kind(file, "
            "size=N)).",
        )
    if kind == _PICKLED:
        # It is one in form: what could not be read is an object in it, which would be made by running its code.
        kind = "a PyTorch file that holds more than tensors (a whole module, or a checkpoint with objects)"
    return WeightsError(
        f"{path}: {kind}, not a PyTorch weights file of {what}.",
        "Save one with torch.save(net.state_dict(), FILE); without --weights (in Python weights=None) the published "
        "file is looked for.",
    )


def read_state(path: Path, what: str) -> dict[str, Tensor]:
    """The tensors of a `.safetensors` file or a PyTorch state dict, read without running code from it.

    Args:
        path: the file.
        what: whose weights it should hold, for messages.

    Raises:
        WeightsError: missing, unreadable, or with anything but tensors in it.
    """
    try:
        if path.suffix == ".safetensors":
            with safe_open(path, framework="pt") as f:
                return {name: f.get_tensor(name) for name in f.keys()}  # noqa: SIM118 - safe_open is not a dict
        state = load_pickle(path, what)
    except FileNotFoundError:
        raise WeightsError(f"{path}: no such file.") from None
    except SafetensorError as e:
        raise WeightsError(f"{path}: not the weights of {what} ({e}).") from e
    return checked_state(path, state)


def load_pickle(path: Path, what: str) -> object:
    """What `torch.save` wrote, if it is made of tensors and plain values. WeightsError: it is something else."""
    if kind_of_file(path) == TORCHSCRIPT:
        raise other_file(path, what)  # torch would warn, then advise to run what is in it
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as e:  # on a file of another kind the unpickler fails in any way it likes
        raise other_file(path, what) from e


def checked_state(path: Path, state: object) -> dict[str, Tensor]:
    """What `torch.load` gave, when it is a state dict. WeightsError: it is something else; names what it holds."""
    if isinstance(state, Mapping) and all(isinstance(v, Tensor) for v in state.values()):
        return dict(state)
    if not isinstance(state, Mapping):
        raise WeightsError(
            f"{path}: holds a {type(state).__name__}, no state dict of tensors.",
            "Save the state dict: torch.save(net.state_dict(), FILE).",
        )
    below = next((k for k, v in state.items() if isinstance(v, Mapping) and v), None)
    keys = ", ".join(repr(key) for key in list(state)[:6])
    hint = "Save the state dict alone: torch.save(net.state_dict(), FILE)."
    if below is not None:
        hint = (
            f"Save what it has under one of them: torch.save(torch.load(FILE)[{below!r}], NEW), then --weights NEW "
            "(in Python weights=NEW)."
        )
    raise WeightsError(f"{path}: a checkpoint with the keys {keys}, no state dict of tensors.", hint)


def load_state(net: nn.Module, state: Mapping[str, Tensor], path: Path, what: str) -> None:
    """Copy `state` into `net`, which has to have exactly its keys.

    Raises:
        WeightsError: a key is missing or unknown, of another shape or not finite; the message names it.
    """
    own = net.state_dict()
    for wrong, kind in ((own.keys() - state.keys(), "is missing"), (state.keys() - own.keys(), "is unknown")):
        if wrong:
            raise WeightsError(f"{path}: not the weights of {what}, the key {min(wrong)!r} {kind}.")
    for key, value in state.items():
        if value.shape != own[key].shape:
            raise WeightsError(
                f"{path}: not the weights of {what}, {key!r} has shape {tuple(value.shape)}, "
                f"not {tuple(own[key].shape)}."
            )
        if value.is_floating_point() and not bool(torch.isfinite(value).all()):
            raise WeightsError(f"{path}: {key!r} has values that are not finite.")
    net.load_state_dict(dict(state))
