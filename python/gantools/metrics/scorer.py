"""One call from images to scores that say how they were made."""

from __future__ import annotations

import platform
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from gantools._native import __version__
from gantools.errors import ConfigError, DataError, MetricError
from gantools.metrics import registry
from gantools.metrics.features import passes
from gantools.metrics.features.passes import Wanted
from gantools.metrics.features.processes import Processes
from gantools.metrics.features.reference import Reference, default_reference, open_reference
from gantools.metrics.features.reference import take as take_reference
from gantools.metrics.images.memory import Values
from gantools.metrics.images.open import Images as Images
from gantools.metrics.images.open import open_source
from gantools.metrics.images.preflight import Preflight, compare, from_summary, preflight, summary
from gantools.metrics.images.reader import Source
from gantools.metrics.networks import protocols
from gantools.metrics.networks import registry as extractors
from gantools.metrics.pixels.scores import PIXEL_METRICS, PixelOptions, pixel_scores
from gantools.metrics.registry import Metric, Options, Side
from gantools.metrics.results.scores import Protocol as Protocol
from gantools.metrics.results.scores import Score, Scores
from gantools.pretrained import inception
from gantools.progress import Progress as ProgressBar

#: Called as progress(what, total), gives a callback for every k images done.
Progress = Callable[[str, int], Callable[[int], None]]


@dataclass(frozen=True)
class _Task:
    """One metric of one network's features."""

    metric: Metric
    wanted: Wanted
    #: Whether the metric was asked for with this extractor, not its own.
    other: bool


@dataclass(frozen=True)
class _Plan:
    """All that is to be computed, decided before the first image is read."""

    tasks: tuple[_Task, ...]
    options: Options

    def requests(self, *, reference: bool) -> list[passes.Request]:
        """What is wanted of each layer, on one side; each layer once."""
        keep: dict[Wanted, bool] = {}
        for task in self.tasks:
            need = task.metric.reference
            if reference and need == "no":
                continue
            # The samples' own features are also what an interval leaves some of out.
            all_of_them = need == "features" if reference else True
            if not reference and need == "statistics" and not self.options.interval:
                all_of_them = task.metric.key == "fid-inf"
            keep[task.wanted] = keep.get(task.wanted, False) or all_of_them
        return [passes.Request(wanted, kept) for wanted, kept in keep.items()]


