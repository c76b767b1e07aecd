"""`gantools prep video`: films to a prepared set of pairs whose images know which film and which frame they are of.

Films are read once, split at cuts, and laid out as lossless PNG in `OUT.frames`; these frames are then cut into tiles
by `prep` as any images are. The folder goes when the set is there; a stopped run goes on with the films it has.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gantools import _native
from gantools.data.clips import Clip, EndsEarly, check_names, cuts, difference, find_clips
from gantools.data.folder_work import working_folder
from gantools.data.pairs import check_pairs
from gantools.data.plan import PrepOptions, check_tiles, say
from gantools.data.prepare import prep
from gantools.data.prepared import PreparedSet, digest, is_prepared, read_manifest
from gantools.data.sources.frames import LIST
from gantools.errors import ConfigError, DataError, Interrupted
from gantools.files import atomic_write, whole_folder, write_json
from gantools.progress import Progress

#: Shorter shots have no neighbours to learn from.
LEAST_FRAMES = 2
PARTS = "shots.json"


def prep_video(
    paths: Sequence[str | Path],
    *,
    out: str | Path,
    size: int,
    scale: int | None = 4,
    stride: int | None = None,
    rest: str | None = None,
    channels: int | None = None,
    every: int = 1,
    limit: int | None = None,
    store: str = "pixels",
    threads: int = 0,
    overwrite: bool = False,
    progress: bool = True,
) -> PreparedSet:
    """Prepare films: split at cuts, cut into tiles over their whole length, with smaller inputs.

    Args:
        paths: video files, folders of frames, or folders of either.
        out: the folder to make.
        size: side of a tile in pixels.
        scale: how many times as large as its input an image is; None: no inputs.
        stride: from one tile to the next; None for `size`.
        rest: as for `prep`.
        channels: 3 (None), or 1 for luma.
        every: take every so many-th frame only.
        limit: the first so many frames of each film, after `every`.
        store: `pixels` or `encoded`.
        threads: 0 for all cores.
        overwrite: replace what is at `out`, or what a stopped run left.
        progress: show progress on stderr.

    Returns:
        The set, opened: its annotations are `clip` (shot and place), `shot` and `frame`.

    Raises:
        ConfigError: an argument is wrong, or PyAV is missing. DataError: no films, or one of a single frame.
        Interrupted: Ctrl-C; the same call goes on.
    """
    if every < 1 or (limit is not None and limit < LEAST_FRAMES):
        raise ConfigError(f"every is at least 1 and limit at least {LEAST_FRAMES}, not {every}, {limit}.")
    check_tiles(PrepOptions(tile=size, scale=scale, stride=stride, rest=rest))
    check_pairs(None, scale, None, None, tiled=True, size=size)
    if not paths:
        raise ConfigError("which films?", "For example: gantools prep video clips/ --out data/clips --size 128")
    clips = [clip for path in paths for clip in find_clips(Path(path))]
    check_names(clips)
    asked = {
        "films": {clip.name: _fingerprint(clip) for clip in clips},
        "every": every,
        "limit": limit,
    }
    options: dict[str, Any] = {"tile": size, "scale": scale, "stride": stride, "rest": rest, "channels": channels}
    key = digest({**asked, **options, "store": store})[:32]
    target = Path(out)
    if target.exists() and not overwrite:
        if is_prepared(target) and read_manifest(target)["source"].get("video", {}).get("asked") == key:
            say(f"{target} is already prepared this way; nothing to do.", progress)
            return PreparedSet(target)
        raise DataError(
            f"{target} exists and is something else.",
            "Choose another place with --out, or replace it with --overwrite.",
        )
    frames = target.with_name(target.name + ".frames")
    with working_folder(frames, {"asked": key}, overwrite):
        try:
            _lay_out(clips, frames, key, every, limit, size, progress)
        except (ConfigError, DataError):
            # Another call is to mend it, which would find the folder of this one in its way.
            shutil.rmtree(frames)
            raise
        done = prep(
            "frames",
            source=frames,
            out=target,
            store=store,
            threads=threads,
            overwrite=overwrite,
            progress=progress,
            **options,
        )
        shutil.rmtree(frames)
    return done


def _fingerprint(clip: Clip) -> str:
    return digest([_native.hash_file(clip.path / name) for name in clip.frames] or _native.hash_file(clip.path))[:32]


def _lay_out(
    clips: Sequence[Clip], folder: Path, key: str, every: int, limit: int | None, size: int, progress: bool
) -> None:
    """The frames of all films below `folder`, those left out that a stopped run laid out, and the list of them."""
    listed = []
    total = sum(clip.declared or len(clip.frames) for clip in clips)
    with Progress("reading films", total, unit="frames", show=progress) as bar:
        try:
            for clip in clips:
                if not (folder / clip.name / PARTS).is_file():
                    with whole_folder(folder / clip.name) as place:
                        _lay_out_one(clip, place, every, limit, size, bar)
                found = json.loads((folder / clip.name / PARTS).read_text(encoding="utf-8"))
                listed.append(found)
                for line in found["notes"]:
                    bar.print(line)
        except KeyboardInterrupt:
            raise Interrupted(
                f"{len(listed):,} of {len(clips):,} films are read and kept in {folder}.",
                "Run the same command again to go on.",
            ) from None
    write_json(folder / LIST, {"asked": key, "every": every, "limit": limit, "clips": listed})
    shots = sum(len(clip["shots"]) for clip in listed)
    say(f"{len(listed):,} films, {shots:,} shots, {sum(c['frames'] for c in listed):,} frames.", progress)


def _lay_out_one(clip: Clip, place: Path, every: int, limit: int | None, size: int, bar: Progress) -> None:
    """The frames of one film, a folder a shot, and what is known of it."""
    differences: list[float] = []
    files: list[Path] = []
    notes: list[str] = []
    before = None
    try:
        for number, frame in enumerate(clip.read()):
            bar.advance(1)
            if number % every:
                continue
            if min(frame.shape[:2]) < size:
                raise DataError(
                    f"{clip.path}: frames are {frame.shape[1]} x {frame.shape[0]}, smaller than a tile of {size}.",
                    f"For example --size {min(frame.shape[:2]) // 8 * 8 or min(frame.shape[:2])}.",
                )
            if before is not None:
                differences.append(difference(before, frame))
            before = frame
            file = place / f"{number:06d}.png"
            with atomic_write(file) as f:
                f.write(_native.encode_png(frame))
            files.append(file)
            if limit is not None and len(files) == limit:
                break
    except EndsEarly as e:
        notes.append(f"warning: {e.message} The set has those.")
    if len(files) < LEAST_FRAMES:
        had = f" ({notes[0].removeprefix('warning: ')})" if notes else ""
        raise DataError(
            f"{clip.path}: has {len(files)} frame{'s' * (len(files) != 1)}, a film needs {LEAST_FRAMES}{had}.",
            "Single images are prepared by: gantools prep tiles",
        )
    begins = cuts(differences)
    shots = []
    for i, (start, stop) in enumerate(zip(begins, [*begins[1:], len(files)], strict=True)):
        (place / f"{i:04d}").mkdir()
        names = [f"{i:04d}/{file.name}" for file in files[start:stop]]
        for file, name in zip(files[start:stop], names, strict=True):
            file.rename(place / name)
        shots.append(names)
    rate = None if clip.fps is None else str(clip.fps / every)
    assert before is not None
    facts = {"name": clip.name, "frames": len(files), "size": [before.shape[1], before.shape[0]], "fps": rate}
    write_json(place / PARTS, {**facts, "notes": notes, "shots": shots})
