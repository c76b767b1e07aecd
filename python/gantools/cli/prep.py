"""`gantools prep`."""

from __future__ import annotations

from pathlib import Path

import click

from gantools import _native

# The recipe that fits a source; dcgan takes any other.
TRAINING = {"mnist": "dcgan-fashion", "fashion-mnist": "dcgan-fashion"}


@click.command("prep", short_help="Prepare a set of images.")
@click.argument("kind", metavar="SOURCE")
@click.option("--source", type=click.Path(path_type=Path), help="Where the images are: a folder, an archive, a file.")
@click.option("--size", type=click.IntRange(min=1), help="Side of the square result [celeba: 64, mnist: 28].")
@click.option(
    "--crop", type=click.Choice(_native.CROPS), default="center", show_default=True, help="Part that is kept."
)
@click.option(
    "--filter", type=click.Choice(_native.FILTERS), default="lanczos", show_default=True, help="Resize, as Pillow's."
)
@click.option("--channels", type=click.Choice(["1", "3"]), help="Grey or RGB [the source's own].")
@click.option("--split", help="train, val, test or all, where the source has splits.")
@click.option("--limit", type=click.IntRange(min=1), help="Only the first so many images.")
@click.option(
    "--alpha",
    type=click.Choice(_native.ALPHA_POLICIES),
    default="error",
    show_default=True,
    help="Images with transparency: reject, drop the alpha, or put on white or black.",
)
@click.option(
    "--orientation",
    type=click.Choice(_native.ORIENTATION_POLICIES),
    default="apply",
    show_default=True,
    help="The EXIF orientation.",
)
@click.option("--out", type=click.Path(path_type=Path), help="Folder to make [data/SOURCE-SIZE].")
@click.option("--shard-size", type=click.IntRange(min=1), help="Images in a shard [2048, fewer when large].")
@click.option("--threads", type=click.IntRange(min=0), default=0, help="Threads [all cores].")
@click.option("--strict", is_flag=True, help="An unreadable image is an error, not a line in rejects.jsonl.")
@click.option("--overwrite", is_flag=True, help="Replace a prepared set, or a stopped run, at --out.")
def command(
    kind: str,
    source: Path | None,
    size: int | None,
    crop: str,
    filter: str,
    channels: str | None,
    split: str | None,
    limit: int | None,
    alpha: str,
    orientation: str,
    out: Path | None,
    shard_size: int | None,
    threads: int,
    strict: bool,
    overwrite: bool,
) -> None:
    """Prepare a set of images: decode, crop, resize, pack.

    SOURCE is a path, which is recognised, or one of celeba, mnist, fashion-mnist, cifar10, cifar100, folder (also a
    zip), stylegan (dataset.json), tar (also WebDataset), parquet, lmdb, array (.npy, .npz).

    \b
    gantools prep celeba --size 64 --source img_align_celeba.zip
    gantools prep fashion-mnist
    gantools prep photos/ --size 128 --crop center
    gantools prep 'shards/train-*.tar' --size 64

    Stopped by Ctrl-C, the same command goes on where it was.
    """
    from gantools.data.prepare import prep

    done = prep(
        kind,
        source=source,
        size=size,
        crop=crop,
        filter=filter,
        channels=None if channels is None else int(channels),
        split=split,
        limit=limit,
        alpha=alpha,
        orientation=orientation,
        out=out,
        shard_size=shard_size,
        threads=threads,
        strict=strict,
        overwrite=overwrite,
    )
    click.echo(done.path)
    kind = done.manifest["source"]["kind"]
    click.echo(f"Next: gantools train {TRAINING.get(kind, 'dcgan')}", err=True)
