"""`gantools walk`."""

from __future__ import annotations

import click

from gantools.cli import options


@click.command()
@click.argument("run", required=False)
@click.option("--seeds", metavar="LIST", help="The walk goes by image 0 of these seeds, e.g. 1,5,9-12.  [default: 0-7]")
@click.option("--latents", metavar="FILE.npy", help="Or by these latents, from the first to the last.")
@click.option("--frames", type=int, default=120, show_default=True, help="How many frames the whole walk has.")
@click.option("--once", is_flag=True, help="End at the last image.  [default: return to the first]")
@click.option("--film", metavar="FILE", help="Also write the frames as an animated PNG, or as an .mp4.")
@click.option("--fps", type=int, default=24, show_default=True, help="Frames a second of the film, 1 to 1000.")
@click.option("--class", "class_", metavar="NAME", help="Class of all frames.  [default: the first]")
@options.on_images
@click.option("--out", default="walk", show_default=True, metavar="DIR", help="Folder of the frames.")
@options.on_run
@click.option("--overwrite", is_flag=True, help="Replace the film, and the folder when it holds samples of gantools.")
def command(
    run: str | None,
    seeds: str | None,
    latents: str | None,
    frames: int,
    once: bool,
    film: str | None,
    fps: int,
    class_: str | None,
    truncation: float | None,
    controls: tuple[str, ...],
    directions: tuple[str, ...],
    batch: int,
    out: str,
    checkpoint: str,
    device: str | None,
    overwrite: bool,
) -> None:
    """Walk from image to image of a trained run on great circles between their latents: PNG frames, and a film.

    RUN is a run's folder or one of its checkpoints; without it, the newest run in ./runs is taken.

    \b
    gantools walk RUN --seeds 1,2,3 --film walk.png          a loop by way of three images
    gantools walk RUN --seeds 4,9 --once --frames 9          from one image to another
    """
    # Here, so that --help does not wait for torch.
    from gantools.sampling.write import walk

    click.echo(
        walk(
            run,
            seeds=options.seeds(seeds),
            latents=latents,
            frames=frames,
            once=once,
            film=film,
            fps=fps,
            class_=class_,
            controls=options.turned(controls, truncation),
            directions=options.moved(directions),
            batch=batch,
            out=out,
            checkpoint=checkpoint,
            device=device,
            overwrite=overwrite,
        )
    )