def score(
    samples: Images,
    *,
    metrics: Sequence[str] | None = None,
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
    pixel_options: PixelOptions | None = None,
    cache: bool = True,
    progress: bool | Progress = False,
) -> Scores:
    """Score images, most metrics against a reference.

    Args:
        samples: a folder of images, a samples folder, a prepared set, a run, a `.zip`, `.tar`, `.npy` or `.npz`; or an
            array, tensor, Dataset, iterator of batches, function f(n, start), or `Generator`; see
            `gantools.metrics.images.open.open_source`.
        metrics: keys of `gantools.metrics.registry.METRICS`, for example `("fid", "kid", "prc")`; those that take the
            same features share one forward pass; or of `gantools.metrics.pixels.scores.PIXEL_METRICS`, for example
            `("psnr", "ssim")` of pairs. None: `fid`, or `fd` where another extractor is named.
        ref: what to score against: as `samples`, or a file of statistics, which is enough for Frechet distances. None:
            what the samples' manifest names.
        protocol: how images come to the Inception network: `tf` (None), `pytorch-fid`, `clean`, `torchmetrics` or
            `studiogan` (see `gantools.metrics.networks.protocols`), or several: each image is then decoded once, the
            network runs once for each.
        extractor: the network for the metrics that may take any, a key of
            `gantools.metrics.networks.registry.EXTRACTORS`; None: each metric's own.
        dims: width of the features for `fid` and `fd`: 64, 192, 768 or 2048 for Inception. None: the default.
        weights: file of the network's weights, or a file for each extractor's name. None: as
            `gantools.pretrained.weights` looks for them.
        batch: images a forward pass.
        device: None for CUDA where there is any, else the CPU.
        n: score only the first n images. None: all; a run, a function and an iterator need it.
        values: what floating point images mean: `(0, 1)` or `(-1, 1)`.
        seed: of the images of a run, and of everything drawn at random; None: 0, and each metric's usual one, so that
            equal images give equal numbers.
        interval: compute intervals of Frechet distances and KID.
        options: the metrics' switches; `seed` and `interval` go before its own.
        pixel_options: the switches of scores of pixels.
        cache: whether the reference's statistics are kept in the cache folder, and read from it.
        progress: True for a bar on stderr, or what makes a callback: progress(what, total) -> advance(k).

    Returns:
        The scores with protocol, counts, reference and warnings; warnings are also printed to stderr. Under `torchrun`
        every process takes its part of the images and all return the same.

    Raises:
        DataError: images or the reference are missing, damaged, or not those the samples were trained on.
        ConfigError: an unknown metric, extractor, width, protocol or switch.
        WeightsError, DownloadError: no weights.
        MetricError: fewer than 2 images, or a reference that does not have what a metric needs.
    """
    pixels = [key for key in dict.fromkeys(metrics or ()) if key in PIXEL_METRICS]
    others = None if metrics is None else [key for key in metrics if key not in PIXEL_METRICS]
    if metrics is not None and not metrics:
        raise ConfigError("no metric.", f"Known: {', '.join([*registry.METRICS, *PIXEL_METRICS])}.")
    asked = _ask(others, extractor, dims, batch, _options(options, seed, interval))
    # Everything that can be wrong is looked at before the slow part, images before networks.
    source = open_source(samples, n, seed or 0, values=values, device=None if device is None else str(device))
    count = _count(source, n)
    if pixels and count != len(source):
        raise ConfigError(f"{', '.join(pixels)} are of all images.", "Leave -n out.")
    paired = any(PIXEL_METRICS[key].paired for key in pixels)
    reference = _reference(asked, source, ref, paired, values)
    ours_found = preflight(source, count)
    ours_found.check()
    plan = _load(asked, protocol, weights, device)
    _check(plan, source, reference)
    with Processes() as processes, _progress(progress if processes.first else False) as started:
        warnings, inputs = _look(plan, ours_found, reference)
        _tell(warnings, processes.first)
        theirs = _reference_sides(plan, reference, batch, cache, processes, started)
        ours = _pass(plan.requests(reference=False), source, count, batch, processes, started, "samples")
        found = []
        if processes.first:  # the others have only their parts
            sides = {request.wanted: _side(taken, source) for request, taken in ours}
            found = _compute(plan, sides, theirs, warnings)
            if pixels:
                found += pixel_scores(
                    samples,
                    ref,
                    pixels,
                    pixel_options or PixelOptions(),
                    device=device,
                    seed=plan.options.seed_or(0),
                    started=started,
                    count=count,
                )
        found = processes.share(found)
    return _scores(found, plan, source.label, count, reference, theirs, batch, warnings, inputs)


def score_part(
    samples: Images,
    part: str,
    file: str | Path,
    *,
    metrics: Sequence[str] | None = None,
    protocol: str | Sequence[str] | None = None,
    extractor: str | None = None,
    dims: int | None = None,
    weights: str | Path | Mapping[str, str | Path] | None = None,
    batch: int = 32,
    device: str | torch.device | None = None,
    n: int | None = None,
    interval: bool = True,
    progress: bool | Progress = False,
) -> Path:
    """The slow half of a score for a part of the samples, for `score_parts` to put together, on any machine.

    Args:
        samples: as for `score`; the same for all parts.
        part: `i/n`: the i-th of n parts, i from 1.
        file: the `.npz` to write.
        metrics: as for `score`, and likewise the others.
        protocol: see `score`.
        extractor: see `score`.
        dims: see `score`.
        weights: see `score`.
        batch: see `score`.
        device: see `score`.
        n: see `score`.
        interval: whether `score_parts` shall be able to compute intervals.
        progress: see `score`.

    Returns:
        The file.

    Raises:
        ConfigError: `part` is none. The others as for `score`.
    """
    number, of = _part(part)
    asked = _ask(metrics, extractor, dims, batch, _options(None, None, interval))
    source = open_source(samples, n)
    count = _count(source, n)
    found = preflight(source, count)
    found.check()
    plan = _load(asked, protocol, weights, device)
    _check(plan, source, None)
    start, stop = passes.bounds(count, number - 1, of)
    requests = plan.requests(reference=False)
    with _progress(progress) as started:
        whole = passes.Part(source, start, stop)
        taken = passes.take(requests, whole, stop - start, batch, started(f"samples {number} of {of}", stop - start))
    labels = _labels(source)
    note = {
        "samples": source.label,
        "count": count,
        "part": number,
        "parts": of,
        "inputs": summary(found),
        "labels": None if labels is None else labels[start:stop].tolist(),
        "trained_on": source.trained_on,
        "layers_of": [_identity(request.wanted) for request in requests],
        "metrics": [task.metric.key for task in plan.tasks],
    }
    passes.save_part(Path(file), note, taken)
    return Path(file)


