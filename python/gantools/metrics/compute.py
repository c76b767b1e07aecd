"""From both sides' images to features, and from these to scores with all that a reader of them must know."""

from __future__ import annotations

import logging
import platform
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from gantools._native import __version__
from gantools.errors import ConfigError, DataError, MetricError
from gantools.metrics import registry
from gantools.metrics.features import passes, reference
from gantools.metrics.features.passes import Layer, LayerRequest
from gantools.metrics.features.processes import Processes
from gantools.metrics.features.reference import Made, Reference
from gantools.metrics.images.memory import Values
from gantools.metrics.images.open import CountNeeded
from gantools.metrics.images.preflight import Preflight, compare, preflight, summary
from gantools.metrics.images.reader import ImageReader
from gantools.metrics.networks import protocols
from gantools.metrics.numbers.frechet import FeatureSums, Statistics
from gantools.metrics.registry import Side
from gantools.metrics.request import FID_WIDTH, Plan, Request, Task, key_of
from gantools.metrics.results.scores import Provenance, Score, Scores
from gantools.pretrained import inception
from gantools.progress import Progress as ProgressBar

#: Called as progress(what, total), gives a callback for every k images done.
Progress = Callable[[str, int], Callable[[int], None]]

log = logging.getLogger("gantools")


@dataclass(frozen=True)
class Reading:
    """How images are read: `batch` at a time, progress told to `started`, in parts by `processes`."""

    batch: int
    started: Progress
    processes: Processes


def find_reference(
    request: Request, samples: Made, ref: Any, values: Values | None = None, n: int | None = None
) -> Reference | None:
    """What the samples are scored against; None where no metric compares with anything.

    Args:
        request: what is asked for.
        samples: what is scored, which may say what its maker was trained on.
        ref: as for `gantools.score`.
        values: what floating point images mean.
        n: take the first n images of it; None: all.

    Raises:
        DataError: there is none, or it cannot be opened.
    """
    if request.of("pairs") and ref is None:
        raise DataError(
            "there is nothing to compare the samples with one by one.",
            "Give the targets with --ref PATH (in Python ref=...).",
        )
    if not request.needs_reference:
        return None
    if ref is not None:
        try:
            found = reference.open_reference(ref, n, values=values)
        except CountNeeded as e:
            raise DataError(
                f"the reference: {e.message}", "Say it with: --n-ref 10000; in Python n_ref=10000."
            ) from None
        if n is not None and found.stored is not None:
            raise ConfigError(f"{found.path}: statistics are of all their images.", "Leave --n-ref (n_ref) out.")
        return found
    if samples.trained_on is None:
        raise DataError(
            "there is nothing to score against: the images are no folder made by `gantools sample`, which would say.",
            "Give a prepared set, a folder of images or a file of statistics with --ref PATH (in Python ref=...).",
        )
    return reference.default_reference(samples)


def look(plan: Plan, samples: Preflight, against: Reference | None) -> tuple[list[str], dict[str, Any]]:
    """Warnings about the images of both sides, and what is kept of them. DataError: an image cannot be read."""
    theirs = None
    if against is not None and against.source is not None and plan.takes_images_of(against):
        theirs = preflight(against.source)
        theirs.check()
    stored = None if against is None else against.stored
    distances = [task.layer.dims for task in plan.tasks if task.metric.reference == "statistics"]
    resized = bool(plan.tasks)
    if stored is None:
        found = compare(samples, theirs, max(distances, default=None), resized=resized)
    else:
        # Distances are those of the statistics, whatever images the file holds beside them.
        found = compare(samples, None, max(distances, default=None), n_reference=stored.n, resized=resized)
        found = list(dict.fromkeys([*found, *compare(samples, theirs, None, resized=resized)]))
    if stored is not None and any(entry.protocol is None for entry in stored.entries):
        found.append(
            f"{stored.path} does not say with which weights and protocol it was made; the number is only right if they "
            "are those below."
        )
    kept = {"samples": summary(samples)}
    if theirs is not None:
        kept["reference"] = summary(theirs)
    return found, kept


def classes_cut(source: ImageReader, count: int, what: str) -> list[str]:
    """A warning where the first `count` images of a source are of fewer classes than all of them."""
    if count >= len(source) or source.labels is None:
        return []
    names = class_names(source)
    assert names is not None
    gone = np.setdiff1d(names, names[:count])
    if not len(gone):
        return []
    shown = ", ".join(map(str, gone[:3])) + (", ..." if len(gone) > 3 else "")
    return [
        f"the first {count:,} of {len(source):,} {what} are of {len(np.unique(names)) - len(gone):,} of "
        f"{len(np.unique(names)):,} classes: none of {shown}. Images are taken in order; a number of all classes needs "
        "images of all."
    ]


