"""Files of weights and parameters: where they are looked for, downloaded and checked, and how they are read.

In this order: the path that was given, the file that an environment variable names, the cache folder
(`GANTOOLS_CACHE`, by default `~/.cache/gantools`), a download into it whose sha256 is checked.
"""

from __future__ import annotations

import hashlib
import logging
import os
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
        for given, called in ((path, by), (os.environ.get(self.variable), self.variable)):
            if given:
                file = Path(given).expanduser()
                if not file.is_file():
                    what = "is a folder, not a file" if file.is_dir() else "does not exist"
                    raise WeightsError(f"{file}: the file of {self.what} named by {called} {what}.", self.where(by))
                return file
        file = cache_folder() / self.name
        if file.is_file():
            if not sha256_of(file).startswith(self.sha256):
                raise WeightsError(
                    f"{file}: damaged, its sha256 does not begin with {self.sha256[:16]}.",
                    "Delete it, and it is downloaded again." if self.url else self.where(by),
                )
            return file
        if self.url is None:
            raise WeightsError(f"there are no weights of {self.what}.", self.where(by))
        download(self.url, file, self.sha256, self.where(by))
        return file

    def where(self, by: str = "") -> str:
        """Which file to put where; `by` is the option that names one, where there is one."""
        origin = f"Download {self.url} on a machine with network" if self.url else f"Get {self.source}"
        option = f"{by} FILE or " if by.startswith("--") else ""
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
        state = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise WeightsError(f"{path}: no such file.") from None
    except SafetensorError as e:
        raise WeightsError(f"{path}: not the weights of {what} ({e}).") from e
    except Exception as e:  # on a file of another kind the unpickler fails in any way it likes
        reason = str(e).splitlines()[0] if str(e) else type(e).__name__
        raise WeightsError(f"{path}: not a PyTorch weights file ({reason}).") from e
    if not isinstance(state, Mapping) or not all(isinstance(v, Tensor) for v in state.values()):
        raise WeightsError(f"{path}: holds no state dict of tensors.")
    return dict(state)


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
