"""What came of a training, in a sentence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from gantools.metrics.registry import METRICS
from gantools.report.curves import Points, points_of
from gantools.report.record import Record

Word = Literal[
    "diverged", "collapsed", "discriminator wins", "stands still", "improving", "flat", "worse", "no verdict"
]

#: A share of the best score before, by which the last third of the measurements is better, or worse.
BETTER, WORSE = 0.02, 0.1
#: By the kind of a sign, the worst first.
KINDS: dict[str, Word] = {
    "divergence": "diverged",
    "collapse": "collapsed",
    "duplicates": "collapsed",
    "frozen": "stands still",
    "gradient": "stands still",
    "discriminator": "discriminator wins",
    "inverted": "worse",
}


@dataclass(frozen=True)
class Verdict:
    """A word for what came of a training, and the sentence that says it with its figures."""

    word: Word
    sentence: str


def trend(values: list[float], better: str) -> Word:
    """Whether scores improve: the best of their last third beside the best before it.

    Args:
        values: in the order in which they were measured.
        better: `lower` or `higher`.

    Returns:
        improving: by more than `BETTER` of the best before; worse: by more than `WORSE`; flat between them. no verdict:
        fewer than three measurements.
    """
    if len(values) < 3:
        return "no verdict"
    sign = 1.0 if better == "lower" else -1.0
    signed = [sign * value for value in values]
    recent = len(signed) // 3
    before, now = min(signed[:-recent]), min(signed[-recent:])
    gain = before - now
    if gain > BETTER * abs(before):
        return "improving"
    return "worse" if -gain > WORSE * abs(before) else "flat"


def verdict(record: Record) -> Verdict:
    """What came of the run: what goes wrong at its last tick, else how its first score went, else what is known."""
    if not record.lines:
        return Verdict("no verdict", "no tick has ended yet, so nothing is known.")
    at = f"At {record.lines[-1]['nimg'] / 1000:.9g} kimg: "
    kinds = {sign.kind: sign.text for sign in record.last}
    for kind, word in KINDS.items():
        if kind in kinds:
            return Verdict(word, f"{at}{kinds[kind]}{_best(record)}")
    metric, values = _first(record)
    if values:
        word = trend([value for _, value in values], better_of(metric))
        said = {
            "improving": f"{metric} still improves",
            "flat": f"{metric} does not improve any more",
            "worse": f"{metric} gets worse",
        }.get(word, f"{metric} was measured {len(values)} times, too few for a trend")
        return Verdict(word, f"{at}{said}.{_best(record)}{_warned(record)}")
    diversity = points_of(record.lines, "sample_diversity")
    differ = f" Samples differ by {diversity[-1][1]:.0%} of what real images do." if diversity else ""
    return Verdict(
        "no verdict",
        f"{at}no score was measured, and losses do not say whether images get better: look at the grids.{differ}"
        f"{_warned(record) or ' No sign of trouble was seen.'}",
    )


def better_of(metric: str) -> str:
    """`lower` or `higher`."""
    found = METRICS.get(metric)
    return "higher" if found is not None and found.better == "higher" else "lower"


def best_of(metric: str, values: Points) -> tuple[float, float]:
    """(kimg, value) of the best."""
    return (min if better_of(metric) == "lower" else max)(values, key=lambda point: point[1])


def _best(record: Record) -> str:
    metric, values = _first(record)
    if not values:
        return ""
    kimg, value = best_of(metric, values)
    return f" Best {metric}: {value:.4g} at {kimg:.9g} kimg."


def _first(record: Record) -> tuple[str, Points]:
    """The score that decides, and its values; none where it was not measured."""
    for metric in record.metrics:
        if values := points_of(record.lines, metric):
            return metric, values
    return "", []


def _warned(record: Record) -> str:
    n = len(record.signs)
    return f" {n} warning{'s' if n > 1 else ''} on the way, see below." if n else ""
