"""`gantools prep`: from a source to a prepared set.

The list of images is fixed first and cut into shards of fixed ranges. A shard is one idempotent piece of work: Rust
decodes, crops, resizes and writes it, and a small record beside it says what became of its images. Everything happens
in `OUT.partial`; when all shards are there the manifest is written and the folder gets its name. A run that was stopped
goes on by skipping the shards whose record and hash are right, so its result is byte-identical with that of an
uninterrupted one.

The work can also be divided: `prep_share` makes every n-th shard, on any machine, in a folder of its own, and `merge`
puts the shares together, again byte-identically.
"""

from __future__ import annotations

import glob
import json
import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Unpack

from gantools.data.advice import worth_saying
from gantools.data.engines import check_engine, make_shards
from gantools.data.folder_work import PLAN, complete, is_done, link, publish, working_folder
from gantools.data.listing import Listing
from gantools.data.manifest import finish
from gantools.data.plan import PrepKeywords, PrepOptions, resolve, say
from gantools.data.policy import HIGH_BYTE
from gantools.data.prepared import INPUTS, REJECTS, PreparedSet
from gantools.data.shards import read_record
from gantools.errors import ConfigError, DataError, cause
from gantools.progress import Progress

LISTING = "listing"


def prep(
    kind: str | Path,
    *,
    threads: int = 0,
    engine: str = "threads",
    workers: int | None = None,
    strict: bool = False,
    overwrite: bool = False,
    progress: bool = True,
    **options: Unpack[PrepKeywords],
) -> PreparedSet:
    """Prepare a set of images: decode, crop, resize, pack (docs/formats.md describes the result).

    Args:
        kind: a source by name (docs/sources.md lists them), or the path or URL of one, which is then recognised.
        source: where the images are, a path or URL; None looks in the source's usual places, then downloads, where it
            can.
        size: side of the square result in pixels; None for the source's own (celeba 64; mnist, cifar10 as they are).
            For the crop `center-wide` (width, height) of the picture in the square, whose side is the width.
        crop: `center` (largest centred square), `none` (the whole image, squeezed), `pad` (the whole image on a
            background), `center-wide` (StyleGAN), `dhariwal` (ADM, EDM2), `celeba-108`, `-128`, `-140`, `-148`, `-178`
            (the middle of an aligned CelebA image), `box` (around CelebA's bounding box) or `landmarks` (a square
            aligned to the eyes); docs/formats.md defines each.
        filter: `lanczos` (None), `bicubic`, `bilinear` or `box`, byte-equal with Pillow 13. `dhariwal` has its own.
        pad_color: the background of `pad` and `box`: `black` (None), `white` or `#rrggbb`.
        fast: decode a JPEG at a half, a quarter or an eighth of its size where at least four times the result remains.
            Pixels differ from the exact ones, of photos by up to 18 levels of 255 (`box`: 48), 99.9 % by up to 7.
        channels: 3 (RGB) or 1 (grey); None for 3, with MNIST, its relatives and grey arrays 1.
        split: `train`, `val`, `test` or `all`, where the source has splits.
        where: only images for which this holds, for example `Smiling=1 & Male=-1`; names are `class`, the annotations',
            and `width`, `height` and `aspect` (width / height) of the image before it is cropped.
        dedupe: leave out files with exactly the bytes of an earlier one.
        balance: equally many images of each class, the first ones of each (counted before rejects).
        sample: so many images drawn at random of what is left by the above; all where there are fewer. Which ones
            depends on `seed` and the images' names alone.
        seed: of the sample, of `noise`, of `degrade` and of the sides of `faces`, any whole number; None for 0.
        limit: only the first so many images of what is left by the above; not with `sample`.
        alpha: `error` (transparent images are rejected), `drop`, `white` or `black`.
        orientation: `apply` or `ignore` the orientation of EXIF or XMP data.
        sixteen_bit: which values of 16-bit PNG, TIFF and PGM become 0 and 255: `full` keeps the high byte, `stretch`
            takes each image's lowest and highest, `LOW:HIGH` these two, for example `0:4095` for 12-bit data.
        store: `pixels`, or `encoded`: smaller, and decoded at each reading; for large images.
        encoding: what an encoded store holds: `png` (None; the same pixels), `jpeg` (quality 95, 4:4:4) or `original`
            (the source's own bytes, cropped and resized at each reading).
        out: the folder to make; None for `data/NAME-SIZE`.
        column: the column of images in parquet files; None where it is certain.
        key: which file of each WebDataset sample is the image, by what its name ends with after the first point, for
            example `jpg` or `seg.png`; None where it is certain.
        labels: a table (.csv, .tsv, .jsonl, .parquet) with a row an image: its name, with or without folder and suffix,
            and its label. Images without a row are left out.
        label_column: the column of `labels` that has them; without `labels` the column of labels in parquet files or
            the key of the label in the `.json` of WebDataset samples; None where it is certain.
        shard_size: images in a shard; None for 2,048, or fewer when they are large.
        threads: 0 for all cores; with `ray` those of a worker, 0 for 1. The result does not depend on it.
        engine: `threads` of this process, or `ray`: shards as tasks of a Ray cluster, or of workers on this machine
            when the variable RAY_ADDRESS names none.
        workers: with `ray`: how many tasks at a time; None for as many as there are cores.
        inputs: where the inputs of a set of pairs are, matched by name; the source has the targets.
        operation: what the inputs are computed by of each image: `bicubic` (smaller by `scale`), `grey`, `edges`,
            `hole`, `noise` or `degrade` (by `scale`); docs/data.md defines each.
        scale: how many times as large as its input an image is; alone it means `bicubic`.
        direction: `AtoB` or `BtoA`, where two images stand side by side in each file, A on the left; the target is B or
            A.
        sigma: deviation of `noise` in levels of 255; None for 25.
        tile: cut images of any size into squares of this side instead of cropping and resizing them.
        stride: from one tile to the next; None for `tile`.
        rest: at the right and lower end, `shift` (None) adds tiles that end there, `drop` leaves the strip out.
        faces: prepare faces aligned by their landmarks: `frontal` (pairs: these are the targets, and the same turned to
            a side the inputs), `profiles` or `all` (no pairs); docs/data.md.
        landmarks: a table of five points of each face; None: the source's own.
        pose: how far the nose is aside at most (`frontal`, None: 0.06) or at least (`profiles`, None: 0.28), in
            distances of the eyes.
        angles: degrees that each frontal face is turned by; None for 15, 30, 45, 60.
        strict: an unreadable image is an error instead of a line in `rejects.jsonl`.
        overwrite: replace what is at `out`.
        progress: show a progress bar on stderr.
        options: the further ones of the above, by name.

    Returns:
        The prepared set, opened.

    Raises:
        ConfigError: an argument is wrong.
        DataError: the source is missing or empty, `out` holds something else, or (strict) an image is unreadable.
        Interrupted: Ctrl-C; the finished shards are kept and the same call goes on.
    """
    check_engine(engine, workers)
    plan = resolve(str(kind), PrepOptions(**options), progress=progress)
    target, document = plan.target, plan.document
    if is_done(target, document, overwrite):
        say(f"{target} is already prepared this way; nothing to do.", progress)
        return PreparedSet(target)
    partial = target.with_name(target.name + ".partial")
    with working_folder(partial, document, overwrite):
        if not complete(partial, document):
            records = make_shards(
                plan,
                range(plan.shards),
                partial,
                threads=threads,
                engine=engine,
                workers=workers,
                strict=strict,
                progress=progress,
            )
            names = None if plan.inputs is None else plan.inputs.names
            finish(Listing.of(plan.images, names), document, records, partial)
        publish(partial, target)
    done = PreparedSet(target)
    rejected = done.manifest["source"]["rejected"]
    note = f", {rejected:,} rejected (reasons in {target / REJECTS})" if rejected else ""
    _note_shallow(done, progress)
    say(f"{len(done):,} images of {done.shape} in {target}{note}.", progress)
    if rejected and progress:
        with (target / REJECTS).open(encoding="utf-8") as f:
            reasons = [json.loads(line)["reason"] for line in f]
        for line in worth_saying(reasons, len(done) + rejected):
            say(line, progress)
    return done