def score_parts(
    files: Sequence[str | Path],
    *,
    ref: Images | None = None,
    metrics: Sequence[str] | None = None,
    protocol: str | Sequence[str] | None = None,
    extractor: str | None = None,
    dims: int | None = None,
    weights: str | Path | Mapping[str, str | Path] | None = None,
    batch: int = 32,
    device: str | torch.device | None = None,
    seed: int | None = None,
    interval: bool = True,
    options: Options | None = None,
    cache: bool = True,
    progress: bool | Progress = False,
) -> Scores:
    """The scores of samples whose parts `score_part` made, with the same arguments; the same as of one `score`.

    Args:
        files: all parts, in any order; patterns such as `part-*.npz` too.
        ref: as for `score`, and likewise the others.
        metrics: see `score`.
        protocol: see `score`.
        extractor: see `score`.
        dims: see `score`.
        weights: see `score`.
        batch: see `score`.
        device: see `score`.
        seed: see `score`.
        interval: see `score`.
        options: see `score`.
        cache: see `score`.
        progress: see `score`.

    Raises:
        DataError: a part is missing, damaged, there twice, or of other samples or networks. The others as for `score`.
    """
    asked = _ask(metrics, extractor, dims, batch, _options(options, seed, interval))
    plan = _load(asked, protocol, weights, device)
    requests = plan.requests(reference=False)
    notes, taken = _load_parts(files, requests)
    first = notes[0]
    reference = _reference(asked, _Label(first), ref, False, None)
    try:
        looked = from_summary(first["samples"], first["inputs"])
    except (KeyError, TypeError, ValueError, AttributeError) as e:
        raise DataError(f"the note of part 1 is damaged ({e!r}).", "Make the part again.") from e
    labels = None
    if all(note["labels"] is not None for note in notes):
        labels = np.concatenate([np.asarray(note["labels"]) for note in notes])
    with _progress(progress) as started:
        warnings, inputs = _look(plan, looked, reference)
        _tell(warnings, True)
        theirs = _reference_sides(plan, reference, batch, cache, Processes(alone=True), started)
        merged = passes.merge(taken, requests)
        sides = {
            request.wanted: Side(t.statistics(), t.features, labels)
            for request, t in zip(requests, merged, strict=True)
        }
        found = _compute(plan, sides, theirs, warnings)
    return _scores(found, plan, first["samples"], first["count"], reference, theirs, batch, warnings, inputs)


def _options(options: Options | None, seed: int | None, interval: bool) -> Options:
    found = options or Options()
    if seed is not None:
        found = replace(found, seed=seed)
    if not interval:
        found = replace(found, interval=False)
    registry.check_options(found)
    return found


@dataclass(frozen=True)
class _Asked:
    """What is asked for, before networks are loaded: for each extractor its metrics and their layers."""

    metrics: tuple[Metric, ...]
    uses: Mapping[str, Sequence[tuple[Metric, str]]]
    options: Options


def _ask(
    metrics: Sequence[str] | None, extractor: str | None, dims: int | None, batch: int, options: Options
) -> _Asked:
    """Checks what is asked for."""
    if batch < 1:
        raise ConfigError(f"batch must be at least 1, not {batch}.")
    if metrics is None:
        metrics = ("fid",) if extractor in (None, "inception") else ("fd",)
    asked = [registry.find(key) for key in dict.fromkeys(metrics)]
    uses: dict[str, list[tuple[Metric, str]]] = {}
    for metric in asked:
        name = metric.extractor
        if extractor is not None and extractor != name:
            if metric.key == "fid":
                raise ConfigError(
                    f"FID is defined with the Inception network; with {extractor!r} features the number is a Frechet "
                    "distance.",
                    "On the command line: --fd instead of --fid. In Python: metrics=('fd',).",
                )
            name = extractor if metric.any_extractor else name
        layer = metric.layer
        if layer is None:
            layer = extractors.layer_of_width(name, dims if metric.key in ("fid", "fd") else None)
        uses.setdefault(name, []).append((metric, layer))
    if asked and extractor is not None and extractor not in uses:
        extractors.find(extractor)
        raise ConfigError(
            f"none of {', '.join(m.key for m in asked)} takes another extractor.", "Leave --extractor out, or add fd."
        )
    return _Asked(tuple(asked), uses, options)


