"""`gantools prep`."""

from __future__ import annotations

import importlib
from typing import Any

import click

from gantools.cli.prep_options import CHOSEN, COLOURS, PIXELS, RESULT, WHERE, WORK, having, run

# The recipe for 28 x 28 grey images, which all relatives of MNIST are; dcgan takes any other source.
MNIST_RECIPE = "dcgan-fashion"
# What may stand in the place of a source and is a command of its own.
RELATIVES = {
    "pairs": "prep_pairs",
    "tiles": "prep_pairs",
    "ranked": "prep_ranked",
    "frontal": "prep_frontal",
    "video": "prep_video",
}


class PrepCommand(click.Command):
    """A command whose first argument may be the name of a relative, which then reads the rest."""

    def relatives(self) -> dict[str, click.Command]:
        """The commands that may stand in the place of a source, by name."""
        return {name: getattr(importlib.import_module(f"gantools.cli.{at}"), name) for name, at in RELATIVES.items()}

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        """That of the command which is meant."""
        if args and args[0] in RELATIVES:
            return self.relatives()[args[0]].make_context(f"{info_name} {args[0]}", args[1:], parent, **extra)
        return super().make_context(info_name, args, parent, **extra)

    def invoke(self, ctx: click.Context) -> Any:
        """Runs the command whose context it is."""
        return super().invoke(ctx) if ctx.command is self else ctx.command.invoke(ctx)


@click.command("prep", cls=PrepCommand, short_help="Prepare a set of images.")
@click.argument("kind", metavar="SOURCE")
@having(WHERE, PIXELS, COLOURS, RESULT, CHOSEN, WORK)
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

    Sets of pairs, for translation and super-resolution, tiles of large images, pairs of a better and a worse image, and
    turned faces with frontal ones, and films: gantools prep pairs --help, prep tiles --help, prep ranked --help, prep
    frontal --help, prep video
    --help. (A folder of that name is ./pairs.)
    """
    from gantools.data.prepare import prep, prep_share

    done = run(prep, prep_share, kind, shards, options)
    if done is not None:
        kind = done.manifest["source"]["kind"]
        click.echo(f"Next: gantools train {MNIST_RECIPE if 'mnist' in kind else 'dcgan'}", err=True)
