"""Weights of the Inception network: where they are looked for, and how they are downloaded and checked.

In this order: the path that was given, the file that `GANTOOLS_INCEPTION_WEIGHTS` names, the cache folder
(`GANTOOLS_CACHE`, by default `~/.cache/gantools`), a download into it.
"""

from __future__ import annotations

import hashlib
import logging
import os
from pathlib import Path

import pooch

from gantools.cache import cache_folder
from gantools.errors import DownloadError, WeightsError
from gantools.files import atomic_write

VARIABLE = "GANTOOLS_INCEPTION_WEIGHTS"
# Apache-2.0: the conversion of the original graph that is published with pytorch-fid.
BASE_URL = "https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/"
FILE = "pt_inception-2015-12-05-6726825d.pth"
# By the naming rule of torch.hub the name ends in the first digits of the file's sha256.
SHA256_PREFIX = "6726825d"
TIMEOUT_S = 30.0


def sha256_of(path: Path) -> str:
    """The sha256 of a file, 64 hexadecimal digits."""
    with path.open("rb") as f:
        return hashlib.file_digest(f, "sha256").hexdigest()


def inception_weights(
    path: str | Path | None = None, *, base_url: str = BASE_URL, sha256_prefix: str = SHA256_PREFIX
) -> Path:
    """The file of the Inception weights; downloaded when there is none.

    Args:
        path: the file to use, or None to look for it as the module says.
        base_url: where `FILE` is downloaded from, with a slash at the end.
        sha256_prefix: what the sha256 of a cached or downloaded file must begin with.

    Raises:
        WeightsError: a file that was named does not exist, or the one in the cache folder is damaged.
        DownloadError: there is no file and none can be downloaded; the hint says which file to put where.
    """
    named = [(path, "--weights"), (os.environ.get(VARIABLE), VARIABLE)]
    for given, by in named:
        if given:
            file = Path(given).expanduser()
            if not file.is_file():
                what = "is a folder, not a file" if file.is_dir() else "does not exist"
                raise WeightsError(f"{file}: the weights file named by {by} {what}.", _where())
            return file
    file = cache_folder() / FILE
    if file.is_file():
        if not sha256_of(file).startswith(sha256_prefix):
            raise WeightsError(
                f"{file}: damaged, its sha256 does not begin with {sha256_prefix}.",
                "Delete it, and it is downloaded again.",
            )
        return file
    download(base_url + FILE, file, sha256_prefix)
    return file


def download(url: str, file: Path, sha256_prefix: str) -> None:
    """Download `url` to `file`: under a temporary name first, renamed once the hash is right.

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
                    _where(),
                )
    except (OSError, ValueError) as e:
        # requests' exceptions are OSErrors; pooch raises ValueError for a reply without a length.
        raise DownloadError(f"{url}: cannot be downloaded ({_reason(e)}).", _where()) from e


def _reason(error: Exception) -> str:
    # The causes of a failed connection are nested; the innermost says what a person can act on.
    inner: BaseException = error
    while inner.__cause__ or inner.__context__:
        inner = inner.__cause__ or inner.__context__ or inner
    text = str(inner) or type(inner).__name__
    return text if len(text) <= 200 else text[:200] + "..."


def _where() -> str:
    return (
        f"Download {BASE_URL}{FILE} on a machine with network and put it at {cache_folder() / FILE}, "
        f"or name its place by --weights FILE or {VARIABLE}=FILE."
    )