def _load(
    asked: _Asked,
    protocol: str | Sequence[str] | None,
    weights: str | Path | Mapping[str, str | Path] | None,
    device: str | torch.device | None,
) -> _Plan:
    """Loads the networks."""
    tasks: dict[str, list[_Task]] = {}
    for name, uses in asked.uses.items():
        networks = extractors.make_several(
            name,
            tuple(dict.fromkeys(layer for _, layer in uses)),
            _weights_of(name, weights, len(asked.uses)),
            device,
            # A protocol is one of the Inception network; other extractors bring their own.
            protocol=protocol if name == "inception" or len(asked.uses) == 1 else None,
        )
        for metric, layer in uses:
            other = name != metric.extractor
            tasks[metric.key] = [_Task(metric, Wanted(network, layer), other) for network in networks]
    return _Plan(tuple(task for metric in asked.metrics for task in tasks[metric.key]), asked.options)


def _weights_of(name: str, weights: str | Path | Mapping[str, str | Path] | None, networks: int) -> str | Path | None:
    if isinstance(weights, Mapping):
        for given in weights:
            extractors.find(given)
        return weights.get(name)
    if weights is not None and networks > 1:
        raise ConfigError(
            f"there are {networks} networks, and {weights} is the file of one.",
            "Say of which, for example: --weights inception=FILE",
        )
    return weights


def _part(text: str) -> tuple[int, int]:
    number, _, of = text.partition("/")
    if number.isdecimal() and of.isdecimal() and 1 <= int(number) <= int(of) <= 10**6:
        return int(number), int(of)
    raise ConfigError(f"--shard {text}: not a part.", "Write i/n, for example 2/4 for the second of four.")


def _identity(wanted: Wanted) -> dict[str, Any]:
    e = wanted.extractor
    return {
        "extractor": e.name,
        "protocol": e.protocol,
        "layer": wanted.layer,
        "dims": wanted.dims,
        "weights_sha256": e.weights_sha256,
    }


def _load_parts(
    files: Sequence[str | Path], requests: Sequence[passes.Request]
) -> tuple[list[dict[str, Any]], list[list[passes.Taken]]]:
    """All parts in order, after a look at whether they belong together."""
    paths: list[Path] = []
    for file in map(Path, files):
        pattern = any(c in file.name for c in "*?[")
        found = sorted(file.parent.glob(file.name)) if pattern else [file]
        if not found:
            raise DataError(f"{file}: no such files.", "Make them with: gantools score --shard 1/4 --part FILE")
        paths += found
    loaded = [(path, *passes.load_part(path)) for path in dict.fromkeys(paths)]
    if not loaded:
        raise DataError("no part of a score was given.", "Give the files of all parts.")
    loaded.sort(key=lambda item: item[1]["part"])
    first = loaded[0][1]
    needed = [_identity(r.wanted) for r in requests]
    for path, note, taken in loaded:
        same = all(note.get(k) == first.get(k) for k in ("samples", "count", "parts", "inputs"))
        if not same:
            raise DataError(
                f"{path}: a part of other samples than {loaded[0][0]}.", "Give the parts of one score only."
            )
        if note.get("layers_of") != needed:
            raise DataError(
                f"{path}: made for other metrics, protocols or weights than are asked for now.",
                "Give the same arguments as when the parts were made.",
            )
        for request, one in zip(requests, taken, strict=True):
            if request.keep and one.features is None:
                raise DataError(f"{path}: does not hold all features.", "Make it again without --no-interval.")
    numbers = [note["part"] for _, note, _ in loaded]
    if numbers != list(range(1, first["parts"] + 1)):
        missing = sorted(set(range(1, first["parts"] + 1)) - set(numbers))
        twice = sorted({k for k in numbers if numbers.count(k) > 1})
        raise DataError(
            f"of {first['parts']} parts {f'{missing} are missing' if missing else f'{twice} are there twice'}.",
            "Give each part once.",
        )
    return [note for _, note, _ in loaded], [taken for _, _, taken in loaded]