def tell(warnings: Sequence[str]) -> None:
    """Log warnings, so that a program can do with them what it likes."""
    for text in warnings:
        log.warning("%s", text)


def sides_of_samples(plan: Plan, source: ImageReader, count: int, reading: Reading) -> dict[Layer, Side]:
    """The features of the samples, of each layer that is wanted; in the first process those of all processes."""
    # A Dataset may be asked for each item.
    labels = reading.processes.together(lambda: class_names(source))
    return {
        wanted.layer: Side(
            statistics_or_none(sums), sums.features, None if labels is None else labels[: sums.moments.n]
        )
        for wanted, sums in _read(plan.layers(reference=False), source, count, reading, "samples")
        if reading.processes.first  # the others have only their parts
    }


def sides_of_reference(plan: Plan, against: Reference | None, reading: Reading, cache: bool) -> dict[Layer, Side]:
    """The statistics and features of the reference, of each layer that is wanted; where there is none, none."""
    wanted = plan.layers(reference=True)
    if against is None or not wanted:
        return {}
    labels = reading.processes.together(lambda: class_names(against.source))
    if against.source is not None and against.stored is None and reading.processes.world > 1:
        source = against.source
        read = _read(wanted, source, len(source), reading, "reference")
        return {r.layer: Side(statistics_or_none(t), t.features, labels) for r, t in read if reading.processes.first}
    kept = [r.layer for r in wanted if r.keep]
    # Statistics are asked for where a metric takes them: a file of features alone need not have them.
    plain = [layer for layer in dict.fromkeys(t.layer for t in plan.tasks) if _needs_statistics(plan, layer)]
    needed_by = ", ".join(t.metric.key for t in plan.tasks if t.metric.reference == "features")
    statistics, features = reading.processes.together(
        lambda: reference.fetch(
            against,
            plain,
            kept,
            reading.batch,
            needed_by=needed_by,
            cache=cache,
            started=lambda total: reading.started("reference", total),
        )
    )
    of_statistics, of_features = dict(zip(plain, statistics, strict=True)), dict(zip(kept, features, strict=True))
    return {r.layer: Side(of_statistics.get(r.layer), of_features.get(r.layer), labels) for r in wanted}


def statistics_or_none(sums: FeatureSums) -> Statistics | None:
    """Mean and covariance; None of a single image, of which metrics that need neither can still be computed."""
    return sums.statistics() if sums.moments.n > 1 else None


def _needs_statistics(plan: Plan, layer: Layer) -> bool:
    return any(task.metric.reference == "statistics" for task in plan.tasks if task.layer == layer)


def _read(
    wanted: Sequence[LayerRequest], source: ImageReader, count: int, reading: Reading, what: str
) -> list[tuple[LayerRequest, FeatureSums]]:
    """What is wanted of one side, each process taking its part."""
    if not wanted:
        return []
    processes = reading.processes
    start, stop = passes.bounds(count, processes.rank, processes.world)
    advance = reading.started(what, stop - start)
    mine = processes.together(lambda: passes.run(wanted, source, (start, stop), reading.batch, advance))
    if processes.world > 1:
        parts = processes.gather(passes.pack(mine))
        mine = passes.merge([passes.unpack(p) for p in parts], wanted) if parts else mine
    return list(zip(wanted, mine, strict=True))


def class_names(source: ImageReader | None) -> NDArray[Any] | None:
    """The class of each image, by name where the classes have names: two sides may number them otherwise."""
    if source is None or source.labels is None:
        return None
    return source.labels if source.classes is None else np.array(source.classes)[source.labels]


def compute(
    plan: Plan, samples: Mapping[Layer, Side], against: Mapping[Layer, Side], warnings: list[str]
) -> list[Score]:
    """The scores of the features of both sides; what only the numbers themselves show is added to `warnings`."""
    scores = []
    for task in plan.tasks:
        layer = task.layer
        other = against.get(layer)
        if task.metric.labels and other is not None:
            _check_labels(task.metric, samples[layer], other)
        assert task.metric.compute is not None
        values = task.metric.compute(samples[layer], other, plan.options)
        network = layer.extractor
        for value in values:
            name, key = _names(task, value)
            scores.append(
                Score(
                    key=key,
                    name=name,
                    value=value.value,
                    better=value.better or task.metric.better,
                    protocol=Provenance(
                        network.protocol, network.name, _place(layer), layer.dims, network.weights_sha256
                    ),
                    interval=value.interval,
                    details=value.details,
                )
            )
        said = _after(task, values)
        tell(said)
        warnings += said
    return scores


