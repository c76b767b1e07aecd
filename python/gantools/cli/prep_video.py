"""`gantools prep video`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from gantools.cli.options import one_of
from gantools.data.tiles import RESTS


@click.command("video")
@click.argument("films", metavar="FILE|FOLDER...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder to make.")
@click.option("--size", type=click.IntRange(min=1), required=True, help="Side of a tile in pixels.")
@click.option(
    "--scale", type=click.IntRange(min=2), default=4, show_default=True, help="Inputs are smaller by so much."
)
@click.option("--stride", type=click.IntRange(min=1), help="Pixels from one tile to the next [the size].")
@click.option(
    "--rest",
    type=click.Choice(RESTS),
    help="At the right and lower end: shift the last tile to end there, or drop what is left [shift].",
)
@click.option("--channels", type=click.Choice(["1", "3"]), help="Luma or RGB [3].")
@click.option("--every", type=click.IntRange(min=1), default=1, help="Take every so many-th frame only.")
@click.option("--limit", type=click.IntRange(min=2), help="Only the first so many frames of each film.")
@one_of("--store", ["pixels", "encoded"], "pixels", "Encoded is smaller and decoded at each reading.")
@click.option("--threads", type=click.IntRange(min=0), default=0, help="Threads to work with [all cores].")
@click.option("--overwrite", is_flag=True, help="Replace a prepared set, or a stopped run, at --out.")
@click.option("--no-progress", is_flag=True, help="No progress bar.")
def video(films: tuple[Path, ...], channels: str | None, no_progress: bool, **options: Any) -> None:
    """Prepare films: split at cuts and cut into tiles over their whole length, targets and smaller inputs.

    \b
    gantools prep video clips/ --out data/clips --size 128 --scale 4 --channels 1
    gantools prep video film.mp4 frames/ --out data/films --size 128 --stride 64 --limit 500

    FILE is a video (pip install 'gantools[film]'), FOLDER one of frames in the order of their names, or one of videos
    or of such folders. Every image of the set knows which film and frame it is (annotations clip, shot, frame), for the
    feed frames. Inputs are made of the whole frame, by the bicubic of gantools prep tiles --scale.

    Meanwhile the frames lie beside the set in OUT.frames, lossless. Stopped by Ctrl-C, the same command goes on.
    """
    from gantools.data.video import prep_video

    number = None if channels is None else int(channels)
    done = prep_video(films, channels=number, progress=not no_progress, **options)
    click.echo(done.path)