def _check(plan: _Plan, source: Source, reference: Reference | None) -> None:
    for task in plan.tasks:
        task.wanted.extractor.check(source.shape)
        if reference is not None and reference.source is not None:
            task.wanted.extractor.check(reference.source.shape)
        if reference is not None and reference.stored is not None and task.metric.reference != "no":
            # What a file holds is known before the samples are looked at.
            layer = reference.stored.find(task.wanted.extractor, task.wanted.layer)
            if task.metric.reference == "features" and layer.features is None and reference.source is None:
                raise MetricError(
                    f"{task.metric.key} needs the images of the reference, and {reference.path} has statistics only.",
                    "Give the images with --ref, or ask for Frechet distances only.",
                )
    if reference is not None and reference.source is not None and len(reference.source) < 2:
        raise MetricError(f"{reference.path}: a covariance needs at least 2 images, there is {len(reference.source)}.")


def _tell(warnings: Sequence[str], first: bool) -> None:
    if first:
        for text in warnings:
            print(f"warning: {text}", file=sys.stderr)


def _side(taken: passes.Taken, source: Source) -> Side:
    labels = _labels(source)
    return Side(taken.statistics(), taken.features, None if labels is None else labels[: taken.moments.n])


def _labels(source: Source | None) -> NDArray[Any] | None:
    """The class of each image, by name where the classes have names: two sides may number them otherwise."""
    if source is None or source.labels is None:
        return None
    return source.labels if source.classes is None else np.array(source.classes)[source.labels]


def _pass(
    requests: Sequence[passes.Request],
    source: Source,
    count: int,
    batch: int,
    processes: Processes,
    started: Progress,
    what: str,
) -> list[tuple[passes.Request, passes.Taken]]:
    """What is wanted of one side, each process taking its part."""
    if not requests:
        return []
    start, stop = passes.bounds(count, processes.rank, processes.world)
    part = source if processes.world == 1 else passes.Part(source, start, stop)
    mine = passes.take(requests, part, stop - start, batch, started(what, stop - start))
    if processes.world > 1:
        parts = processes.gather(passes.pack(mine))
        mine = passes.merge([passes.unpack(p) for p in parts], requests) if parts else mine
    return list(zip(requests, mine, strict=True))


def _reference_sides(
    plan: _Plan,
    reference: Reference | None,
    batch: int,
    cache: bool,
    processes: Processes,
    started: Progress,
) -> dict[Wanted, Side]:
    requests = plan.requests(reference=True)
    if reference is None or not requests:
        return {}
    labels = _labels(reference.source)
    if reference.source is not None and reference.stored is None and processes.world > 1:
        source = reference.source
        taken = _pass(requests, source, len(source), batch, processes, started, "reference")
        return {r.wanted: Side(t.statistics(), t.features, labels) for r, t in taken if processes.first}
    kept = [r.wanted for r in requests if r.keep]
    # Statistics are asked for where a metric takes them: a file of features alone need not have them.
    plain = [w for w in dict.fromkeys(t.wanted for t in plan.tasks) if _needs_statistics(plan, w)]
    needed_by = ", ".join(t.metric.key for t in plan.tasks if t.metric.reference == "features")
    statistics, features = take_reference(
        reference,
        plain,
        kept,
        batch,
        needed_by=needed_by,
        cache=cache,
        started=lambda total: started("reference", total),
    )
    of_statistics, of_features = dict(zip(plain, statistics, strict=True)), dict(zip(kept, features, strict=True))
    return {r.wanted: Side(of_statistics.get(r.wanted), of_features.get(r.wanted), labels) for r in requests}


def _needs_statistics(plan: _Plan, wanted: Wanted) -> bool:
    return any(task.metric.reference == "statistics" for task in plan.tasks if task.wanted == wanted)


def _compute(
    plan: _Plan, ours: Mapping[Wanted, Side], theirs: Mapping[Wanted, Side], warnings: list[str]
) -> list[Score]:
    scores = []
    for task in plan.tasks:
        w = task.wanted
        reference = theirs.get(w)
        if task.metric.labels and reference is not None:
            registry.check_labels(task.metric, ours[w], reference)
        values = task.metric.compute(ours[w], reference, plan.options)
        network = w.extractor
        for value in values:
            name, key = _names(task, value)
            scores.append(
                Score(
                    key=key,
                    name=name,
                    value=value.value,
                    better=value.better or task.metric.better,
                    protocol=Protocol(network.protocol, network.name, _place(w), w.dims, network.weights_sha256),
                    interval=value.interval,
                    details=value.details,
                )
            )
        said = _after(task, values)
        _tell(said, True)
        warnings += said
    return scores


def _after(task: _Task, values: Sequence[registry.Value]) -> list[str]:
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


