"""What scoring gives: numbers with everything that decided them, as an object, as text and as JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

from gantools.errors import MetricError
from gantools.metrics.networks import protocols
from gantools.metrics.numbers.intervals import Interval
from gantools.notebook import page, quiet, table

#: Version of the JSON that `Scores.to_json` writes; fields are only ever added within a version.
JSON_VERSION = 1
FORMAT = "gantools-scores"
#: Details that are in the JSON alone: in a table they would hide the rest.
HIDDEN = frozenset({"mean_term", "kernel", "model_sha256", "slope", "r_squared"})


@dataclass(frozen=True)
class Provenance:
    """How images became features: two numbers compare only where all of this is equal.

    Attributes:
        name: one of `gantools.metrics.networks.protocols.PROTOCOLS`, for example `tf` (TF1 bilinear to 299x299, then
            (x - 128) / 128), or that of another extractor, for example `tf1-28-grey` (the same rule to 28x28, grey).
        extractor: name of the network.
        layer: where its features are taken.
        dims: their width.
        weights_sha256: hash of its weights file.
    """

    name: str
    extractor: str
    layer: str
    dims: int
    weights_sha256: str


@dataclass(frozen=True)
class Score:
    """One number.

    Attributes:
        key: what it is called in JSON, for example `fid`, `fid-768`, `kid-clean`.
        name: what it is called in a sentence, for example `FID` or `FID (768 features)`.
        value: the number; infinite is the PSNR of pairs that are all equal; None where there is none, `details` says
            why.
        better: `lower` or `higher`.
        protocol: how images became features; None for what is computed from pixels.
        interval: how far it would move with other samples of the same number; None where that was not computed.
        details: what else is said of it: counts, conventions, the route of a computation.
    """

    key: str
    name: str
    value: float | None
    better: str
    protocol: Provenance | None = None
    interval: Interval | None = None
    details: dict[str, Any] = field(default_factory=dict)

    def __float__(self) -> float:
        if self.value is None:
            raise MetricError(f"{self.name} has no value.", str(self.details))
        return self.value

    @quiet
    def _repr_html_(self) -> str:
        made = "" if self.protocol is None else f"{self.protocol.extractor} {self.protocol.layer}, {self.protocol.name}"
        return page(self.name, table([_cells(self)], HEAD), notes=[made] if made else [])


@dataclass(frozen=True)
class Scores:
    """All scores of one set of samples, and where they came from. `s["fid"].value`, `list(s)`, `len(s)`.

    Where there is one score alone it is `s.only`, and `s.value` and `float(s)` are its number.

    Attributes:
        scores: in the order asked for.
        samples: where the samples lie.
        n_samples: images scored.
        reference: where the reference lies; None where no score needs one.
        n_reference: images of the reference, or None where its file does not say.
        reference_id: what it is: `set:NAME@FINGERPRINT`, `images:DIGEST` or `file:SHA256`.
        batch: images a forward pass (features move in the last digits with it).
        device: where the networks ran.
        seed: of everything drawn at random; None: each metric's own, which `details` names.
        versions: of gantools, torch, numpy and Python.
        inputs: what was found in the files of each side before they were scored: counts, sizes, formats.
        warnings: what a reader of the numbers must know.
    """

    scores: tuple[Score, ...]
    samples: str
    n_samples: int
    reference: str | None
    n_reference: int | None
    reference_id: str | None
    batch: int
    device: str
    seed: int | None
    versions: dict[str, str]
    inputs: dict[str, Any]
    warnings: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.scores)

    def __iter__(self) -> Iterator[Score]:
        return iter(self.scores)

    def __getitem__(self, key: str) -> Score:
        for score in self.scores:
            if score.key == key:
                return score
        raise KeyError(f"no score {key!r}; there are {', '.join(s.key for s in self.scores)}")

    @property
    def only(self) -> Score:
        """The score, where there is one alone. MetricError: there are several."""
        if len(self.scores) != 1:
            keys = ", ".join(s.key for s in self.scores)
            raise MetricError(f"there are {len(self.scores)} scores.", f"Take one of them by its key: {keys}.")
        return self.scores[0]

    @property
    def value(self) -> float:
        """Of the only score. MetricError: there are several."""
        return float(self.only)

    def __float__(self) -> float:
        return self.value

    def to_dict(self) -> dict[str, Any]:
        """The fields as plain values, with `format` and `version` of this layout first."""
        found = {"format": FORMAT, "version": JSON_VERSION, **asdict(self), "warnings": list(self.warnings)}
        for one in found["scores"]:
            # JSON has no infinity.
            one["infinite"] = one["value"] is not None and math.isinf(one["value"])
            one["value"] = None if one["infinite"] else one["value"]
        return found

    def to_json(self) -> str:
        """`to_dict` as one JSON object; numbers at full precision."""
        return json.dumps(self.to_dict(), indent=1, allow_nan=False)

    def __str__(self) -> str:
        """The numbers and, under them, how they were made."""
        rows = [(s.name, _number(s.value), _range(s.interval), _notes(s)) for s in self.scores]
        widths = [max(len(row[i]) for row in rows) for i in range(3)]
        lines = []
        for name, value, interval, notes in rows:
            parts = [f"{name}:".ljust(widths[0] + 1), value.rjust(widths[1]), interval.ljust(widths[2]), notes]
            lines.append("  ".join(parts).rstrip() if len(rows) > 1 else f"{name}: {value}  {interval}".rstrip())
        lines += [f"  {name:<9}  {text}" for name, text in self._made()]
        return "\n".join(lines)

    @quiet
    def _repr_html_(self) -> str:
        rows = table([_cells(s) for s in self], HEAD)
        return page(f"Scores of {self.samples}", rows, table(self._made()), notes=self.warnings)

    def _made(self) -> list[tuple[str, str]]:
        """How the numbers were made, as (what, text)."""
        lines = [("samples", f"{self.n_samples:,} images, {self.samples}")]
        if self.reference is not None:
            n = "an unstated number of" if self.n_reference is None else f"{self.n_reference:,}"
            lines.append(("reference", f"{n} images, {self.reference}"))
            lines.append(("", f"{self.reference_id}"))
        said = {s.protocol for s in self.scores if s.protocol is not None}
        rule = None
        for p in sorted(said, key=lambda p: (p.extractor, p.name, p.dims)):
            if (p.extractor, p.name) != rule:
                rule = (p.extractor, p.name)
                lines.append(("protocol", f"{p.name}: {protocols.words(p.name)}"))
            lines.append(
                ("features", f"{p.extractor} {p.layer}, {p.dims:,} wide, weights sha256 {p.weights_sha256[:16]}")
            )
        notes = _notes(self.scores[0]) if len(self) == 1 else ""
        lines.append(("computed", f"{notes}, batch {self.batch}, {self.device}".removeprefix(", ")))
        lines.append(("versions", ", ".join(f"{k} {v}" for k, v in self.versions.items())))
        return lines


#: Of the cells of a score in a notebook.
HEAD = ("score", "value", "interval", "better", "how")


def _cells(score: Score) -> tuple[str, ...]:
    return score.name, _number(score.value), _range(score.interval), score.better, _notes(score)


def _number(value: float | None) -> str:
    if value is None:
        return "none"
    if math.isinf(value):
        return "infinite"
    # Five digits that mean something: a KID is around 0.002, a FID around 20.
    return f"{value:.4f}" if abs(value) >= 0.1 or value == 0 else f"{value:.4g}"


def _range(interval: Interval | None) -> str:
    if interval is None:
        return ""
    return f"[{_number(interval.low)}, {_number(interval.high)}] {100 * interval.level:g} %"


def _notes(score: Score) -> str:
    plain = {k: v for k, v in score.details.items() if isinstance(v, str | int | float) and not isinstance(v, bool)}
    shown = []
    for key, value in plain.items():
        if key in HIDDEN:
            continue
        text = f"{value:.4g}" if isinstance(value, float) else str(value)
        shown.append(text if key == "route" else f"{key.replace('_', ' ')} {text}")
    return ", ".join(shown)
