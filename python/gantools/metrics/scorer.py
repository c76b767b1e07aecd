"""One call from images to scores that say how they were made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import torch

from gantools.errors import ConfigError
from gantools.metrics import compute
from gantools.metrics.compute import Progress, Reading
from gantools.metrics.features.processes import Processes
from gantools.metrics.images.memory import Values
from gantools.metrics.images.open import Images, open_source
from gantools.metrics.images.preflight import preflight
from gantools.metrics.images.reader import ImageReader
from gantools.metrics.options import Options
from gantools.metrics.pixels.scores import pixel_scores
from gantools.metrics.request import Request, count_of
from gantools.metrics.results.scores import Score, Scores


def score(
    samples: Images,
    *,
    metrics: str | Sequence[str] | None = None,
    ref: Images | None = None,
    protocol: str | Sequence[str] | None = None,
    extractor: str | None = None,
    dims: int | None = None,
    weights: str | Path | Mapping[str, str | Path] | None = None,
    batch: int = 32,
    device: str | torch.device | None = None,
    n: int | None = None,
    values: Values | None = None,
    seed: int | None = None,
    interval: bool = True,
    options: Options | None = None,
    cache: bool = True,
    progress: bool | Progress = False,
) -> Scores:
    """Score images, most metrics against a reference.

    Args:
        samples: a folder of images, a samples folder, a prepared set, a run, a `.zip`, `.tar`, `.npy` or `.npz`; or an
            array, tensor, Dataset, iterator of batches, function f(n, start), or `Generator`; see
            `gantools.metrics.images.open`.
        metrics, protocol, extractor, dims, weights, batch, device: as `gantools.metrics.request.Request` has them.
        ref: what to score against: as `samples`, or a file of statistics, which is enough for Frechet distances. None:
            what the samples' manifest names.
        n: score only the first n images. None: all; a run, a function and an iterator need it.
        values: what floating point images mean: `(0, 1)` or `(-1, 1)`.
        seed: of the images of a run, and of everything drawn at random; None: 0, and each metric's usual one, so that
            equal images give equal numbers.
        interval: compute intervals of Frechet distances and KID.
        options: the metrics' switches; `seed` and `interval` go before its own.
        cache: whether the reference's statistics are kept in the cache folder, and read from it.
        progress: True for a bar on stderr, or what makes a callback: progress(what, total) -> advance(k).

    Returns:
        The scores with protocol, counts, reference and warnings; warnings also go to the logger `gantools`. Under
        `torchrun` every process takes its part of the images and all return the same.

    Raises:
        DataError: images or the reference are missing, damaged, or not those the samples were trained on.
        ConfigError: an unknown metric, extractor, width, protocol or switch.
        WeightsError, DownloadError: no weights.
        MetricError: fewer than 2 images, or a reference that does not have what a metric needs.
    """
    switches = options_with(options, seed, interval)
    request = Request(metrics, extractor, protocol, dims, weights, batch, device, switches)
    return score_request(samples, request, ref=ref, n=n, values=values, cache=cache, progress=progress)


def score_request(
    samples: Images,
    request: Request,
    *,
    ref: Images | None = None,
    n: int | None = None,
    values: Values | None = None,
    cache: bool = True,
    progress: bool | Progress = False,
) -> Scores:
    """`score` with what is asked for in one object; arguments, result and errors are those of `score`."""
    # Everything that can be wrong is looked at before the slow part, images before networks.
    device = None if request.device is None else str(request.device)
    source = open_source(samples, n, request.options.seed_or(0), values=values, device=device)
    count = count_of(source, n)
    if request.of_pixels and count != len(source):
        keys = ", ".join(metric.key for metric in request.of_pixels)
        raise ConfigError(f"{keys} are of all images.", "Leave -n out.")
    reference = compute.find_reference(request, source, ref, values)
    _check_passes(request, source, "samples")
    if reference is not None and reference.source is not None:
        _check_passes(request, reference.source, "reference")
    looked = preflight(source, count)
    looked.check()
    plan = request.plan()
    plan.check(source, reference)
    with Processes() as processes, compute.shown(progress if processes.first else False) as started:
        warnings, inputs = compute.look(plan, looked, reference)
        if processes.first:
            compute.tell(warnings)
        reading = Reading(request.batch, started, processes)
        against = compute.sides_of_reference(plan, reference, reading, cache)
        sides = compute.sides_of_samples(plan, source, count, reading)
        found: list[Score] = []
        if processes.first:
            found = compute.compute(plan, sides, against, warnings)
            targets = None if reference is None else reference.source
            found += pixel_scores(source, targets, request, started=started, count=count)
        found = processes.share(found)
    return compute.results(found, plan, source.label, count, reference, against, warnings, inputs)


def options_with(options: Options | None, seed: int | None, interval: bool) -> Options:
    """The switches `options`, with `seed` where it is given and without intervals where they are not wanted."""
    found = options or Options()
    if seed is not None:
        found = replace(found, seed=seed)
    return found if interval else replace(found, interval=False)


def _check_passes(request: Request, images: ImageReader, side: str) -> None:
    """ConfigError: images that can be had only once, and more than one pass over them is asked for."""
    if not images.once:
        return
    reading = [request.of("features"), request.of("pairs")]
    if side == "samples":
        reading += [(metric,) for metric in request.of("images")]
    asked = [metrics[0].key for metrics in reading if metrics]
    random = "lpips-diversity" in asked
    if len(asked) > 1 or random:
        why = "lpips-diversity picks images at random" if random else f"{' and '.join(asked)} each read all of them"
        raise ConfigError(
            f"{images.label}: gives its images once and in order, and {why}.",
            "Give an array, a Dataset or a function f(n, start), or ask for one of them at a time.",
        )
