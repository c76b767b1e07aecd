"""All checks in their order, and what they found as JSON."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict

from gantools.doctor import compiling, machine, packages, places
from gantools.doctor.lines import Line
from gantools.errors import cause

FORMAT, JSON_VERSION = "gantools-doctor", 1
#: In the order they are shown; the name stands for a check that fails itself.
CHECKS: dict[str, Callable[[], Iterator[Line]]] = {
    "versions": machine.gantools,
    "extension": machine.extension,
    "torch": machine.torch_itself,
    "cores": machine.cores,
    "memory": machine.memory,
    "cuda": machine.cuda,
    "bfloat16": machine.bfloat16,
    "packages": packages.packages,
    "cache": places.cache_entries,
    "weights": places.weights,
    "folders": places.folders,
}
#: Those that take longer than a second or two.
SLOW_CHECKS: dict[str, Callable[[], Iterator[Line]]] = {"compile": compiling.compile_and_graph}


def examine(*, compile: bool = True) -> Iterator[Line]:
    """Look at everything; a check that fails is a note that says so.

    Args:
        compile: whether torch.compile, and CUDA graphs where there is a GPU, are tried as well, each in a process of
            its own; that takes up to a minute.
    """
    for topic, check in {**CHECKS, **(SLOW_CHECKS if compile else {})}.items():
        try:
            yield from check()
        except Exception as e:  # no finding may hide the others
            yield Line(topic, "note", f"could not be looked at ({cause(e)}).")


def healthy(lines: Iterable[Line]) -> bool:
    """Whether nothing is a problem."""
    return all(line.level != "problem" for line in lines)


def to_json(lines: Iterable[Line]) -> str:
    """The findings as one JSON object."""
    found = list(lines)
    shown = {"format": FORMAT, "version": JSON_VERSION, "ok": healthy(found), "lines": [asdict(line) for line in found]}
    return json.dumps(shown, indent=1, ensure_ascii=False)
