"""The cache, weights, and the folders that are written to."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gantools import cache
from gantools.doctor.lines import Level, Line
from gantools.errors import WeightsError, cause

if TYPE_CHECKING:
    from gantools.pretrained.weights import WeightsFile


def cache_entries() -> Iterator[Line]:
    """The cache folder."""
    folder = cache.cache_folder()
    found = cache.entries()
    size = sum(e.bytes for e in found)
    refused = refusal(folder)
    facts = {"folder": str(folder), "entries": len(found), "bytes": size, "writable": refused is None}
    text = f"{folder}: {len(found):,} {'entry' if len(found) == 1 else 'entries'}, {cache.size_words(size)}"
    if refused is not None:
        hint = f"Choose another folder: export {cache.VARIABLE}=FOLDER"
        yield Line("cache", "note", f"{text}; nothing can be written there ({refused}).", hint, facts)
    else:
        yield Line("cache", "ok", f"{text}.", None, facts)


def weights_files() -> list[WeightsFile]:
    """Every published file of weights or parameters that gantools reads, the Inception network's first."""
    from gantools.metrics.networks.published import PUBLISHED
    from gantools.metrics.pixels import lpips, niqe
    from gantools.pretrained import inception, mobilefacenet, vgg19

    files = [inception.WEIGHTS, *(network.weights for network in PUBLISHED.values()), *lpips.weights_files()]
    files += [vgg19.TORCHVISION, vgg19.NORMALISED, niqe.PRISTINE, mobilefacenet.FILE]
    return list({file.name: file for file in files}.values())


def weights() -> Iterator[Line]:
    """Which files of weights are there, their hashes compared."""
    first, *others = weights_files()
    here: list[str] = []
    later: list[str] = []
    by_hand: list[WeightsFile] = []
    for file in (first, *others):
        try:
            found = file.here()
        except WeightsError as e:
            level: Level = "problem" if file is first else "note"
            yield Line("weights", level, e.message, e.hint, {"file": file.name, "here": False})
            continue
        facts = {"file": file.name, "here": found is not None, "path": None if found is None else str(found)}
        if file is first:
            if found is None:
                hint = f"FID downloads it at its first use; where there is no network: {file.where()}"
                yield Line("weights", "note", f"{file.what} (FID) is not here yet.", hint, facts)
            else:
                yield Line("weights", "ok", f"{file.what} (FID): {found}", None, facts)
        elif found is not None:
            here.append(file.what)
        elif file.url is not None:
            later.append(file.what)
        else:
            by_hand.append(file)
    listed = {"here": here, "downloaded_when_used": later, "put_by_hand": [file.what for file in by_hand]}
    text = f"of others {len(here)} here{': ' + ', '.join(here) if here else ''}; {len(later)} are downloaded when used"
    if not by_hand:
        yield Line("weights", "ok", f"{text}.", None, listed)
        return
    places = "; ".join(f"{file.what} from {file.source}" for file in by_hand)
    hint = f"Put those that you want into {cache.cache_folder()}: {places}"
    yield Line("weights", "ok", f"{text}, {len(by_hand)} have to be put there by hand.", hint, listed)


def folders() -> Iterator[Line]:
    """Whether sets and runs can be written here."""
    commands = {"data": "gantools prep SOURCE --out FOLDER", "runs": "gantools train RECIPE --out FOLDER"}
    for name, elsewhere in commands.items():
        refused = refusal(Path(name))
        facts: dict[str, Any] = {"folder": name, "writable": refused is None}
        if refused is not None:
            hint = f"Work in another folder (cd), or write elsewhere: {elsewhere}"
            yield Line(f"./{name}", "problem", f"nothing can be written there ({refused}).", hint, facts)
            continue
        free = shutil.disk_usage(_existing(Path(name))).free
        there = "" if Path(name).exists() else "is made when needed, "
        yield Line(f"./{name}", "ok", f"{there}{cache.size_words(free)} free.", None, {**facts, "free": free})


def refusal(folder: Path) -> str | None:
    """Why nothing can be written into a folder, or into what it would be made in; None where something can."""
    place = _existing(folder)
    if not place.is_dir():
        return f"{place} is no folder"
    try:
        with tempfile.TemporaryFile(dir=place):
            return None
    except OSError as e:
        return cause(e)


def _existing(folder: Path) -> Path:
    place = folder.absolute()
    while not os.path.lexists(place):
        place = place.parent
    return place