def prep_share(
    kind: str | Path,
    shards: str,
    *,
    threads: int = 0,
    strict: bool = False,
    overwrite: bool = False,
    progress: bool = True,
    **options: Unpack[PrepKeywords],
) -> Path:
    """Make a share of a set's shards, for `merge` to put together; the shares may be made anywhere, in any order.

    Args:
        kind: as for `prep`.
        shards: `i/n`: the i-th of n shares, i from 1. Share i has the shards i - 1, i - 1 + n, and so on.
        threads: as for `prep`.
        strict: as for `prep`.
        overwrite: discard what a stopped run with other arguments left of this share.
        progress: as for `prep`.
        options: the other arguments of `prep`; they have to be the same for all shares.

    Returns:
        The folder of the share, `OUT.part-i-of-n`.

    Raises:
        ConfigError: `shards` or another argument is wrong.
        DataError: as for `prep`.
        Interrupted: as for `prep`.
    """
    match = re.fullmatch(r"(\d{1,6})/(\d{1,6})", shards)
    number, of = (int(v) for v in match.groups()) if match else (0, 0)
    if not 1 <= number <= of:
        raise ConfigError(f"--shards {shards}: not a share.", "Write i/n, for example 2/4 for the second of four.")
    plan = resolve(str(kind), PrepOptions(**options), progress=progress)
    folder = plan.target.with_name(f"{plan.target.name}.part-{number}-of-{of}")
    with working_folder(folder, plan.document, overwrite):
        names = None if plan.inputs is None else plan.inputs.names
        Listing.of(plan.images, names).write(folder / LISTING)
        mine = range(number - 1, plan.shards, of)
        make_shards(plan, mine, folder, threads=threads, strict=strict, progress=progress)
    say(f"Share {number} of {of} is in {folder}. With all of them beside it: gantools merge {plan.target}", progress)
    return folder


