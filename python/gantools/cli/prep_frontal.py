"""`gantools prep frontal`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from gantools.cli.prep_options import COLOURS, RESULT, WHERE, WORK, having, run


def _angles(ctx: click.Context, param: click.Parameter, value: str | None) -> tuple[float, ...] | None:
    if value is None:
        return None
    try:
        return tuple(float(part) for part in value.split(","))
    except ValueError:
        raise click.BadParameter(f"{value!r} are no angles such as 15,30,45,60.") from None


@click.command("frontal")
@click.argument("kind", metavar="SOURCE")
@click.option(
    "--landmarks", metavar="FILE", type=click.Path(path_type=Path), help="Five points of each face [CelebA's own]."
)
@click.option("--size", type=click.IntRange(min=16), default=128, show_default=True, help="Side of a face.")
@click.option("--angles", metavar="LIST", callback=_angles, help="Degrees that each face is turned by [15,30,45,60].")
@click.option("--frontal", type=float, help="A face is frontal where the nose is less aside [0.06].")
@click.option("--profiles", is_flag=True, help="Instead the faces that look aside, as they are: no pairs.")
@click.option("--profile", type=float, help="With --profiles: the nose is more aside [0.28].")
@click.option("--all-poses", is_flag=True, help="Instead all faces, as they are: no pairs.")
@click.option(
    "--labels", metavar="FILE", type=click.Path(path_type=Path), help="A table that says who is in each image."
)
@click.option("--label-column", metavar="NAME", help="The column of --labels that has them  [if certain].")
@having(WHERE, COLOURS, RESULT, WORK)
def frontal(
    kind: str,
    shards: str | None,
    frontal: float | None,
    profiles: bool,
    profile: float | None,
    all_poses: bool,
    **options: Any,
) -> None:
    """Prepare faces by their landmarks: frontal ones as targets, and as inputs what a turn makes of them.

    \b
    gantools prep frontal celeba --size 64 --split train
    gantools prep frontal photos/ --landmarks points.csv --size 128
    gantools prep frontal photos/ --landmarks points.csv --profiles --out faces

    The eyes are made level, and faces equally large. Each frontal face is there once for each of --angles, turned to
    one side by a depth model: synthetic poses. The side depends on --seed and its name. Labels are people: those of
    --labels or of CelebA's identity file, else each image is one. How far the nose is aside is counted in distances of
    the eyes. --profiles and --all-poses make aligned faces for gantools translate.
    """
    if profiles and all_poses:
        raise click.UsageError("--profiles and --all-poses both say which faces: give one of them.")
    if profile is not None and not profiles:
        raise click.UsageError("--profile goes with --profiles.")
    if (profiles or all_poses) and (frontal is not None or options["angles"] is not None):
        raise click.UsageError("--frontal and --angles go with frontal faces.")
    from gantools.data.prepare import prep, prep_share

    faces = "profiles" if profiles else "all" if all_poses else "frontal"
    run(prep, prep_share, kind, shards, {**options, "faces": faces, "pose": profile if profiles else frontal})
