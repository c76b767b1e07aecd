"""Scores in words: what a protocol is, and why two results differ."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from gantools.errors import DataError
from gantools.metrics.networks import protocols
from gantools.metrics.results.scores import FORMAT, Scores

#: Scores that are one of several numbers of a metric.
PARTS = {"precision": "prc", "recall": "prc", "density": "dc", "coverage": "dc"}


def explain(scores: Scores) -> list[str]:
    """What these numbers depend on, and with which others they compare: a sentence each."""
    from gantools.metrics.registry import METRICS

    found = []
    for score in scores:
        # Of several beginnings the longest: fid-inf is no fid.
        keys = {**{key: key for key in METRICS}, **PARTS}
        base = next(
            (
                METRICS[keys[key]]
                for key in sorted(keys, key=len, reverse=True)
                if f"{score.key}-".startswith(f"{key}-")
            ),
            None,
        )
        if base is not None:
            found.append(f"{score.name}: {base.words} ({base.source}); {score.better} is better.")
        if score.interval is not None:
            bias = "; the bias that the number of images brings is not in it" if is_frechet(score.key) else ""
            found.append(
                f"{score.name} of other samples of the same generator, as many as these, would lie in "
                f"[{score.interval.low:.6g}, {score.interval.high:.6g}] in {100 * score.interval.level:g} % of the "
                f"cases{bias}."
            )
    used = dict.fromkeys(s.protocol.name for s in scores if s.protocol is not None)
    for rule in [protocols.PROTOCOLS[name] for name in used if name in protocols.PROTOCOLS]:
        found.append(f"Images were brought to the network by {rule.words}: the way of {rule.source}.")
    others = ", ".join(name for name in protocols.PROTOCOLS if name not in used)
    if others and not used.keys().isdisjoint(protocols.PROTOCOLS):
        found.append(
            f"The same images give other numbers by the other protocols ({others}); by how much, "
            f"gantools score --protocol {','.join(protocols.PROTOCOLS)} shows."
        )
    against = "" if scores.reference is None else " against the same reference"
    why = ": Frechet distances fall as the number of images grows" if any(is_frechet(s.key) for s in scores) else ""
    found.append(f"Compare only with scores of {scores.n_samples:,} samples{against}{why}.")
    formats = {side: found_in.get("formats") for side, found_in in scores.inputs.items() if isinstance(found_in, dict)}
    distances = any(s.protocol is not None for s in scores) and scores.reference is not None
    if distances and any(f and "JPEG" in f for f in formats.values()):
        found.append("JPEG moves features: the same pictures saved as PNG and as JPEG have a distance of their own.")
    return found


def explain_difference(a: dict[str, Any], b: dict[str, Any]) -> list[str]:
    """Why two results (of `Scores.to_dict`) may differ: a sentence for each thing that is not the same in both.

    Args:
        a: the first result.
        b: the second one.

    Returns:
        Sentences, what matters most first; empty when nothing that decides the numbers differs.
    """
    found: list[str] = []
    first, second = ({s["key"]: s for s in result.get("scores", [])} for result in (a, b))
    for key in [k for k in first if k in second]:
        x, y = first[key], second[key]
        found += _protocols(key, x.get("protocol"), y.get("protocol"))
        details = (x.get("details", {}), y.get("details", {}))
        for switch in ("convention", "k", "subset_size", "subsets", "splits", "kernel", "q", "seed"):
            values = [d.get(switch) for d in details]
            if values[0] != values[1]:
                found.append(f"{key}: {switch.replace('_', ' ')} is {values[0]} in the first and {values[1]} here.")
        if x.get("interval") and y.get("interval") and x["value"] is not None and y["value"] is not None:
            apart = abs(x["value"] - y["value"])
            error = (x["interval"]["standard_error"] ** 2 + y["interval"]["standard_error"] ** 2) ** 0.5
            if 0 < apart <= 2 * error:
                found.append(
                    f"{key}: the two differ by {apart:.4g}, within twice the standard error of their difference "
                    f"({error:.4g}): other samples of one generator could do that."
                )
    missing = sorted(first.keys() ^ second.keys())
    if missing:
        found.append(f"Only one of the two has {', '.join(missing)}.")
    if a.get("reference_id") != b.get("reference_id"):
        found.append(
            f"They are compared with different references: {a.get('reference_id')} ({a.get('reference')}) and "
            f"{b.get('reference_id')} ({b.get('reference')})."
        )
    for what in ("n_samples", "n_reference"):
        x, y = a.get(what), b.get(what)
        if x != y:
            side = "samples" if what == "n_samples" else "reference images"
            words = f"{_count(x)} and {_count(y)} {side}"
            shared = first.keys() & second.keys()
            why = ": a Frechet distance falls as the number of images grows" if any(map(is_frechet, shared)) else ""
            found.append(f"They have {words}{why}.")
    for side in sorted(set(a.get("inputs", {})) & set(b.get("inputs", {}))):
        for what in ("formats", "sizes", "modes"):
            x, y = (result["inputs"][side].get(what) for result in (a, b))
            if _other_mix(x, y, what):
                found.append(f"The {side}'s {what} differ: {_mix(x)} and {_mix(y)}.")
    for what, words in (("batch", "images a forward pass"), ("device", "device")):
        if a.get(what) != b.get(what):
            found.append(f"{words}: {a.get(what)} and {b.get(what)}, which moves the last digits.")
    versions = (a.get("versions", {}), b.get("versions", {}))
    changed = [k for k in versions[0] if versions[0].get(k) != versions[1].get(k)]
    if changed:
        pairs = ", ".join(f"{k} {versions[0].get(k)} and {versions[1].get(k)}" for k in changed)
        found.append(f"Versions: {pairs}.")
    return found


def is_frechet(key: str) -> bool:
    """Whether the score of this key is a Frechet distance that falls as the number of images grows."""
    # The extrapolation is made so as not to.
    return key.split("-")[0] in ("fid", "fd", "sfid", "mifid", "per") and not key.startswith("fid-inf")


#: Of two sets of different counts: mixes no farther apart than this (in total variation) are the same.
SAME_MIX = 0.05


def _other_mix(x: Any, y: Any, what: str) -> bool:
    """Whether two counts by kind are of other images, and not only of more of them."""
    if x == y or not (isinstance(x, dict) and isinstance(y, dict)):
        return bool(x != y)
    totals = sum(x.values()), sum(y.values())
    if 0 in totals:
        return totals != (0, 0)
    few, many = sorted((x, y), key=lambda mix: sum(mix.values()))
    if what == "sizes" and totals[0] != totals[1] and all(n <= many.get(k, 0) for k, n in few.items()):
        return False  # of images of many sizes some are of some of them
    apart = sum(abs(x.get(k, 0) / totals[0] - y.get(k, 0) / totals[1]) for k in {*x, *y}) / 2
    return totals[0] == totals[1] or apart > SAME_MIX


def _count(n: int | None) -> str:
    return "an unstated number of" if n is None else f"{n:,}"


def _mix(mix: Any) -> str:
    return ", ".join(f"{k} {v}" for k, v in mix.items()) if isinstance(mix, dict) else str(mix)


def _protocols(key: str, x: dict[str, Any] | None, y: dict[str, Any] | None) -> list[str]:
    if x is None or y is None or x == y:
        return []
    words = {
        "name": "images came to the network by different protocols",
        "extractor": "the networks are different",
        "layer": "the features are taken at different places",
        "dims": "the features have different widths",
        "weights_sha256": "the networks have different weights",
    }
    return [f"{key}: {text}: {x.get(k)} and {y.get(k)}." for k, text in words.items() if x.get(k) != y.get(k)]


def read_result(file: Path) -> dict[str, Any]:
    """A result that `gantools score --json` printed. DataError: missing, or something else."""
    hint = "Make one with: gantools score ... --json > FILE"
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DataError(f"{file}: no such file.", hint) from None
    except (OSError, ValueError) as e:
        raise DataError(f"{file}: not JSON ({e}).", hint) from e
    if not isinstance(found, dict) or found.get("format") != FORMAT or not isinstance(found.get("scores"), list):
        raise DataError(f"{file}: no result of gantools score.", hint)
    return found