def merge(
    out: str | Path, parts: Sequence[str | Path] = (), *, overwrite: bool = False, progress: bool = True
) -> PreparedSet:
    """Put the shares of a set together; the result is byte-identical with that of one `prep`.

    The folders of the shares are left as they are; where they are on the same disk no space is used twice.

    Args:
        out: the folder to make, under the name that the shares were made for.
        parts: the shares' folders; none: all `OUT.part-*` beside `out`.
        overwrite: discard what a stopped run with other arguments left at `OUT.partial`.
        progress: show a progress bar on stderr.

    Returns:
        The prepared set, opened.

    Raises:
        DataError: a shard is missing or damaged, shares of different sets, or `out` holds something else.
    """
    target = Path(out)
    folders = [Path(p) for p in parts] or sorted(target.parent.glob(f"{glob.escape(target.name)}.part-*-of-*"))
    if not folders:
        raise DataError(f"{target}: no share of it is there.", "Make them with: gantools prep ... --shards 1/2")
    plan = _common_plan(folders)
    if plan["name"] != target.name:
        raise DataError(
            f"{folders[0]} is a share of {plan['name']!r}, not of {target.name!r}.",
            f"Type: gantools merge {target.with_name(plan['name'])}",
        )
    if target.exists():
        if complete(target, plan):
            say(f"{target} is already put together; nothing to do.", progress)
            return PreparedSet(target)
        raise DataError(f"{target} exists and is something else.", "Move it away.")
    partial = target.with_name(target.name + ".partial")
    with working_folder(partial, plan, overwrite):
        if not complete(partial, plan):
            finish(Listing.read(folders[0] / LISTING), plan, _collect(folders, plan, partial, progress), partial)
        publish(partial, target)
    done = PreparedSet(target)
    _note_shallow(done, progress)
    say(f"{len(done):,} images of {done.shape} in {target}.", progress)
    return done


def _common_plan(folders: Sequence[Path]) -> dict[str, Any]:
    plans = []
    for folder in folders:
        try:
            plans.append(json.loads((folder / PLAN).read_text()))
        except (OSError, ValueError) as e:
            raise DataError(
                f"{folder}: not a share of a set ({cause(e)}).", "Make one with: gantools prep --shards"
            ) from e
    for folder, plan in zip(folders, plans, strict=True):
        if plan != plans[0]:
            keys = [key for key in plan if plan[key] != plans[0].get(key)]
            raise DataError(
                f"{folder} and {folders[0]} are shares of different sets (they differ in {', '.join(keys)}).",
                "Run prep --shards with the same source, options and version of gantools for all shares.",
            )
    found: dict[str, Any] = plans[0]
    return found


def _collect(folders: Sequence[Path], plan: dict[str, Any], partial: Path, progress: bool) -> list[dict[str, Any]]:
    """Brings every shard into `partial`, its hash compared; returns the records in order."""
    count = math.ceil(plan["source"]["items"] / plan["shard_size"])
    records, missing = [], []
    with Progress("verifying", count, unit="shards", show=progress) as bar:
        for i in range(count):
            for folder in folders:
                record = read_record(folder, i)
                if record is not None:
                    link(folder / record["file"], partial / record["file"])
                    if "inputs" in record:
                        (partial / INPUTS).mkdir(exist_ok=True)
                        file = Path(INPUTS) / record["inputs"]["file"]
                        link(folder / file, partial / file)
                    records.append(record)
                    break
            else:
                missing.append(i)
            bar.update(i + 1)
    if missing:
        shown = ", ".join(str(i) for i in missing[:10]) + (", ..." if len(missing) > 10 else "")
        raise DataError(
            f"{len(missing)} of {count} shards are missing or damaged: {shown} (share i/n has i - 1, i - 1 + n, ...).",
            "Run prep --shards again for the shares that have them, then merge again.",
        )
    return records


def _note_shallow(done: PreparedSet, progress: bool) -> None:
    """Says where 12-bit data have come out nearly black."""
    shallow = done.manifest["source"].get("shallow_16_bit", 0)
    if shallow and done.manifest["policy"]["sixteen_bit"] == HIGH_BYTE:
        say(
            f"Note: {shallow:,} images of 16 bits hold values below 4096 only, so they come out nearly black: "
            "--sixteen-bit 0:4095 takes these for black and white, --sixteen-bit stretch each image's own.",
            progress,
        )
