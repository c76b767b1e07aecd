"""One call from images to scores that say how they were made."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from gantools.errors import ConfigError
from gantools.metrics import compute
from gantools.metrics.compute import Progress, Reading
from gantools.metrics.features.processes import Processes
from gantools.metrics.features.reference import Reference
from gantools.metrics.images.live import Run
from gantools.metrics.images.memory import Values
from gantools.metrics.images.open import Images, open_source
from gantools.metrics.images.preflight import Preflight, preflight
from gantools.metrics.images.reader import ImageReader, Slice
from gantools.metrics.networks import protocols
from gantools.metrics.options import Options
from gantools.metrics.pixels.scores import pixel_scores
from gantools.metrics.request import Plan, Request, check_count, count_of
from gantools.metrics.results.scores import Score, Scores


def score(
    samples: Images,
    *,
    metrics: str | Sequence[str] | None = None,
    ref: Images | None = None,
    n_ref: int | None = None,
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
    distributed: bool | None = None,
) -> Scores:
    """Score images, most metrics against a reference.

    Args:
        samples: a folder of images, a samples folder, a prepared set, a run, a `.zip`, `.tar`, `.npy` or `.npz`; or an
            array, tensor, Dataset, iterator of batches, function f(n, start), or `Generator`; see
            `gantools.metrics.images.open`.
        metrics, protocol, extractor, dims, weights, batch, device: as `gantools.metrics.request.Request` has them.
        ref: what to score against: as `samples`, or a file of statistics, which is enough for Frechet distances. None:
            what the samples' manifest names.
        n_ref: compare with only the first n images of `ref`. None: all; a run, a function and an iterator need it.
        n: score only the first n images. None: all; a run, a function and an iterator need it.
        values: what floating point images mean: `(0, 1)` or `(-1, 1)`.
        seed: of the images of a run, and of everything drawn at random; None: 0, and each metric's usual one, so that
            equal images give equal numbers.
        interval: compute intervals of Frechet distances and KID.
        options: the metrics' switches; `seed` and `interval` go before its own.
        cache: whether the reference's statistics are kept in the cache folder, and read from it.
        progress: True for a bar on stderr, or what makes a callback: progress(what, total) -> advance(k).
        distributed: under `torchrun`, None: all processes call this with the same images and each takes its part;
            False: this process scores alone, whatever the others do.

    Returns:
        The scores with protocol, counts, reference and warnings; warnings also go to the logger `gantools`. Under
        `torchrun` every process takes its part of the images and all return the same.

    Raises:
        DataError: images or the reference are missing, damaged, or not those the samples were trained on.
        ConfigError: an unknown metric, extractor, width, protocol or switch; processes of `torchrun` that do not call
            this, or with other images.
        WeightsError, DownloadError: no weights.
        MetricError: fewer images than a metric needs, or a reference that does not have what a metric needs.
    """
    switches = options_with(options, seed, interval)
    request = Request(metrics, extractor, protocol, dims, weights, batch, device, switches)
    return score_request(
        samples,
        request,
        ref=ref,
        n=n,
        n_ref=n_ref,
        values=values,
        cache=cache,
        progress=progress,
        distributed=distributed,
    )


def score_request(
    samples: Images,
    request: Request,
    *,
    ref: Images | None = None,
    n: int | None = None,
    n_ref: int | None = None,
    values: Values | None = None,
    cache: bool = True,
    progress: bool | Progress = False,
    distributed: bool | None = None,
) -> Scores:
    """`score` with what is asked for in one object; arguments, result and errors are those of `score`."""
    with Processes(distributed) as processes, compute.shown(progress if processes.first else False) as started:
        # Everything that can be wrong is looked at before the slow part, images before networks.
        opened = processes.together(lambda: _open(samples, request, ref, n, n_ref, values, processes.world))
        source, count, reference, plan = opened.source, opened.count, opened.reference, opened.plan
        if processes.world > 1:
            processes.check_same((request.keys, repr(request.options)), "metrics and switches")
            processes.check_same(processes.together(opened.identity), "samples")
            processes.check_same(None if reference is None else reference.id, "reference")
        warnings, inputs = processes.together(lambda: compute.look(plan, opened.looked, reference))
        warnings = [*opened.warnings, *warnings]
        if processes.first:
            compute.tell(warnings)
        reading = Reading(request.batch, started, processes)
        against = compute.sides_of_reference(plan, reference, reading, cache)
        sides = compute.sides_of_samples(plan, source, count, reading)

        def finish() -> tuple[list[Score], list[str]]:
            found = compute.compute(plan, sides, against, warnings)
            targets = None if reference is None else reference.source
            return [*found, *pixel_scores(source, targets, request, started=started, count=count)], warnings

        found, warnings = processes.first_alone(finish)
    return compute.results(found, plan, source.label, count, reference, against, warnings, inputs)


#: How images are looked at to tell whether two are the same.
SMALL = protocols.find(protocols.DEFAULT).input


@dataclass(frozen=True)
class _Opened:
    """Both sides, opened and looked at, with the networks."""

    source: ImageReader
    count: int
    reference: Reference | None
    looked: Preflight
    plan: Plan
    warnings: list[str]

    def identity(self) -> tuple[object, ...]:
        """What is equal where the same images are given, as far as can be told without reading all of them."""
        every = hashlib.sha256(b"".join(sorted(self.looked.hashes))).hexdigest() if self.looked.hashes else None
        some: str | None = None
        if isinstance(self.source, Run):
            some = self.source.digest(self.count)
        elif self.source.lasting:
            # Of some images the pixels, which also tell another order.
            places = sorted({0, self.count // 3, self.count // 2, self.count - 1})
            once, again = (
                b"".join(self.source.read(i, i + 1, (SMALL,))[0].tobytes() for i in places) for _ in range(2)
            )
            # A Dataset that changes its images at random has other ones in every process.
            some = hashlib.sha256(once).hexdigest() if once == again else None
        return self.count, len(self.source), every, some


def _open(
    samples: Images,
    request: Request,
    ref: Images | None,
    n: int | None,
    n_ref: int | None,
    values: Values | None,
    world: int,
) -> _Opened:
    """What can be known before the slow part; errors as `score`."""
    device = None if request.device is None else str(request.device)
    source = open_source(samples, n, request.options.seed_or(0), values=values, device=device)
    count = count_of(source, n, request)
    if request.of_pixels and count != len(source):
        keys = ", ".join(metric.key for metric in request.of_pixels)
        raise ConfigError(f"{keys} are of all images.", "Leave -n out.")
    reference = compute.find_reference(request, source, ref, values, n_ref)
    _check_passes(request, source, "samples", world)
    warnings = compute.classes_cut(source, count, "samples")
    if reference is not None and reference.source is not None:
        _check_passes(request, reference.source, "reference", world)
        if reference.stored is None:
            compared = [metric for metric in request.chosen if metric.reference != "no"]
            check_count(reference.path, len(reference.source), compared)
        if isinstance(reference.source, Slice):
            warnings += compute.classes_cut(reference.source.reader, len(reference.source), "reference images")
    looked = preflight(source, count)
    looked.check()
    plan = request.plan()
    plan.check(source, reference)
    return _Opened(source, count, reference, looked, plan, warnings)


def options_with(options: Options | None, seed: int | None, interval: bool) -> Options:
    """The switches `options`, with `seed` where it is given and without intervals where they are not wanted."""
    found = options or Options()
    if seed is not None:
        found = replace(found, seed=seed)
    return found if interval else replace(found, interval=False)


def _check_passes(request: Request, images: ImageReader, side: str, world: int) -> None:
    """ConfigError: images that can be had only once, and several passes over them, or parts of them, are asked for."""
    if not images.once:
        return
    if world > 1:
        raise ConfigError(
            f"{images.label}: gives its images once and in order, and the {world} processes of torchrun each take a "
            "part of one set: nothing says whether they are the same in each.",
            "Give an array, a Dataset or a function f(n, start), or score in one process alone with distributed=False.",
        )
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