def _check_labels(metric: registry.Metric, samples: Side, reference: Side) -> None:
    """MetricError: a metric of classes, and a side that has none."""
    for name, side in (("samples", samples), ("reference", reference)):
        if metric.labels and side.labels is None:
            raise MetricError(
                f"{metric.key} needs the class of each image, and the {name} have none.",
                "Put them into one sub-folder a class, or score a prepared set or .npz with labels.",
            )


def _after(task: Task, values: Sequence[registry.Number]) -> list[str]:
    """What only the numbers themselves show."""
    details = values[0].details
    found = []
    if task.metric.key == "kid" and details["subset_size"] < 1000:
        found.append(
            f"KID from subsets of {details['subset_size']} images instead of the usual 1000, as there are no more: its "
            "mean is right on average, its spread is larger."
        )
    if task.metric.key == "memorisation" and details["copies"]:
        found.append(f"{details['copies']:,} samples have exactly the features of a reference image: they are copies.")
    return found


def results(
    found: Sequence[Score],
    plan: Plan,
    samples: str,
    count: int,
    against: Reference | None,
    sides: Mapping[Layer, Side],
    warnings: Sequence[str],
    inputs: dict[str, Any],
) -> Scores:
    """The scores with all that decided them.

    Args:
        found: the scores, in any order.
        plan: what was asked for, which decides their order.
        samples: where the samples lie.
        count: how many there are.
        against: what they were scored against.
        sides: its features.
        warnings: what a reader must know.
        inputs: what was found in the files of each side.
    """
    counts = [side.statistics.n for side in sides.values() if side.statistics is not None]
    n_reference = counts[0] if counts else None
    of_statistics = any(task.metric.reference == "statistics" for task in plan.tasks)
    if against is not None and against.stored is not None and of_statistics:
        n_reference = against.stored.n
    elif against is not None and against.source is not None:
        n_reference = len(against.source)
    return Scores(
        scores=tuple(found),
        samples=samples,
        n_samples=count,
        reference=None if against is None else against.path,
        n_reference=n_reference,
        reference_id=None if against is None else against.id,
        batch=plan.request.batch,
        device=str(plan.tasks[0].layer.extractor.device) if plan.tasks else "cpu",
        seed=plan.options.seed,
        versions={
            "gantools": __version__,
            "torch": torch.__version__,
            "numpy": np.__version__,
            "python": platform.python_version(),
        },
        inputs=inputs,
        warnings=tuple(warnings),
    )


def _names(task: Task, value: registry.Number) -> tuple[str, str]:
    """What a score is called in a sentence and in JSON: a plain name means the default of everything."""
    network, width = task.layer.extractor, task.layer.dims
    metric = task.metric
    name = value.name or metric.name
    key = key_of(metric, value.suffix or metric.key, network.name, network.protocol, width)
    words: list[str] = []
    if metric.key == "fd" or task.other:
        words.append(f"{network.name} features" if network.name != "inception" else network.name)
    if network.name == "inception":
        if metric.key == "fd" or (metric.key == "fid" and width != FID_WIDTH):
            words.append(f"{width} features")
        if network.protocol != protocols.DEFAULT:
            words.append(network.protocol)
    if task.other and metric.key in ("fid-inf", "per-class"):
        # Without the Inception network none of them is a FID.
        name = name.replace("FID", "Frechet distance")
    return (f"{name} ({', '.join(words)})" if words else name), key


def _place(layer: Layer) -> str:
    """Where in the network the features are taken."""
    places: dict[Any, str] = inception.PLACES if layer.extractor.name == "inception" else {}
    return places.get(layer.layer, layer.layer)


@contextmanager
def shown(progress: bool | Progress) -> Iterator[Progress]:
    """What tells how far the work is: `progress` itself, a bar on stderr for True, nothing for False."""
    if not isinstance(progress, bool):
        yield progress
        return
    if not progress:
        yield lambda what, total: lambda k: None
        return
    with ExitStack() as bars:

        def started(what: str, total: int) -> Callable[[int], None]:
            bars.close()  # one bar at a time
            bar = bars.enter_context(ProgressBar(what, total))
            return bar.advance

        yield started
