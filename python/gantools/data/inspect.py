"""What is in a prepared set, and whether it is whole: `gantools info` and `gantools verify`."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from gantools import _native
from gantools.data.annotations import PARTITIONS
from gantools.data.prepared import INPUTS, REJECTS, PreparedSet, content_fingerprint, open_shards, read_manifest
from gantools.errors import DataError, cause
from gantools.progress import Progress


def verify(path: str | Path, *, progress: bool = False) -> list[str]:
    """Everything that is wrong with the prepared set in folder `path`; an empty list when it is whole.

    Checked are the XXH3 of every file that the manifest names, the lengths and shapes of shards and side files, the
    number of images, the classes of the labels and the fingerprint.

    Raises:
        DataError: there is no manifest that can be read, so there is nothing to compare with.
    """
    folder = Path(path)
    manifest = read_manifest(folder)
    try:
        wrong = _verify(folder, manifest, progress)
        return wrong + (_verify_inputs(folder, manifest, progress) if "inputs" in manifest else [])
    except (KeyError, TypeError, ValueError, AttributeError) as e:
        raise DataError(f"{folder}: its manifest is damaged ({e!r}).", "Prepare the set again.") from e


def _verify_inputs(folder: Path, manifest: dict[str, Any], progress: bool) -> list[str]:
    """What is wrong with the inputs of a set of pairs."""
    try:
        inputs = read_manifest(folder / INPUTS)
    except DataError as e:
        return [e.message.removeprefix(f"{folder}/").rstrip(".")]
    wrong = [f"{INPUTS}/{line}" for line in _verify(folder / INPUTS, inputs, progress)]
    if inputs["count"] != manifest["count"]:
        wrong.append(f"{INPUTS}: has {inputs['count']} images for {manifest['count']} targets")
    if inputs["fingerprint"] != manifest["inputs"]["fingerprint"]:
        wrong.append(f"{INPUTS}: are those of another set")
    return wrong


def _verify(folder: Path, manifest: dict[str, Any], progress: bool) -> list[str]:
    wrong = []
    shards = manifest["shards"]
    side = [manifest[key] for key in ("labels", "names", "sizes", "rejects") if key in manifest]
    side += manifest.get("annotations", {}).values()
    with Progress("verifying", len(shards) + len(side), unit="files", show=progress) as bar:
        for done, entry in enumerate([*shards, *side]):
            file = folder / entry["file"]
            if not file.is_file():
                wrong.append(f"{entry['file']}: missing")
            elif "xxh3" in entry and (found := _native.hash_file(file)) != entry["xxh3"]:
                wrong.append(f"{entry['file']}: changed (its XXH3 is {found}, the manifest says {entry['xxh3']})")
            bar.update(done + 1)
    counted = sum(shard["count"] for shard in shards)
    if counted != manifest["count"]:
        wrong.append(f"manifest.json: says {manifest['count']} images, its shards have {counted}")
    if content_fingerprint(manifest["shape"], [shard["xxh3"] for shard in shards]) != manifest["fingerprint"]:
        wrong.append("manifest.json: its fingerprint is not that of its shards")
    for shard in shards:
        if (folder / shard["file"]).is_file():
            try:
                open_shards(manifest, [folder / shard["file"]], [shard["count"]])
            except DataError as e:
                wrong.append(e.message.removeprefix(f"{folder}/").rstrip("."))
    if (folder / "names.jsonl").is_file():
        names = _lines(folder / "names.jsonl")
        if names is None or len(names) != manifest["count"]:
            wrong.append(f"names.jsonl: not one name for each of the {manifest['count']} images")
    elif "names" not in manifest:
        wrong.append("names.jsonl: missing")
    rejected = manifest.get("source", {}).get("rejected", 0)
    rejects = _lines(folder / REJECTS) if (folder / REJECTS).is_file() else []
    if rejects is None or len(rejects) != rejected:
        wrong.append(f"{REJECTS}: not one line for each of the {rejected} rejects")
    for entry in [manifest.get("labels"), manifest.get("sizes"), *manifest.get("annotations", {}).values()]:
        if entry is not None and (folder / entry["file"]).is_file():
            wrong += _side_file(folder, entry, manifest["count"])
    return wrong


def _side_file(folder: Path, entry: dict[str, Any], count: int) -> list[str]:
    try:
        values = np.load(folder / entry["file"], allow_pickle=False)
    except (ValueError, EOFError, OSError) as e:
        return [f"{entry['file']}: cannot be read ({cause(e)})"]
    if values.ndim == 0 or len(values) != count:
        return [f"{entry['file']}: not one row for each of the {count} images"]
    if "classes" in entry and (values.min() < 0 or values.max() >= len(entry["classes"])):
        return [f"{entry['file']}: a label is none of the {len(entry['classes'])} classes"]
    if "columns" in entry and values.shape[1:] != (len(entry["columns"]),):
        return [f"{entry['file']}: not {len(entry['columns'])} columns"]
    return []


def _lines(path: Path) -> list[Any] | None:
    """The values of a file of one JSON value a line, None when it is damaged."""
    try:
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    except (OSError, ValueError):
        return None


def info(path: str | Path, *, duplicates: bool = True, progress: bool = False) -> dict[str, Any]:
    """What a prepared set holds.

    Args:
        path: the folder.
        duplicates: also look for images whose pixels are equal, which reads the whole set.
        progress: show a progress bar on stderr meanwhile.

    Returns:
        A dict that JSON can hold: `name`, `path`, `count`, `shape`, `bytes` (of all files), `shards`, `fingerprint`,
        `source`, `policy`, `versions`; `inputs` of a set of pairs (`operation`, `shape` and the like);
        `generated`, of which runs and by what generated images were made, where there are any; `sizes`
        (WIDTHxHEIGHT before preparation -> images, the most first) where the set says; `classes` (name -> images) where
        there are labels; `attributes` (name -> images that have it), `partition` (train, val, test -> images) and
        `annotations` (name -> shape) where there are any; `rejects` (class of the reason -> images); `duplicates`
        (`images` that could go, in `groups` of equal ones, `examples`: up to five such groups as names).

    Raises:
        DataError: no prepared set, or a damaged one.
    """
    data = PreparedSet(path)
    manifest = data.manifest
    found: dict[str, Any] = {
        "name": data.name,
        "path": str(data.path),
        "count": len(data),
        "shape": list(data.shape),
        "bytes": sum(file.stat().st_size for file in data.path.rglob("*") if file.is_file()),
        "shards": len(data.shards),
        "fingerprint": data.fingerprint,
        **{key: manifest.get(key, {}) for key in ("source", "policy", "versions")},
    }
    if data.inputs is not None:
        found["inputs"] = manifest["inputs"]
    if data.generated:
        found["generated"] = manifest["generated"]
    if data.sizes is not None:
        pairs = Counter((width, height) for width, height in data.sizes.tolist())
        found["sizes"] = {f"{width}x{height}": n for (width, height), n in pairs.most_common()}
    if data.labels is not None:
        classes = data.classes or []
        numbers = np.bincount(data.labels, minlength=len(classes)).tolist()
        found["classes"] = dict(zip(classes, numbers, strict=True))
    annotations = data.annotations
    columns = manifest.get("annotations", {}).get("attributes", {}).get("columns")
    if columns:
        having = (annotations["attributes"] == 1).sum(0).tolist()
        found["attributes"] = dict(zip(columns, having, strict=True))
    if "partition" in annotations:
        found["partition"] = {
            name: int((annotations["partition"] == number).sum()) for name, number in PARTITIONS.items()
        }
    if annotations:
        found["annotations"] = {name: list(values.shape) for name, values in annotations.items()}
    found["rejects"] = dict(Counter(reject["class"] for reject in rejects(data)).most_common())
    if duplicates:
        found["duplicates"] = _duplicates(data, progress)
    return found


def rejects(data: PreparedSet) -> list[dict[str, str]]:
    """What could not be taken into a set, each with `name`, `reason` and the reason's `class`.

    Raises:
        DataError: the list is damaged.
    """
    found = _lines(data.path / REJECTS) if (data.path / REJECTS).is_file() else []
    try:
        if found is None:
            raise ValueError
        return [{"class": reject["reason"], **reject} for reject in found]
    except (KeyError, TypeError, ValueError):
        raise DataError(f"{data.path / REJECTS}: damaged.", "Prepare the set again.") from None


def equal_images(data: PreparedSet, progress: bool = False) -> list[list[int]]:
    """Numbers of images whose pixels are equal, a list of each such group, by its first. It reads the whole set."""
    groups: dict[bytes, list[int]] = {}
    size = max(1, (8 << 20) // int(np.prod(data.shape)))
    at = 0
    with Progress("looking for duplicates", len(data), show=progress) as bar:
        for batch in data.batches(size):
            for image in batch:
                groups.setdefault(hashlib.blake2b(image, digest_size=16).digest(), []).append(at)
                at += 1
            bar.update(at)
    return [rows for rows in groups.values() if len(rows) > 1]


def _duplicates(data: PreparedSet, progress: bool) -> dict[str, Any]:
    equal = equal_images(data, progress)
    examples = [[data.names[i] for i in rows[:5]] for rows in equal[:5]]
    return {"images": sum(len(rows) - 1 for rows in equal), "groups": len(equal), "examples": examples}
