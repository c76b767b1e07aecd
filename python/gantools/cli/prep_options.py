"""The options of `gantools prep` and of its relatives `prep pairs` and `prep tiles`."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click

from gantools import _native
from gantools.cli.options import one_of
from gantools.data.policy import CROPS

F = TypeVar("F", bound=Callable[..., Any])
Prepare = Callable[..., Any]
Options = Sequence[Callable[[Any], Any]]


def having(*groups: Options) -> Callable[[F], F]:
    """Decorates a command with the options of these groups, in this order."""

    def decorate(command: F) -> F:
        for group in reversed(groups):
            for option in reversed(group):
                command = option(command)
        return command

    return decorate


def _size(ctx: click.Context, param: click.Parameter, value: str | None) -> int | tuple[int, int] | None:
    """A number of pixels, or two as WIDTHxHEIGHT."""
    if value is None:
        return None
    match = re.fullmatch(r"([1-9]\d*)(?:x([1-9]\d*))?", value)
    if match is None:
        raise click.BadParameter(f"{value!r} is no size such as 64 or 512x384.")
    width, height = match.groups()
    return int(width) if height is None else (int(width), int(height))


#: Where the images are and which of them.
WHERE: Options = (
    click.option(
        "--source", metavar="PATH", help="Where the images are: a folder, an archive, a file, or a URL of one."
    ),
    click.option(
        "--split",
        "--partition",
        "split",
        help="train, val, test, the name of a folder or all, where the source has splits; none: folders are classes.",
    ),
    click.option(
        "--where",
        metavar="FILTER",
        help="Only images such as 'Smiling=1 & (Male=-1 | Young=1)', 'class!=Bag' or 'width>=256 & aspect<=1.5'.",
    ),
    click.option("--dedupe", is_flag=True, help="Leave out files with exactly the bytes of an earlier one."),
    click.option("--balance", is_flag=True, help="Equally many images of each class."),
    click.option("--sample", type=click.IntRange(min=1), help="So many images drawn at random, after the filters."),
    click.option("--seed", type=int, help="Of --sample, other images, or of noise and degrade [0]."),
    click.option("--limit", type=click.IntRange(min=1), help="Only the first so many images, after the filters."),
)
#: What is cut out of each and how it is resized.
PIXELS: Options = (
    click.option("--size", metavar="SIZE", callback=_size, help="Side of the square result [celeba: 64, mnist: 28]."),
    one_of("--crop", CROPS, "center", "Part that is kept."),
    click.option(
        "--filter", type=click.Choice(_native.FILTERS), help="Resize, as Pillow's [lanczos; dhariwal has its own]."
    ),
    click.option(
        "--pad-color", metavar="COLOR", help="Background of --crop pad and box: black, white or #rrggbb [black]."
    ),
    click.option(
        "--fast", is_flag=True, help="Decode large JPEGs at reduced size, several times faster; pixels differ slightly."
    ),
)
#: How files become RGB or grey.
COLOURS: Options = (
    click.option("--channels", type=click.Choice(["1", "3"]), help="Grey or RGB [3; MNISTs and grey arrays: 1]."),
    one_of(
        "--alpha",
        _native.ALPHA_POLICIES,
        "error",
        "Images with transparency: reject, drop the alpha, or put on white or black.",
    ),
    one_of("--orientation", _native.ORIENTATION_POLICIES, "apply", "The orientation of EXIF or XMP data."),
    click.option(
        "--sixteen-bit",
        metavar="full|stretch|LOW:HIGH",
        default="full",
        show_default=True,
        help="16-bit values: keep the high byte, stretch each image, or these two as black and white.",
    ),
)
#: What is written, and where.
RESULT: Options = (
    one_of(
        "--store", ["pixels", "encoded"], "pixels", "Encoded is smaller and decoded at each reading: for large images."
    ),
    click.option(
        "--encoding",
        type=click.Choice(["png", "jpeg", "original"]),
        help="What is stored encoded [png]; original: the source's bytes, resized at each reading.",
    ),
    click.option("--out", type=click.Path(path_type=Path), help="Folder to make [data/SOURCE-SIZE]."),
)
#: Which of several columns or files of a source.
CHOSEN: Options = (
    click.option(
        "--labels",
        metavar="FILE",
        type=click.Path(path_type=Path),
        help="A table with the label of each image by its name.",
    ),
    click.option(
        "--label-column",
        metavar="NAME",
        help="The column of labels, of --labels or parquet, or the array of a .npz  [if certain].",
    ),
    click.option("--column", metavar="NAME", help="The column of images in parquet files  [if certain]."),
    click.option(
        "--key",
        metavar="EXT",
        help="The file of WebDataset samples (jpg, seg.png) or array of a .npz that is the image  [if certain].",
    ),
)
#: How the work is done; the result does not depend on it.
WORK: Options = (
    click.option("--shard-size", type=click.IntRange(min=1), help="Images in a shard [2048, fewer when large]."),
    click.option("--shards", metavar="I/N", help="Make only the I-th of N shares, for gantools merge."),
    click.option("--threads", type=click.IntRange(min=0), default=0, help="Threads to work with [all cores]."),
    one_of(
        "--engine",
        ["threads", "ray"],
        "threads",
        "Ray: shards as tasks of a cluster ($RAY_ADDRESS), or of workers here.",
    ),
    click.option("--workers", type=click.IntRange(min=1), help="With ray: tasks at a time [all cores]."),
    click.option("--strict", is_flag=True, help="An unreadable image is an error, not a line in rejects.jsonl."),
    click.option("--overwrite", is_flag=True, help="Replace a prepared set, or a stopped run, at --out."),
)


def run(prep: Prepare, prep_share: Prepare, kind: str, shards: str | None, options: dict[str, Any]) -> Any:
    """Prepares a set, or with `shards` a share of it; prints the folder and returns the set, or None for a share."""
    if options["channels"] is not None:
        options["channels"] = int(options["channels"])
    if shards is not None:
        if options.pop("engine") != "threads" or options.pop("workers") is not None:
            raise click.UsageError("--shards divides the work by hand, --engine ray by Ray: give one of them.")
        click.echo(prep_share(kind, shards, **options))
        return None
    done = prep(kind, **options)
    click.echo(done.path)
    return done
