"""`gantools score`: images -> a number and how it was made."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("score")
@click.argument("samples", type=click.Path(path_type=Path), default="samples")
@click.option("--fid", "metric", flag_value="fid", help="FID: the Frechet distance of Inception features.")
@click.option("--fd", "metric", flag_value="fd", help="The Frechet distance of any extractor's features.")
@click.option(
    "--ref",
    type=click.Path(path_type=Path),
    help="Score against: a prepared set, a folder of images, a .npy, or a .npz with mu and sigma.  "
    "[default: the training data that the samples' manifest names]",
)
@click.option(
    "--extractor",
    default="inception",
    show_default=True,
    help="The network that gives features: inception, fashion-mnist.",
)
@click.option(
    "--dims",
    type=int,
    help="Width of the features: 64, 192, 768 or 2048 for inception.  [default: 2048; 128 for fashion-mnist]",
)
@click.option(
    "--weights",
    type=click.Path(path_type=Path),
    help="File of the extractor's weights.  [default: $GANTOOLS_INCEPTION_WEIGHTS, else downloaded once]",
)
@click.option("-n", "n", type=click.IntRange(min=1), help="Score only the first N images.  [default: all]")
@click.option("--batch", type=click.IntRange(min=1), default=32, show_default=True, help="Images a forward pass.")
@click.option(
    "--device", help="Where the network runs: cpu, cuda, cuda:1.  [default: cuda where there is any, else cpu]"
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of text.  [default: off]")
@click.option("--no-cache", is_flag=True, help="Compute the reference's statistics anew and keep none.  [default: off]")
def command(
    samples: Path,
    metric: str | None,
    ref: Path | None,
    extractor: str,
    dims: int | None,
    weights: Path | None,
    n: int | None,
    batch: int,
    device: str | None,
    as_json: bool,
    no_cache: bool,
) -> None:
    """Score the images in SAMPLES (a folder, a prepared set or a .npy; default: samples/) against a reference.

    \b
    gantools score --fid samples/                       against what the generator was trained on
    gantools score --fid a/ --ref b/                    two folders of images
    gantools score --fd --extractor fashion-mnist       with features that need no download

    The result goes to stdout, progress and warnings to stderr. With neither --fid nor --fd the metric is FID for
    inception and the Frechet distance for any other extractor.
    """
    from gantools.metrics.scorer import score

    result = score(
        samples,
        metrics=None if metric is None else (metric,),
        ref=ref,
        extractor=extractor,
        dims=dims,
        weights=weights,
        batch=batch,
        device=device,
        n=n,
        cache=not no_cache,
        progress=True,
    )
    click.echo(result.to_json() if as_json else str(result))
