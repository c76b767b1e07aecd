"""`gantools detect`: telling generated images from real ones, and unusual ones from normal ones."""

from __future__ import annotations

import json
from typing import Literal

import click

from gantools.cli.options import on_run, one_of
from gantools.errors import ConfigError


@click.group("detect")
def command() -> None:
    """Train a detector of generated or of unusual images, and ask it about images.

    \b
    gantools detect train --real data/celeba-64 --fake dcgan=runs/00000-dcgan-celeba-64 --fake sngan=samples
    gantools detect run detector pictures/
    gantools detect anomaly runs/00001-dcgan-mini-digit-0 --data data/digit-0
    gantools detect run anomaly pictures/
    """


@command.command("train")
@click.option("--real", required=True, metavar="PATH", help="Real images: a prepared set, a folder or an archive.")
@click.option(
    "--fake",
    multiple=True,
    metavar="NAME=PATH",
    help="Images of a generator: samples, a set, an archive, or a run; may be repeated.",
)
@click.option(
    "--leave-out",
    multiple=True,
    metavar="NAME",
    help="Only test with this generator, as one that nobody knew of; may be repeated.",
)
@one_of("--network", ["cnn", "patches", "spectrum"], "cnn", "Convolutions, of small parts alone, or the spectrum.")
@click.option("-n", "n", type=int, default=2000, show_default=True, help="At most so many images of each generator.")
@click.option("--kimg", type=float, default=60.0, show_default=True, help="Length in thousands of images, both kinds.")
@click.option("--batch", type=int, default=64, show_default=True, help="Images a step, half of them real ones.")
@click.option("--lr", type=float, default=0.001, show_default=True, help="Rate of Adam at the beginning.")
@click.option("--plain", is_flag=True, help="Train on images as they are, without JPEG, blur and scaling.")
@click.option("--shuffle", is_flag=True, help="Labels by chance, as a check: every AUC must then be near 0.5.")
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of split, weights, order and disturbance.")
@click.option("--out", default="detector", show_default=True, metavar="DIR", help="Folder of the detector to make.")
@click.option("--device", metavar="NAME", help="cpu, cuda or cuda:1.  [default: CUDA when there is one]")
@click.option("--overwrite", is_flag=True, help="Replace the folder when it holds a detector of gantools.")
def train(
    real: str,
    fake: tuple[str, ...],
    leave_out: tuple[str, ...],
    network: str,
    n: int,
    kimg: float,
    batch: int,
    lr: float,
    plain: bool,
    shuffle: bool,
    seed: int,
    out: str,
    device: str | None,
    overwrite: bool,
) -> None:
    """Train a detector on real images and on those of generators, and print what it is worth.

    All images have one size, to which they came the same way; the detector says nothing of others. What it scores on
    images that it was not trained on, with everything that decided it, is in detector.json.
    """
    # Here, so that --help does not wait for torch.
    from gantools.detect.detector import MANIFEST
    from gantools.detect.train import train_detector

    named = dict(_named(text) for text in fake)
    if len(named) < len(fake):
        raise ConfigError("--fake: a name is given twice.", "Give each generator a name of its own.")
    folder = train_detector(
        real,
        named,
        leave_out=leave_out,
        network=network,
        n=n,
        kimg=kimg,
        batch=batch,
        lr=lr,
        plain=plain,
        shuffle=shuffle,
        seed=seed,
        out=out,
        device=device,
        overwrite=overwrite,
    )
    record = json.loads((folder / MANIFEST).read_bytes())
    for name, one in ((network, record), ("spectrum", record["baseline"])):
        if one is not None:
            for condition, scores in one["scores"].items():
                for generator, numbers in scores["generators"].items():
                    mark = " (left out)" if generator in leave_out else ""
                    click.echo(
                        f"{name}, {condition}, {generator}{mark}: AUC {numbers['auc']:.3f}, "
                        f"AP {numbers['average_precision']:.3f}, "
                        f"hits at 1 % false alarms {numbers['tpr_at_fpr_0.01']:.3f}",
                        err=True,
                    )
    for name, value in record["biases"].items():
        click.echo(f"{network}, bias, {name}: AUC {value:.3f}, 0.5 is none", err=True)
    click.echo(folder)


def _named(text: str) -> tuple[str, str]:
    name, equals, path = text.partition("=")
    if not equals or not name.strip() or not path:
        raise ConfigError(f"--fake {text}: expected NAME=PATH.", "For example: --fake dcgan=samples")
    return name.strip(), path


@command.command("anomaly")
@click.argument("run", required=True)
@click.option("--data", required=True, metavar="PATH", help="Normal images, best those that the run was trained on.")
@click.option("--kimg", type=float, default=60.0, show_default=True, help="Length in thousands of images.")
@click.option("--batch", type=int, default=64, show_default=True, help="Images a step of the encoder.")
@click.option("--lr", type=float, default=0.0005, show_default=True, help="Rate of Adam at the beginning.")
@click.option("--kappa", type=float, default=1.0, show_default=True, help="Weight of the discriminator's features.")
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of the encoder's weights and order.")
@click.option("--out", default="anomaly", show_default=True, metavar="DIR", help="Folder of the encoder to make.")
@on_run
@click.option("--overwrite", is_flag=True, help="Replace the folder when it holds an encoder of anomalies.")
def anomaly(
    run: str,
    data: str,
    kimg: float,
    batch: int,
    lr: float,
    kappa: float,
    seed: int,
    out: str,
    checkpoint: str,
    device: str | None,
    overwrite: bool,
) -> None:
    """Train an encoder for a run of normal images; after that `detect run` tells how unusual images are (f-AnoGAN).

    RUN is a run's folder or one of its checkpoints, of a system that makes images from latents and knows no classes.
    """
    # Here, so that --help does not wait for torch.
    from gantools.detect.anomaly import train_encoder

    click.echo(
        train_encoder(
            run,
            data,
            checkpoint=checkpoint,
            kimg=kimg,
            batch=batch,
            lr=lr,
            kappa=kappa,
            seed=seed,
            out=out,
            device=device,
            overwrite=overwrite,
        )
    )


@command.command("run")
@click.argument("model")
@click.argument("images", nargs=-1, required=True)
@click.option("-n", "n", type=int, help="Only the first N images of each; a run needs it.  [default: all]")
@one_of("--format", ["csv", "json"], "csv", "What to print.")
@click.option("--out", metavar="FILE", help="Write a .csv or .json file instead of printing.  [default: print]")
@click.option("--device", metavar="NAME", help="cpu, cuda or cuda:1.  [default: CUDA when there is one]")
@click.option("--overwrite", is_flag=True, help="Replace the file where it exists.  [default: off]")
def run(
    model: str,
    images: tuple[str, ...],
    n: int | None,
    format: Literal["csv", "json"],
    out: str | None,
    device: str | None,
    overwrite: bool,
) -> None:
    """Say of each image how probable it is that it was generated, or how unusual it is.

    A detector of generated images says p, and real, unsure or generated; one of unusual images a score, and usual or
    unusual. MODEL is the folder of a detector. IMAGES are files, folders, archives, prepared sets or runs, of the size
    that it was trained on.
    """
    # Here, so that --help does not wait for torch.
    from gantools.detect.run import as_text, judge_images, write_rows

    rows = judge_images(model, images, n=n, device=device)
    if out is None:
        click.echo(as_text(rows, format), nl=False)
    else:
        click.echo(write_rows(rows, out, overwrite=overwrite))
