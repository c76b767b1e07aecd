"""`gantools prep`: from a source to a prepared set.

The list of images is fixed first and cut into shards of fixed ranges. A shard is one idempotent piece of work: Rust
decodes, crops, resizes and writes it, and a small record beside it says what became of its images. Everything happens
in `OUT.partial`; when all shards are there the manifest is written and the folder gets its name. A run that was stopped
goes on by skipping the shards whose record and hash are right, so its result is byte-identical with that of an
uninterrupted one.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gantools import _native
from gantools.data.prepared import FORMAT, FORMAT_VERSION, MANIFEST, PreparedSet, is_prepared, read_manifest
from gantools.data.sources import SOURCES, Source, recognise
from gantools.errors import ConfigError, DataError, Interrupted, unknown_name
from gantools.files import atomic_write, write_json
from gantools.progress import Progress

# What cannot be chosen yet, but would change pixels if it changed. Pillow 13 changed the order of the two passes of the
# resize for tall images.
FIXED_POLICY = {"resize": "pillow-13", "sixteen_bit": "high-byte", "cmyk": "pillow", "animation": "first-frame"}
# A shard is the unit that a stopped run repeats: at most this many images or bytes, whichever is less.
SHARD_IMAGES = 2048
SHARD_BYTES = 128 << 20
PLAN = "plan.json"
REJECTS = "rejects.jsonl"


def prep(
    kind: str,
    *,
    source: str | Path | None = None,
    size: int | None = None,
    crop: str = "center",
    filter: str = "lanczos",
    channels: int | None = None,
    split: str | None = None,
    limit: int | None = None,
    alpha: str = "error",
    orientation: str = "apply",
    out: str | Path | None = None,
    shard_size: int | None = None,
    threads: int = 0,
    strict: bool = False,
    overwrite: bool = False,
    progress: bool = True,
) -> PreparedSet:
    """Prepare a set of images: decode, crop, resize, pack (docs/formats.md describes the result).

    Args:
        kind: a source by name (docs/sources.md lists them), or the path of one, which is then recognised.
        source: where the images are; None looks in the source's usual places, then downloads, where it can.
        size: side of the square result in pixels; None for the source's own (celeba 64; mnist, cifar10 as they are).
        crop: `center` (largest centred square) or `none` (the whole image, squeezed).
        filter: `lanczos`, `bicubic`, `bilinear` or `box`, byte-equal with Pillow 13.
        channels: 3 (RGB) or 1 (grey); None for the source's own.
        split: `train`, `val`, `test` or `all`, where the source has splits.
        limit: only the first so many images.
        alpha: `error` (transparent images are rejected), `drop`, `white` or `black`.
        orientation: `apply` or `ignore` the EXIF orientation.
        out: the folder to make; None for `data/NAME-SIZE`.
        shard_size: images in a shard; None for 2,048, or fewer when they are large.
        threads: 0 for all cores. The result does not depend on it.
        strict: an unreadable image is an error instead of a line in `rejects.jsonl`.
        overwrite: replace what is at `out`.
        progress: show a progress bar on stderr.

    Returns:
        The prepared set, opened.

    Raises:
        ConfigError: an argument is wrong.
        DataError: the source is missing or empty, `out` holds something else, or (strict) an image is unreadable.
        Interrupted: Ctrl-C; the finished shards are kept and the same call goes on.
    """
    if kind not in SOURCES:
        # A word that is neither a source nor a path is a misspelt source.
        if source is not None or not ("/" in kind or "*" in kind or Path(kind).exists()):
            raise unknown_name("source", kind, SOURCES)
        source = kind
        kind, words = recognise(Path(source))
        _say(f"{source} is taken for {words} (source {kind}).", progress)
    for name, value, known in (
        ("crop", crop, _native.CROPS),
        ("filter", filter, _native.FILTERS),
        ("alpha", alpha, _native.ALPHA_POLICIES),
        ("orientation", orientation, _native.ORIENTATION_POLICIES),
    ):
        if value not in known:
            raise unknown_name(name, value, known)
    for name, number in (("size", size), ("limit", limit), ("shard_size", shard_size)):
        if number is not None and number < 1:
            raise ConfigError(f"{name} is {number}; it has to be at least 1.")

    images = SOURCES[kind](None if source is None else Path(source), split)
    side = size or images.size
    if side is None:
        raise ConfigError(f"prep {kind}: which size?", f"Type: gantools prep {kind} --source {source} --size 64")
    channels = channels or images.channels
    if limit is not None and limit < len(images):
        images = images.select(np.arange(limit, dtype=np.int64))
    policy = {
        "width": side,
        "height": side,
        "channels": channels,
        "crop": crop,
        "filter": filter,
        "alpha": alpha,
        "orientation": orientation,
    }
    target = Path(out) if out is not None else Path("data") / _name(images, side)
    per_shard = shard_size or max(1, min(SHARD_IMAGES, SHARD_BYTES // (side * side * channels)))
    plan = _plan(images, policy, per_shard, target.name, limit)

    if target.exists():
        if not overwrite and is_prepared(target) and read_manifest(target).get("plan") == _digest(plan):
            _say(f"{target} is already prepared this way; nothing to do.", progress)
            return PreparedSet(target)
        if not overwrite:
            raise DataError(
                f"{target} exists and is something else.",
                "Choose another place with --out, or replace it with --overwrite.",
            )
        if not _replaceable(target):
            raise DataError(f"{target} is not a prepared set; --overwrite does not delete it.", "Choose another --out.")
    partial = target.with_name(target.name + ".partial")
    with _working_folder(partial, plan, overwrite):
        if not _complete(partial, plan):
            records = _shards(images, policy, per_shard, partial, threads, strict, progress)
            _finish(images, plan, records, partial)
        _publish(partial, target)
    done = PreparedSet(target)
    rejected = done.manifest["source"]["rejected"]
    note = f", {rejected:,} rejected (reasons in {target / REJECTS})" if rejected else ""
    _say(f"{len(done):,} images of {done.shape} in {target}{note}.", progress)
    return done


def _say(text: str, show: bool) -> None:
    if show:
        print(text, file=sys.stderr)


def _name(images: Source, side: int) -> str:
    # The split that a source gives without being asked is not part of the name.
    split = "" if images.split in (None, images.usual_split) else f"-{images.split}"
    return f"{images.name}-{side}{split}"


def _replaceable(target: Path) -> bool:
    return target.is_dir() and (is_prepared(target) or not any(target.iterdir()))


def _plan(images: Source, policy: dict[str, Any], per_shard: int, name: str, limit: int | None) -> dict[str, Any]:
    """Everything that decides the bytes of the set; two runs with the same plan make the same set."""
    return {
        "format": FORMAT,
        "version": FORMAT_VERSION,
        "name": name,
        "source": {
            "kind": images.kind,
            "split": images.split,
            "limit": limit,
            "items": len(images),
            "fingerprint": images.reader.fingerprint(),
            "selection": hashlib.sha256(images.items.tobytes()).hexdigest()[:32],
            "annotations": {k: _array_digest(a.values) for k, a in images.annotations.items()},
        },
        "policy": {**policy, **FIXED_POLICY},
        "versions": {"gantools": _native.__version__, **dict(_native.DECODERS)},
        "shard_size": per_shard,
    }


def _array_digest(values: NDArray[Any]) -> str:
    return hashlib.sha256(np.ascontiguousarray(values).tobytes()).hexdigest()[:32]


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


@contextmanager
def _working_folder(partial: Path, plan: dict[str, Any], overwrite: bool) -> Iterator[None]:
    """The folder of an unfinished set, locked against a second run; what a run with another plan left is refused."""
    partial.mkdir(parents=True, exist_ok=True)
    with (partial.parent / f".{partial.name}.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise DataError(
                f"{partial}: another gantools prep is at work on it.", "Wait for it, or use --out."
            ) from None
        try:
            file = partial / PLAN
            ours = file.is_file() and file.read_text() == _plan_text(plan)
            if not ours and any(partial.iterdir()) and not _complete(partial, plan):
                if not overwrite:
                    raise DataError(
                        f"{partial}: holds a stopped run of another source, policy or version.",
                        "Discard it with --overwrite, or choose another place with --out.",
                    )
                shutil.rmtree(partial)
                partial.mkdir()
            if not ours:
                with atomic_write(file) as f:
                    f.write(_plan_text(plan).encode())
            yield
        finally:
            Path(lock.name).unlink(missing_ok=True)


def _complete(partial: Path, plan: dict[str, Any]) -> bool:
    """Whether the set is whole and only waits for its name, because the run was killed in that moment."""
    return is_prepared(partial) and read_manifest(partial).get("plan") == _digest(plan)


def _publish(partial: Path, target: Path) -> None:
    """Removes what only a stopped run needs and gives the folder its name."""
    # Records, and temporary files of a run that was killed.
    for leftover in [*partial.glob("images-*.json"), *partial.glob("*.tmp")]:
        leftover.unlink()
    (partial / PLAN).unlink(missing_ok=True)
    if target.exists():
        shutil.rmtree(target)
    partial.replace(target)


def _plan_text(plan: dict[str, Any]) -> str:
    return json.dumps(plan, indent=1, sort_keys=True)


def _shards(
    images: Source,
    policy: dict[str, Any],
    per_shard: int,
    partial: Path,
    threads: int,
    strict: bool,
    progress: bool,
) -> list[dict[str, Any]]:
    """Makes every shard that is not there yet; returns the records of all, in order."""
    starts = range(0, len(images), per_shard)
    records: list[dict[str, Any] | None] = [_record(partial, i) for i in range(len(starts))]
    native_policy = _native.PixelPolicy(**policy)
    sizes = [min(per_shard, len(images) - start) for start in starts]
    done = sum(size for size, record in zip(sizes, records, strict=True) if record is not None)
    with Progress(f"preparing {images.name}", len(images), start=done, show=progress) as bar:
        if done:
            bar.print(f"Going on after {done:,} images.")
        bar.update(done)
        try:
            for i, start in enumerate(starts):
                record = records[i]
                if record is None:
                    before = done
                    count, xxh3, rejects = _native.prepare_shard(
                        images.reader,
                        images.items[start : start + sizes[i]],
                        native_policy,
                        partial / _shard_name(i),
                        threads,
                        lambda n, before=before: bar.update(before + n),  # type: ignore[misc]
                    )
                    record = {
                        "file": _shard_name(i),
                        "count": count,
                        "xxh3": xxh3,
                        "rejects": [[start + at, reason] for at, reason in rejects],
                    }
                    write_json(partial / _record_name(i), record)
                    records[i] = record
                    done += sizes[i]
                    bar.update(done)
                if strict and record["rejects"]:
                    row, reason = record["rejects"][0]
                    raise DataError(
                        f"{images.names[row]}: {reason}.",
                        "Without --strict such images are listed in rejects.jsonl and left out; nothing done is lost.",
                    )
        except KeyboardInterrupt:
            raise Interrupted(
                f"{done:,} of {len(images):,} images are prepared and kept.", "Run the same command again to go on."
            ) from None
    return [record for record in records if record is not None]


def _shard_name(i: int) -> str:
    return f"images-{i:05d}.npy"


def _record_name(i: int) -> str:
    return f"images-{i:05d}.json"


def _record(partial: Path, i: int) -> dict[str, Any] | None:
    """The record of shard `i` when it and its file are whole."""
    try:
        record: dict[str, Any] = json.loads((partial / _record_name(i)).read_text())
        return record if _native.hash_file(partial / record["file"]) == record["xxh3"] else None
    except (OSError, ValueError, KeyError):
        return None


def _finish(images: Source, plan: dict[str, Any], records: list[dict[str, Any]], partial: Path) -> None:
    """Writes everything beside the shards, the manifest last: with it the set is whole."""
    rejects = [(row, reason) for record in records for row, reason in record["rejects"]]
    kept = np.setdiff1d(np.arange(len(images), dtype=np.int64), [row for row, _ in rejects])
    if not len(kept):
        row, reason = rejects[0]
        raise DataError(
            f"none of the {len(images):,} images could be read; the first: {images.names[row]}: {reason}.",
            "Check that --source holds images.",
        )
    with atomic_write(partial / "names.jsonl") as f:
        f.writelines(_json_line(images.names[i]) for i in kept)
    if rejects:
        with atomic_write(partial / REJECTS) as f:
            f.writelines(_json_line({"name": images.names[row], "reason": reason}) for row, reason in rejects)
    shards = [{key: record[key] for key in ("file", "count", "xxh3")} for record in records]
    policy = plan["policy"]
    shape = [policy["height"], policy["width"], policy["channels"]]
    manifest: dict[str, Any] = {
        "format": FORMAT,
        "version": FORMAT_VERSION,
        "name": plan["name"],
        "count": len(kept),
        "shape": shape,
        "dtype": "uint8",
        "layout": "NHWC",
        "fingerprint": _digest([shape, [shard["xxh3"] for shard in shards]])[:32],
        "source": {**plan["source"], "rejected": len(rejects)},
        "policy": policy,
        "versions": plan["versions"],
        "plan": _digest(plan),
        "shard_size": plan["shard_size"],
        "shards": shards,
    }
    if images.labels is not None and images.classes is not None:
        manifest["labels"] = {**_side_file(partial, "labels.npy", images.labels[kept]), "classes": images.classes}
    annotations = {}
    for key, annotation in images.annotations.items():
        annotations[key] = _side_file(partial, f"{key}.npy", annotation.values[kept])
        if annotation.columns:
            annotations[key]["columns"] = annotation.columns
    if annotations:
        manifest["annotations"] = annotations
    write_json(partial / MANIFEST, manifest)


def _json_line(value: Any) -> bytes:
    # File names that are no UTF-8 come as lone surrogates, which JSON can escape and UTF-8 cannot hold.
    return (json.dumps(value) + "\n").encode()


def _side_file(partial: Path, name: str, values: NDArray[Any]) -> dict[str, Any]:
    with atomic_write(partial / name) as f:
        np.save(f, values, allow_pickle=False)
    return {"file": name, "xxh3": _native.hash_file(partial / name)}
