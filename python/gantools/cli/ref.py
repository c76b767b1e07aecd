"""`gantools ref`: files of statistics to score against."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import click


@click.group("ref")
def command() -> None:
    """Make, show and convert files of statistics, which can be scored against in place of images.

    \b
    gantools ref make data/celeba-64 --out celeba-64.npz
    gantools ref show VIRTUAL_imagenet256_labeled.npz
    gantools ref convert img512.pkl --to gantools --out img512.npz
    """


def _names(ctx: click.Context, param: click.Parameter, value: str | None) -> tuple[str, ...] | None:
    return None if value is None else tuple(name.strip() for name in value.split(","))


@command.command("make")
@click.argument("images", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), required=True, help="The .npz to write.")
@click.option(
    "--protocol",
    callback=_names,
    help="How images come to the network, one or several with commas: tf, pytorch-fid, clean, torchmetrics, "
    "studiogan.  [default: tf]",
)
@click.option(
    "--layers",
    callback=_names,
    help="Layers of the extractor, with commas, for example 2048,spatial.  [default: 2048 for inception]",
)
@click.option("--extractor", default="inception", show_default=True, help="The network that gives features.")
@click.option("--weights", type=click.Path(path_type=Path), help="File of the extractor's weights.")
@click.option("--features", is_flag=True, help="Also write the features of the single images.  [default: off]")
@click.option("-n", "n", type=click.IntRange(min=2), help="Take only the first N images.  [default: all]")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Seed of the images of a run.")
@click.option("--batch", type=click.IntRange(min=1), default=32, show_default=True, help="Images a forward pass.")
@click.option("--device", help="Where the network runs: cpu, cuda, cuda:1.  [default: cuda where there is any]")
@click.option("--overwrite", is_flag=True, help="Replace the file where it exists.  [default: off]")
def make(
    images: Path,
    out: Path,
    protocol: tuple[str, ...] | None,
    layers: tuple[str, ...] | None,
    extractor: str,
    weights: Path | None,
    features: bool,
    n: int | None,
    seed: int,
    batch: int,
    device: str | None,
    overwrite: bool,
) -> None:
    """Compute the statistics of IMAGES (a folder, a .zip, a prepared set, ...) and write them to a .npz.

    The file is read by pytorch-fid too (its first layer), and with --layers 2048,spatial by ADM's evaluator.
    """
    from gantools.metrics.features.reference import make_statistics
    from gantools.progress import Progress

    with ExitStack() as bars:

        def started(total: int) -> Callable[[int], None]:
            return bars.enter_context(Progress("images", total)).advance

        file = make_statistics(
            images,
            out,
            protocol=protocol,
            layers=layers,
            extractor=extractor,
            weights=weights,
            features=features,
            n=n,
            seed=seed,
            batch=batch,
            device=device,
            overwrite=overwrite,
            started=started,
        )
    click.echo(str(file.path))


@command.command("show")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of a table.  [default: off]")
def show(file: Path, as_json: bool) -> None:
    """Show what the file of statistics FILE holds.

    FILE is a .npz of gantools, pytorch-fid, TTUR, clean-fid or ADM (guided-diffusion), or a .pkl of EDM2.
    """
    from gantools.metrics.features.convert import show_statistics

    found = show_statistics(file)
    if as_json:
        click.echo(json.dumps(found, indent=1))
        return
    click.echo(f"{found['path']}: {found['kind']}, sha256 {found['sha256'][:16]}")
    if found["reference"]:
        click.echo(f"of {found['reference']}")
    if found["images"]:
        click.echo(f"with {found['images']:,} images")
    for entry in found["entries"]:
        click.echo(_line(entry))


def _line(entry: dict[str, Any]) -> str:
    unknown = "not said"
    weights = entry["weights_sha256"]
    parts = [
        f"extractor {entry['extractor'] or unknown}",
        f"layer {entry['layer'] or unknown}",
        f"protocol {entry['protocol'] or unknown}",
        f"weights {weights[:8] if weights else unknown}",
        f"dims {entry['dims']}",
        f"n {unknown if entry['n'] is None else format(entry['n'], ',')}",
        f"trace {entry['trace']:.6g}",
        f"rank {entry['rank']}",
        f"|mean| {entry['mean_norm']:.6g}",
    ]
    return "  " + ", ".join(parts) + (", with features" if entry["features"] else "")


@command.command("convert")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--to", type=click.Choice(["gantools", "pytorch-fid", "adm"]), required=True, help="The form to write.")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="The .npz to write.")
@click.option("--extractor", help="Take this extractor's, or note it where FILE does not say.")
@click.option("--layer", help="Take this layer, or note it where FILE does not say.")
@click.option("--protocol", help="Take this protocol's, or note it where FILE does not say.")
@click.option("--overwrite", is_flag=True, help="Replace the file where it exists.  [default: off]")
def convert(
    file: Path, to: Any, out: Path, extractor: str | None, layer: str | None, protocol: str | None, overwrite: bool
) -> None:
    """Write the statistics in FILE in the form of another tool."""
    from gantools.metrics.features.convert import convert_statistics

    written = convert_statistics(
        file, to, out, extractor=extractor, layer=layer, protocol=protocol, overwrite=overwrite
    )
    click.echo(str(written))
