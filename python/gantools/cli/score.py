"""`gantools score`: images -> numbers and how they were made."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from gantools.cli.options import one_of
from gantools.metrics.registry import ALL, METRICS

if TYPE_CHECKING:
    from gantools.metrics.request import Request
    from gantools.metrics.results.scores import Scores

#: How a score beyond a --fail limit ends.
FAILED = 3

#: key -> help, each a flag of that name.
FLAGS = {key: f"{metric.name}: {metric.words}." for key, metric in METRICS.items()}

F = TypeVar("F", bound=Callable[..., Any])


def _flags(command: F) -> F:
    for key, text in reversed(FLAGS.items()):
        command = click.option(f"--{key}", f"flag_{key.replace('-', '_')}", is_flag=True, help=text)(command)
    return command


def _limits(ctx: click.Context, param: click.Parameter, values: tuple[str, ...]) -> dict[str, float]:
    """KEY=NUMBER, for example fid=20."""
    found = {}
    for value in values:
        key, _, number = value.partition("=")
        try:
            found[key] = float(number)
        except ValueError:
            raise click.BadParameter(f"{value!r} is no limit such as fid=20.") from None
        if not key or math.isnan(found[key]):
            raise click.BadParameter(f"{value!r} is no limit such as fid=20.")
    return found


def _weights(ctx: click.Context, param: click.Parameter, values: tuple[str, ...]) -> Any:
    """A path, or NAME=PATH for each of several networks."""
    if not values:
        return None
    named = dict(value.split("=", 1) for value in values if "=" in value and not Path(value).exists())
    if not named:
        if len(values) > 1:
            raise click.BadParameter("of several files, say whose each is: --weights inception=FILE.")
        return Path(values[0])
    if len(named) != len(values):
        raise click.BadParameter("give each file as NAME=FILE, each name once.")
    return {name: Path(path) for name, path in named.items()}


# What is left over is looked at by `_check_options`, which knows what was meant.
@click.command("score", context_settings={"allow_extra_args": True})
@click.argument("samples", type=click.Path(path_type=Path), default="samples")
@_flags
@click.option("--all", "everything", is_flag=True, help=f"{', '.join(ALL)}, from one forward pass.")
@click.option("--metrics", metavar="LIST", help="The same as flags: a list such as fid,kid,prc.")
@click.option(
    "--ref",
    type=click.Path(path_type=Path),
    help="Score against: images of any kind, or a file of statistics.  "
    "[default: the training data that the samples' manifest names]",
)
@click.option(
    "--protocol",
    metavar="LIST",
    help="How images come to Inception: tf, pytorch-fid, clean, torchmetrics, studiogan, or several.  [default: tf]",
)
@click.option(
    "--extractor",
    metavar="NAME",
    help="The network that gives features: inception, fashion-mnist, vgg16, clip-vit-b-32, dinov2-vit-l-14, ...; or a "
    "TorchScript (.pt) or ONNX file.  [default: each metric's own]",
)
@click.option(
    "--extractor-size", type=click.IntRange(min=1), help="Side of the images that a network from a file takes."
)
@click.option(
    "--dims",
    type=int,
    help="Width of the features of fid and fd: 64, 192, 768 or 2048 for inception.  [default: 2048; 128 for "
    "fashion-mnist]",
)
@click.option(
    "--weights",
    multiple=True,
    callback=_weights,
    metavar="[NAME=]FILE",
    help="File of the network's weights.  [default: $GANTOOLS_INCEPTION_WEIGHTS, else downloaded once]",
)
@click.option("-n", "n", type=click.IntRange(min=1), help="Score only the first N images.  [default: all]")
@click.option("--n-ref", type=click.IntRange(min=1), help="Compare with only the first N of --ref.  [default: all]")
@click.option("--batch", type=click.IntRange(min=1), default=32, show_default=True, help="Images a forward pass.")
@click.option(
    "--device", help="Where the network runs: cpu, cuda, cuda:1.  [default: cuda where there is any, else cpu]"
)
@click.option(
    "--seed", type=click.IntRange(min=0), help="Seed of everything drawn.  [default: each metric's usual one]"
)
@click.option(
    "--interval/--no-interval", default=True, help="Compute intervals of Frechet distances and KID.  [default: on]"
)
@click.option(
    "--kid-subset-size",
    type=click.IntRange(min=2),
    help="Images in a subset of KID.  [default: 1000, or all where fewer]",
)
@click.option("--kid-subsets", type=click.IntRange(min=1), default=100, show_default=True, help="Subsets of KID.")
@click.option("-k", "k", type=click.IntRange(min=1), help="Neighbours of --prc and --dc.  [default: 3, and 5]")
@one_of("--prc-convention", ["torch-fidelity", "stylegan3", "adm", "prdc"], "torch-fidelity", "Whose rule for --prc.")
@one_of(
    "--is-convention",
    ["torch-fidelity", "original", "adm", "torchmetrics", "dgm"],
    "torch-fidelity",
    "Whose splits for --is.",
)
@click.option("--is-splits", type=click.IntRange(min=1), default=10, show_default=True, help="Splits of --is.")
@one_of(
    "--mifid-convention",
    ["torchmetrics", "paper"],
    "torchmetrics",
    "Over which side the memorization distance of --mifid is a mean: the reference, or (paper) the samples.",
)
@one_of("--channel", ["rgb", "y"], "rgb", "What pairs are compared by: RGB, or y, their luma.")
@click.option(
    "--crop-border",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="Pixels cut off each side of pairs and for --niqe.",
)
@one_of("--lpips-net", ["alex", "vgg", "squeeze"], "alex", "The network of LPIPS.")
@click.option("--niqe-model", type=click.Path(path_type=Path), help="NIQE's model of natural images.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of text.  [default: off]")
@click.option("--html", type=click.Path(path_type=Path), help="Also write a report: one file, pictures included.")
@click.option("--explain", is_flag=True, help="Say in words what the numbers depend on.")
@click.option(
    "--against",
    type=click.Path(path_type=Path),
    help="Say why these numbers may differ from those of an earlier --json.",
)
@click.option(
    "--fail-above", multiple=True, callback=_limits, metavar="KEY=X", help="Exit with 3 when it is above, e.g. fid=20."
)
@click.option(
    "--fail-below", multiple=True, callback=_limits, metavar="KEY=X", help="Exit with 3 when it is below, e.g. is=8."
)
@click.option("--shard", metavar="I/N", help="Only take the I-th of N parts of the samples, into the file --part.")
@click.option("--part", type=click.Path(path_type=Path), help="The file of a part (.npz).")
@click.option("--merge", multiple=True, metavar="FILES", help="Score parts that --shard made, e.g. 'part-*.npz'.")
@click.option("--no-cache", is_flag=True, help="Compute the reference's statistics anew and keep none.  [default: off]")
def command(samples: Path, **o: Any) -> None:
    """Score the images in SAMPLES (default: samples/), mostly against a reference.

    \b
    gantools score --fid samples/                       against what the generator was trained on
    gantools score --fid --kid --prc a/ --ref b/        two folders of images, one pass
    gantools score --fid --protocol tf,clean a/ --ref b/
    gantools score --fd --extractor fashion-mnist       with features that need no download
    gantools score --psnr --ssim out/ --ref targets/    pairs, matched by name

    Samples and reference may be folders, zip or tar archives, prepared sets, .npy or .npz files.

    The result goes to stdout, progress and warnings to stderr. Without a metric it is FID for inception and the Frechet
    distance for any other extractor. On several GPUs or machines: torchrun -m gantools score ..., or --shard and
    --merge.
    """
    from gantools.metrics.features.processes import Processes

    _check_options(o)
    metrics = [key for key in FLAGS if o[f"flag_{key.replace('-', '_')}"]]
    metrics += [key for key in ALL if o["everything"]]
    metrics += [key.strip() for key in (o["metrics"] or "").split(",") if key.strip()]
    request = _request(tuple(dict.fromkeys(metrics)) or None, o)
    _check_limits(request, {**o["fail_above"], **o["fail_below"]})
    if o["shard"] is not None:
        from gantools.metrics.parts import score_part

        click.echo(score_part(samples, o["shard"], o["part"], request, n=o["n"], progress=True))
        return
    result = _score(samples, request, o)
    if not Processes().first:
        return
    if o["html"] is not None:
        from gantools.metrics.results.html import write_report

        write_report(result, samples, o["ref"], o["html"])
        click.echo(f"Report: {o['html']}", err=True)
    click.echo(result.to_json() if o["as_json"] else str(result))
    _explain(result, o)
    _fail(result, o["fail_above"], o["fail_below"])


def _check_options(o: dict[str, Any]) -> None:
    if extra := click.get_current_context().args:
        raise click.UsageError(
            f"one place of samples is scored, {extra[0]!r} is another. To score against it: --ref {extra[0]}"
        )
    if (o["shard"] is None) != (o["part"] is None):
        raise click.UsageError("--shard and --part go together: --shard 2/4 --part part-2.npz.")
    if o["merge"] and (o["shard"] is not None or o["n"] is not None or o["html"] is not None):
        raise click.UsageError("--merge takes the samples from the parts: without --shard, -n and --html.")


def _check_limits(request: Request, limits: dict[str, float]) -> None:
    """ConfigError: a limit of a score that will not be among the results."""
    from gantools.errors import unknown_name

    for key in limits:
        if key not in request.keys:
            raise unknown_name("score", key, request.keys)


def _protocols(text: str | None) -> str | list[str] | None:
    if text is None:
        return None
    names = [name.strip() for name in text.split(",") if name.strip()]
    return names[0] if len(names) == 1 else names


def _extractor(name: str | None, size: int | None) -> str | None:
    """The name, after a network in a file has been given one."""
    from gantools.errors import ConfigError

    if name is not None and "." in name:
        from gantools.metrics.networks import registry as extractors
        from gantools.metrics.networks.custom import check_file, is_file_of_a_network
        from gantools.metrics.networks.published import own_kind

        if is_file_of_a_network(name):
            check_file(name)
            if size is None:
                raise ConfigError(f"{name}: which size of images does it take?", "Add --extractor-size 224.")
            own = Path(name).stem
            extractors.EXTRACTORS[own] = own_kind(name, size=size, name=own)
            return own
    if size is not None:
        raise ConfigError("--extractor-size is that of a network from a file.", "Leave it out.")
    return name


def _request(metrics: tuple[str, ...] | None, o: dict[str, Any]) -> Request:
    from gantools.metrics.options import Options
    from gantools.metrics.request import Request

    options = Options(
        seed=o["seed"],
        interval=o["interval"],
        kid_subset_size=o["kid_subset_size"],
        kid_subsets=o["kid_subsets"],
        k=o["k"],
        prc_convention=o["prc_convention"],
        is_convention=o["is_convention"],
        is_splits=o["is_splits"],
        mifid_convention=o["mifid_convention"],
        channel=o["channel"],
        crop=o["crop_border"],
        lpips=o["lpips_net"],
        niqe_model=None if o["niqe_model"] is None else str(o["niqe_model"]),
    )
    return Request(
        metrics=metrics,
        extractor=_extractor(o["extractor"], o["extractor_size"]),
        protocol=_protocols(o["protocol"]),
        dims=o["dims"],
        weights=o["weights"],
        batch=o["batch"],
        device=o["device"],
        options=options,
    )


def _score(samples: Path, request: Request, o: dict[str, Any]) -> Scores:
    if o["merge"]:
        from gantools.metrics.parts import score_parts

        return score_parts(o["merge"], request, ref=o["ref"], n_ref=o["n_ref"], cache=not o["no_cache"], progress=True)
    from gantools.metrics.scorer import score_request

    return score_request(
        samples, request, ref=o["ref"], n=o["n"], n_ref=o["n_ref"], cache=not o["no_cache"], progress=True
    )


def _explain(result: Scores, o: dict[str, Any]) -> None:
    """Sentences on stdout under the text, on stderr beside JSON."""
    from gantools.metrics.results.words import explain, explain_difference, read_result

    sentences = explain(result) if o["explain"] else []
    if o["against"] is not None:
        found = explain_difference(read_result(o["against"]), result.to_dict())
        sentences += found or [f"Nothing that decides the numbers differs from {o['against']}."]
    for sentence in sentences:
        click.echo(f"- {sentence}", err=bool(o["as_json"]))


def _fail(result: Scores, above: dict[str, float], below: dict[str, float]) -> None:
    values = {score.key: score.value for score in result}
    failed = []
    for limits, word in ((above, "above"), (below, "below")):
        for key, limit in limits.items():
            value = values[key]
            # What has no value has not passed.
            if value is None or (value > limit if word == "above" else value < limit):
                said = "infinite" if value is not None and math.isinf(value) else value
                failed.append(f"{key} is {said}, {word} {limit:g}")
    if failed:
        click.echo(f"failed: {'; '.join(failed)}", err=True)
        raise SystemExit(FAILED)
