"""A score in parts, on any machines: `score_part` does the slow half of each, `score_parts` puts them together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gantools.errors import ConfigError, DataError
from gantools.metrics import compute
from gantools.metrics.compute import Progress, Reading
from gantools.metrics.features import passes
from gantools.metrics.features.processes import Processes
from gantools.metrics.images.open import Images, open_source
from gantools.metrics.images.preflight import from_summary, preflight, summary
from gantools.metrics.numbers.frechet import FeatureSums
from gantools.metrics.registry import Side
from gantools.metrics.request import Plan, Request, count_of
from gantools.metrics.results.scores import Scores


def score_part(
    samples: Images,
    part: str,
    file: str | Path,
    request: Request,
    *,
    n: int | None = None,
    progress: bool | Progress = False,
) -> Path:
    """The slow half of a score for a part of the samples, for `score_parts` to put together, on any machine.

    Args:
        samples: as for `gantools.score`; the same for all parts.
        part: `i/n`: the i-th of n parts, i from 1.
        file: the `.npz` to write.
        request: what is asked for; the same for all parts and for `score_parts`.
        n: score only the first n images. None: all.
        progress: True for a bar on stderr, or what makes a callback: progress(what, total) -> advance(k).

    Returns:
        The file.

    Raises:
        ConfigError: `part` is none, or a metric is of pixels. The others as for `gantools.score`.
    """
    number, of = _part(part)
    _no_pixels(request)
    source = open_source(samples, n)
    count = count_of(source, n, request)
    found = preflight(source, count)
    found.check()
    plan = request.plan()
    plan.check(source, None)
    start, stop = passes.bounds(count, number - 1, of)
    wanted = plan.layers(reference=False)
    with compute.shown(progress) as started:
        advance = started(f"samples {number} of {of}", stop - start)
        sums = passes.run(wanted, source, (start, stop), request.batch, advance)
    labels = compute.class_names(source)
    note = {
        "samples": source.label,
        "count": count,
        "part": number,
        "parts": of,
        "inputs": summary(found),
        "labels": None if labels is None else labels[start:stop].tolist(),
        "trained_on": source.trained_on,
        "layers_of": plan.identity(),
        "metrics": [task.metric.key for task in plan.tasks],
    }
    passes.save_part(Path(file), note, sums)
    return Path(file)


def score_parts(
    files: Sequence[str | Path],
    request: Request,
    *,
    ref: Images | None = None,
    n_ref: int | None = None,
    cache: bool = True,
    progress: bool | Progress = False,
) -> Scores:
    """The scores of samples whose parts `score_part` made; the same as of one `gantools.score`.

    Args:
        files: all parts, in any order; patterns such as `part-*.npz` too.
        request: what the parts were made with.
        ref, n_ref: as for `gantools.score`.
        cache: whether the reference's statistics are kept in the cache folder, and read from it.
        progress: True for a bar on stderr, or what makes a callback: progress(what, total) -> advance(k).

    Raises:
        DataError: a part is missing, damaged, there twice, or of other samples or networks.
        ConfigError: a metric is of pixels. The others as for `gantools.score`.
    """
    _no_pixels(request)
    plan = request.plan()
    notes, parts = _load_parts(files, plan)
    first = notes[0]
    reference = compute.find_reference(request, _Made(first), ref, n=n_ref)
    try:
        looked = from_summary(first["samples"], first["inputs"])
    except (KeyError, TypeError, ValueError, AttributeError) as e:
        raise DataError(f"the note of part 1 is damaged ({e!r}).", "Make the part again.") from e
    labels = None
    if all(note["labels"] is not None for note in notes):
        labels = np.concatenate([np.asarray(note["labels"]) for note in notes])
    with compute.shown(progress) as started:
        warnings, inputs = compute.look(plan, looked, reference)
        compute.tell(warnings)
        reading = Reading(request.batch, started, Processes(distributed=False))
        against = compute.sides_of_reference(plan, reference, reading, cache)
        wanted = plan.layers(reference=False)
        merged = passes.merge(parts, wanted)
        sides = {
            r.layer: Side(compute.statistics_or_none(t), t.features, labels)
            for r, t in zip(wanted, merged, strict=True)
        }
        found = compute.compute(plan, sides, against, warnings)
    return compute.results(found, plan, first["samples"], first["count"], reference, against, warnings, inputs)


def _no_pixels(request: Request) -> None:
    if request.of_pixels:
        keys = ", ".join(metric.key for metric in request.of_pixels)
        raise ConfigError(
            f"{keys}: computed from pixels, and parts hold features.",
            "Score them without --shard and --part (in Python with score).",
        )


def _part(text: str) -> tuple[int, int]:
    number, _, of = text.partition("/")
    if number.isdecimal() and of.isdecimal() and 1 <= int(number) <= int(of) <= 10**6:
        return int(number), int(of)
    raise ConfigError(
        f"{text}: not a part of a score.",
        "Write i/n, for example --shard 2/4 (in Python '2/4') for the second of four.",
    )


def _load_parts(files: Sequence[str | Path], plan: Plan) -> tuple[list[dict[str, Any]], list[list[FeatureSums]]]:
    """Notes and sums of all parts in order, after a look at whether they belong together."""
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
    needed, wanted = plan.identity(), plan.layers(reference=False)
    for path, note, sums in loaded:
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
        for layer, one in zip(wanted, sums, strict=True):
            if layer.keep and one.features is None:
                raise DataError(
                    f"{path}: does not hold all features.",
                    "Make it again without --no-interval (in Python Options(interval=True)).",
                )
    numbers = [note["part"] for _, note, _ in loaded]
    if numbers != list(range(1, first["parts"] + 1)):
        missing = sorted(set(range(1, first["parts"] + 1)) - set(numbers))
        twice = sorted({k for k in numbers if numbers.count(k) > 1})
        raise DataError(
            f"of {first['parts']} parts {f'{missing} are missing' if missing else f'{twice} are there twice'}.",
            "Give each part once.",
        )
    return [note for _, note, _ in loaded], [sums for _, _, sums in loaded]


@dataclass(frozen=True)
class _Made:
    """What a part says of the samples it is of."""

    note: Mapping[str, Any]

    @property
    def label(self) -> str:
        return str(self.note["samples"])

    @property
    def trained_on(self) -> dict[str, Any] | None:
        found: dict[str, Any] | None = self.note.get("trained_on")
        return found
