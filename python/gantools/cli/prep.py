"""`gantools prep`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import click

from gantools import _native
from gantools.cli.options import one_of

# The recipe for 28 x 28 grey images, which all relatives of MNIST are; dcgan takes any other source.
MNIST_RECIPE = "dcgan-fashion"


def _size(ctx: click.Context, param: click.Parameter, value: str | None) -> int | tuple[int, int] | None:
    """A number of pixels, or two as WIDTHxHEIGHT."""
    if value is None:
        return None
    match = re.fullmatch(r"([1-9]\d*)(?:x([1-9]\d*))?", value)
    if match is None:
        raise click.BadParameter(f"{value!r} is no size such as 64 or 512x384.")
    width, height = match.groups()
    return int(width) if height is None else (int(width), int(height))


@click.command("prep", short_help="Prepare a set of images.")
@click.argument("kind", metavar="SOURCE")
@click.option("--source", metavar="PATH", help="Where the images are: a folder, an archive, a file, or a URL of one.")
@click.option("--size", metavar="SIZE", callback=_size, help="Side of the square result [celeba: 64, mnist: 28].")
@one_of("--crop", _native.CROPS, "center", "Part that is kept.")
@click.option(
    "--filter", type=click.Choice(_native.FILTERS), help="Resize, as Pillow's [lanczos; dhariwal has its own]."
)
@click.option("--pad-color", metavar="COLOR", help="Background of --crop pad and box: black, white or #rrggbb [black].")
@click.option(
    "--fast", is_flag=True, help="Decode large JPEGs at reduced size, several times faster; pixels differ slightly."
)
@click.option("--channels", type=click.Choice(["1", "3"]), help="Grey or RGB [3; MNISTs and grey arrays: 1].")
@click.option(
    "--split",
    "--partition",
    "split",
    help="train, val, test, the name of a folder or all, where the source has splits; none: folders are classes.",
)
@click.option(
    "--where",
    metavar="FILTER",
    help="Only images such as 'Smiling=1 & (Male=-1 | Young=1)', 'class!=Bag' or 'width>=256 & aspect<=1.5'.",
)
@click.option("--dedupe", is_flag=True, help="Leave out files with exactly the bytes of an earlier one.")
@click.option("--balance", is_flag=True, help="Equally many images of each class.")
@click.option("--sample", type=click.IntRange(min=1), help="So many images drawn at random, after the filters.")
@click.option("--seed", type=int, help="Of --sample: another seed, other images [0].")
@click.option("--limit", type=click.IntRange(min=1), help="Only the first so many images, after the filters.")
@one_of(
    "--alpha",
    _native.ALPHA_POLICIES,
    "error",
    "Images with transparency: reject, drop the alpha, or put on white or black.",
)
@one_of("--orientation", _native.ORIENTATION_POLICIES, "apply", "The orientation of EXIF or XMP data.")
@click.option(
    "--sixteen-bit",
    metavar="full|stretch|LOW:HIGH",
    default="full",
    show_default=True,
    help="16-bit values: keep the high byte, stretch each image, or these two as black and white.",
)
@one_of("--store", ["pixels", "encoded"], "pixels", "Encoded is smaller and decoded at each reading: for large images.")
@click.option(
    "--encoding",
    type=click.Choice(["png", "jpeg", "original"]),
    help="What is stored encoded [png]; original: the source's bytes, resized at each reading.",
)
@click.option("--out", type=click.Path(path_type=Path), help="Folder to make [data/SOURCE-SIZE].")
@click.option(
    "--labels",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="A table with the label of each image by its name.",
)
@click.option(
    "--label-column",
    metavar="NAME",
    help="The column of labels, of --labels or parquet, or the array of a .npz  [if certain].",
)
@click.option("--column", metavar="NAME", help="The column of images in parquet files  [if certain].")
@click.option(
    "--key",
    metavar="EXT",
    help="The file of WebDataset samples (jpg, seg.png) or array of a .npz that is the image  [if certain].",
)
@click.option("--shard-size", type=click.IntRange(min=1), help="Images in a shard [2048, fewer when large].")
@click.option("--shards", metavar="I/N", help="Make only the I-th of N shares, for gantools merge.")
@click.option("--threads", type=click.IntRange(min=0), default=0, help="Threads to work with [all cores].")
@one_of(
    "--engine", ["threads", "ray"], "threads", "Ray: shards as tasks of a cluster ($RAY_ADDRESS), or of workers here."
)
@click.option("--workers", type=click.IntRange(min=1), help="With ray: tasks at a time [all cores].")
@click.option("--strict", is_flag=True, help="An unreadable image is an error, not a line in rejects.jsonl.")
@click.option("--overwrite", is_flag=True, help="Replace a prepared set, or a stopped run, at --out.")
def command(kind: str, shards: str | None, **options: Any) -> None:
    """Prepare a set of images: decode, crop, resize, pack.

    SOURCE is a path or URL, which is recognised, or one of celeba, mnist, fashion-mnist, kmnist, qmnist, emnist-letters
    (-byclass, -bymerge, -balanced, -digits, -mnist), cifar10, cifar100, folder (also a zip), stylegan (dataset.json),
    tar (also WebDataset), parquet, lmdb, array (.npy, .npz).

    \b
    gantools prep celeba --size 64 --source img_align_celeba.zip
    gantools prep fashion-mnist
    gantools prep photos/ --size 128 --crop center
    gantools prep 'shards/train-*.tar' --size 64

    Crops: center is the largest centred square; none the whole image, squeezed; pad the whole image on a background;
    dhariwal that of ADM and EDM2; celeba-N the middle N x N of an aligned CelebA image; box the square around CelebA's
    bounding box; landmarks a square aligned to the eyes, as FFHQ's; center-wide, with --size WxH, a W x H picture in a
    W x W square as by StyleGAN's dataset_tool.

    Stopped by Ctrl-C, the same command goes on where it was. On several machines: the same command with --shards 1/4,
    2/4, 3/4, 4/4, then gantools merge.
    """
    from gantools.data.prepare import prep, prep_share

    if options["channels"] is not None:
        options["channels"] = int(options["channels"])
    if shards is not None:
        if options.pop("engine") != "threads" or options.pop("workers") is not None:
            raise click.UsageError("--shards divides the work by hand, --engine ray by Ray: give one of them.")
        click.echo(prep_share(kind, shards, **options))
        return
    done = prep(kind, **options)
    click.echo(done.path)
    kind = done.manifest["source"]["kind"]
    click.echo(f"Next: gantools train {MNIST_RECIPE if 'mnist' in kind else 'dcgan'}", err=True)