def _scores(
    found: Sequence[Score],
    plan: _Plan,
    samples: str,
    count: int,
    reference: Reference | None,
    theirs: Mapping[Wanted, Side],
    batch: int,
    warnings: Sequence[str],
    inputs: dict[str, Any],
) -> Scores:
    counts = [side.statistics.n for side in theirs.values() if side.statistics is not None]
    n_reference = counts[0] if counts else None
    if reference is not None and reference.source is not None:
        n_reference = len(reference.source)
    return Scores(
        scores=tuple(found),
        samples=samples,
        n_samples=count,
        reference=None if reference is None else reference.path,
        n_reference=n_reference,
        reference_id=None if reference is None else reference.id,
        batch=batch,
        device=str(plan.tasks[0].wanted.extractor.device) if plan.tasks else "cpu",
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


def _names(task: _Task, value: registry.Value) -> tuple[str, str]:
    """What a score is called in a sentence and in JSON: a plain name means the default of everything."""
    network, width = task.wanted.extractor, task.wanted.dims
    metric = task.metric
    name, key = value.name or metric.name, value.suffix or metric.key
    said: list[str] = []
    words: list[str] = []
    if metric.key == "fd" or task.other:
        said.append(network.name)
        words.append(f"{network.name} features" if network.name != "inception" else network.name)
    if network.name == "inception":
        if metric.key == "fd" or (metric.key == "fid" and width != 2048):
            said.append(str(width))
            words.append(f"{width} features")
        if network.protocol != protocols.DEFAULT:
            said.append(network.protocol)
            words.append(network.protocol)
    if task.other and metric.key in ("fid-inf", "per-class"):
        # Without the Inception network none of them is a FID.
        name = name.replace("FID", "Frechet distance")
    return (f"{name} ({', '.join(words)})" if words else name), "-".join([key, *said])


def _place(wanted: Wanted) -> str:
    """Where in the network the features are taken."""
    places: dict[Any, str] = inception.PLACES if wanted.extractor.name == "inception" else {}
    return places.get(wanted.layer, wanted.layer)


def _count(source: Source, n: int | None) -> int:
    count = len(source) if n is None else n
    if count > len(source):
        raise DataError(f"{source.label}: has {len(source):,} images, {count:,} were asked for.")
    if count < 2:
        raise MetricError(
            f"{source.label}: a covariance needs at least 2 images, there is {count}.",
            "Make more, for example: gantools sample -n 10000",
        )
    return count


@dataclass(frozen=True)
class _Label:
    """What a part says of the samples it is of."""

    note: Mapping[str, Any]

    @property
    def label(self) -> str:
        return str(self.note["samples"])

    @property
    def trained_on(self) -> dict[str, Any] | None:
        found: dict[str, Any] | None = self.note.get("trained_on")
        return found


def _reference(
    asked: _Asked, samples: Source | _Label, ref: Any, paired: bool, values: Values | None
) -> Reference | None:
    if paired and ref is None:
        raise DataError("there is nothing to compare the samples with one by one.", "Give the targets with: --ref PATH")
    if not paired and all(metric.reference == "no" for metric in asked.metrics):
        return None
    if ref is not None:
        return open_reference(ref, values=values)
    if samples.trained_on is None:
        raise DataError(
            "there is nothing to score against: the images are no folder made by `gantools sample`, which would say.",
            "Give a prepared set, a folder of images or a file of statistics with: --ref PATH",
        )
    return default_reference(samples)


def _look(plan: _Plan, samples: Preflight, reference: Reference | None) -> tuple[list[str], dict[str, Any]]:
    """Warnings about the images of both sides, and what is kept of them. DataError: an image cannot be read."""
    theirs = None
    if reference is not None and reference.source is not None:
        theirs = preflight(reference.source)
        theirs.check()
    stored = None if reference is None else reference.stored
    distances = [task.wanted.dims for task in plan.tasks if task.metric.reference == "statistics"]
    found = compare(samples, theirs, max(distances, default=None), n_reference=None if stored is None else stored.n)
    if stored is not None and any(entry.protocol is None for entry in stored.entries):
        found.append(
            f"{stored.path} does not say with which weights and protocol it was made; the number is only right if they "
            "are those below."
        )
    kept = {"samples": summary(samples)}
    if theirs is not None:
        kept["reference"] = summary(theirs)
    return found, kept


@contextmanager
def _progress(progress: bool | Progress) -> Iterator[Progress]:
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
