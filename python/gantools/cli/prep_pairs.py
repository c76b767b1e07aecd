"""`gantools prep pairs` and `gantools prep tiles`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from gantools.cli.prep_options import CHOSEN, COLOURS, PIXELS, RESULT, WHERE, WORK, Options, having, run
from gantools.data.pairs import DIRECTIONS, OPERATIONS
from gantools.data.tiles import RESTS

#: Where the inputs come from.
INPUTS: Options = (
    click.option(
        "--inputs",
        type=click.Path(path_type=Path),
        help="Folder or archive of the inputs; they have the names of the targets.",
    ),
    click.option(
        "--operation",
        type=click.Choice(list(OPERATIONS)),
        help="Make the inputs of the images: smaller, grey, edges, with a hole, noisy or degraded.",
    ),
    click.option(
        "--sigma", type=float, help="Deviation of --operation noise in levels of 255 [25]; --seed is its seed."
    ),
    click.option(
        "--scale", type=click.IntRange(min=2), help="Inputs are smaller by so much; alone: made by --operation bicubic."
    ),
)


@click.command("pairs")
@click.argument("kind", metavar="SOURCE")
@having(INPUTS)
@click.option("--side-by-side", is_flag=True, help="Each file shows two images of the same width, A on the left.")
@click.option(
    "--direction", type=click.Choice(list(DIRECTIONS)), help="With --side-by-side: from input to target [AtoB]."
)
@having(WHERE, PIXELS, COLOURS, RESULT, CHOSEN, WORK)
def pairs(kind: str, shards: str | None, side_by_side: bool, direction: str | None, **options: Any) -> None:
    """Prepare a set of pairs: images of SOURCE, the targets, and what a network makes them from, the inputs.

    \b
    gantools prep pairs photos/ --inputs sketches/ --size 256
    gantools prep pairs facades/train --side-by-side --direction BtoA --size 256
    gantools prep pairs celeba --operation grey --size 64
    gantools prep pairs photos/ --scale 4 --size 256

    The inputs are a prepared set of their own in the set's folder inputs/. An image that is rejected on one side is
    missing on both. Further options are those of gantools prep.
    """
    if direction is not None and not side_by_side:
        raise click.UsageError("--direction goes with --side-by-side.")
    ways = (options["inputs"], options["operation"], options["scale"], side_by_side or None)
    if all(way is None for way in ways):
        raise click.UsageError("where do the inputs come from? Give --inputs, --operation, --scale or --side-by-side.")
    from gantools.data.prepare import prep, prep_share

    run(prep, prep_share, kind, shards, {**options, "direction": (direction or "AtoB") if side_by_side else None})


@click.command("tiles")
@click.argument("kind", metavar="SOURCE")
@click.option("--size", type=click.IntRange(min=1), required=True, help="Side of a tile in pixels.")
@click.option("--stride", type=click.IntRange(min=1), help="Pixels from one tile to the next [the size].")
@click.option(
    "--rest",
    type=click.Choice(RESTS),
    help="At the right and lower end: shift the last tile to end there, or drop what is left [shift].",
)
@having(INPUTS, WHERE, COLOURS, RESULT, CHOSEN, WORK)
def tiles(kind: str, shards: str | None, size: int, **options: Any) -> None:
    """Cut the images of SOURCE, of any size, into tiles of one size; they are not resized.

    \b
    gantools prep tiles DIV2K_train_HR/ --size 128
    gantools prep tiles DIV2K_train_HR/ --size 128 --stride 64 --scale 4
    gantools prep tiles DIV2K_train_HR/ --size 128 --scale 4 --inputs DIV2K_train_LR_bicubic/X4

    A tile is named after its image and its upper left corner: name_y_x.png. With --scale it is a set of pairs: each
    image is made smaller as a whole, and the same places are cut out of it. --where, --sample and --limit choose
    images, not tiles. Further options are those of gantools prep.
    """
    from gantools.data.prepare import prep, prep_share

    run(prep, prep_share, kind, shards, {**options, "tile": size})
