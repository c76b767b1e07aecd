"""The exceptions that gantools raises on purpose.

Every one of them is meant to be read by a person: the message says what is wrong and where, `hint` says what to type
or do about it. The command line prints both without a traceback and exits with `exit_code`.
"""

from __future__ import annotations

import difflib
import gzip
import http
import json
import lzma
import re
import socket
import urllib.error
import zlib
from collections.abc import Iterable

#: What shows that words are meant for who writes code: names with dots, underscores or calls, classes of errors.
_CODE = re.compile(r"\w\.\w+\.\w|_|\(\)|Error|Exception|[Ee]rrno|numpy|pickle|zipfile|tarfile|<class|<module")


class GantoolsError(Exception):
    """Base of all errors raised on purpose; `hint` is what the user can do about it, in one or two sentences."""

    exit_code = 1

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\n{self.hint}" if self.hint else self.message


class DataError(GantoolsError):
    """Images, labels, archives or a prepared set are missing, damaged or not what was asked for."""


class ConfigError(GantoolsError):
    """A recipe, a config file or a `--set` override is wrong; a misspelt key names the nearest right one."""

    exit_code = 2


class CheckpointError(GantoolsError):
    """A run or a checkpoint is missing, damaged or belongs to another configuration."""


class WeightsError(GantoolsError):
    """Weights of a feature extractor are missing, damaged or have another hash than expected."""


class MetricError(GantoolsError):
    """A score cannot be computed from what was given."""


class DownloadError(GantoolsError):
    """A download failed, or there is no network; the hint says which file to put where."""


class Interrupted(GantoolsError):
    """The user pressed Ctrl-C and everything finished so far has been kept; the hint says how to go on."""

    exit_code = 130


def cause(error: BaseException) -> str:
    """What an error of Python or of a library means, in words for a user, without names of code.

    Args:
        error: of the system (its own words), of text or JSON (the place), of a decompressor, or any other.
    """
    if isinstance(error, urllib.error.HTTPError):
        return f"the server says {error.code}, {http.HTTPStatus(error.code).phrase.lower()}"
    if isinstance(error, urllib.error.URLError) and isinstance(error.reason, BaseException):
        return cause(error.reason)
    if isinstance(error, UnicodeDecodeError):
        return f"byte {error.start} is no {error.encoding.upper()}"
    if isinstance(error, json.JSONDecodeError):
        return f"no JSON at line {error.lineno}, column {error.colno}"
    if isinstance(error, RecursionError):
        return "nested too deeply"
    if isinstance(error, MemoryError):
        return "larger than the memory"
    if isinstance(error, socket.gaierror):
        return "there is no such host, or no network"
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    if isinstance(error, EOFError):
        return "it ends early"
    if isinstance(error, zlib.error | lzma.LZMAError | gzip.BadGzipFile):
        return "its compressed data are damaged"
    return _plain(str(error))


def _plain(text: str) -> str:
    """The first line of a library's words where they are words; else that there are none."""
    first = text.strip().split("\n", 1)[0].rstrip(".")
    return "its content is damaged" if not first or _CODE.search(first) else first


def check_least(section: str, config: object, *names: str, least: int = 1) -> None:
    """Refuse a config with a field below `least`; a field that is None is none.

    Args:
        section: of the recipe that the fields are in.
        config: has them.
        names: which.
        least: what each must be at least.

    Raises:
        ConfigError: there is one.
    """
    for name in names:
        value = getattr(config, name)
        if value is not None and value < least:
            raise ConfigError(f"{section}.{name}: must be at least {least}, not {value}.")


def check_shares(section: str, config: object, *names: str, whole: bool = True) -> None:
    """Refuse a config with a field outside [0, 1], or where not the `whole` is let through outside [0, 1).

    Raises:
        ConfigError: there is one.
    """
    for name in names:
        value = getattr(config, name)
        if not 0 <= value <= 1 or (value == 1 and not whole):
            raise ConfigError(f"{section}.{name}: must be in [0, 1{']' if whole else ')'}, not {value}.")


def nearest(word: str, candidates: Iterable[str]) -> str | None:
    """The candidate most like `word` in any case of letters, or None when none is close."""
    names = {name.casefold(): name for name in candidates}
    close = difflib.get_close_matches(word.casefold(), list(names), n=1, cutoff=0.5)
    return names[close[0]] if close else None


def unknown_name(
    kind: str, word: str, candidates: Iterable[str], *, error: type[GantoolsError] = ConfigError
) -> GantoolsError:
    """An error for a misspelt name: names the nearest candidate and lists all of them."""
    names = sorted(candidates)
    close = nearest(word, names)
    meant = f" Did you mean {close!r}?" if close else ""
    return error(f"unknown {kind} {word!r}.{meant}", f"Known: {', '.join(names)}.")
