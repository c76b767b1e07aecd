"""`gantools translate`."""

from __future__ import annotations

import click

from gantools.cli.options import numbers, one_of


@click.command()
@click.argument("run")
@click.argument("inputs", nargs=-1, required=True)
@click.option(
    "--out", default="translations", show_default=True, metavar="DIR", help="Folder to make, or of a film an .mp4."
)
@click.option(
    "--checkpoint", default="last", show_default=True, metavar="NAME", help="last, best or thousands of images."
)
@click.option(
    "--control", "controls", multiple=True, metavar="NAME=VALUE", help="Of the system, e.g. interpolation=0.8."
)
@click.option(
    "--tile", type=int, metavar="PIXELS", help="Compute larger images in tiles of this side.  [default: whole]"
)
@click.option("--pad", is_flag=True, help="Mirror images beyond their edge where the network does not take their size.")
@click.option("--landmarks", metavar="FILE", help="Five points of each face, for a network that needs them.")
@one_of("--alpha", ["error", "drop", "white", "black"], "error", "Transparent images: left out, or so.")
@click.option("--sixteen-bit", default="full", show_default=True, metavar="RANGE", help="full, stretch or LOW:HIGH.")
@click.option("--fps", type=float, metavar="N", help="Frames a second of an .mp4.  [default: the film's, or 25]")
@click.option("--device", metavar="NAME", help="cpu, cuda or cuda:1.  [default: CUDA when there is one]")
@click.option(
    "--overwrite", is_flag=True, help="Replace the folder when it holds translations of gantools, or the film."
)
def command(
    run: str,
    inputs: tuple[str, ...],
    out: str,
    checkpoint: str,
    controls: tuple[str, ...],
    tile: int | None,
    pad: bool,
    landmarks: str | None,
    alpha: str,
    sixteen_bit: str,
    fps: float | None,
    device: str | None,
    overwrite: bool,
) -> None:
    """Translate or enlarge images, or a film, by a trained run; file names are kept, results are PNG.

    RUN is a run's folder, one of its checkpoints or an exported model. INPUTS are image files, folders or archives of
    them, or prepared sets; images of any size are taken (a U-Net's, whose sides are to be multiples of 64 or more, with
    --pad). What cannot be translated is named, and listed in manifest.json. After Ctrl-C the same command goes on.

    
    gantools translate RUN film.mp4 --out large.mp4
    gantools translate RUN frames/ --out large

    A film is a video file (pip install 'gantools[film]'), or a folder of frames in the order of their names where the
    network takes several at once or --out is an .mp4. Results are frames, or an .mp4 without sound.
    """
    # Here, so that --help does not wait for torch.
    from gantools.sampling.translations import translate

    folder, rejects = translate(
        run,
        inputs,
        out=out,
        checkpoint=checkpoint,
        controls=numbers("--control", controls, "interpolation=0.8"),
        tile=tile,
        pad=pad,
        landmarks=landmarks,
        alpha=alpha,
        sixteen_bit=sixteen_bit,
        fps=fps,
        device=device,
        overwrite=overwrite,
        progress=True,
    )
    for name, reason in rejects:
        click.echo(f"warning: left out: {name}: {reason}", err=True)
    click.echo(folder)
