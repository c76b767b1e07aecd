"""gantools: prepare image sets, train GANs, sample from them and score the result.

Each command of the command line is one function here with the same name and defaults::

    import gantools

    gantools.prep("celeba", size=64, source="img_align_celeba.zip")
    run = gantools.train("dcgan", kimg=20)
    images = gantools.Generator.load(run).sample(16, seed=0)  # uint8 (16, 64, 64, 3)
    gantools.score("samples/", metrics=["fid"])

Attributes are imported on first use, so that `gantools --help` does not wait for torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from gantools._native import __version__

if TYPE_CHECKING:
    from gantools.data.exports import export
    from gantools.data.prepare import prep
    from gantools.data.prepared import PreparedSet
    from gantools.data.prepared import open_set as open
    from gantools.errors import GantoolsError
    from gantools.metrics.results.scores import Score, Scores
    from gantools.metrics.scorer import score
    from gantools.quickstart import quickstart
    from gantools.sampling.generator import Generator
    from gantools.sampling.write import sample
    from gantools.training.loop import train

_LAZY = {
    "Generator": ("gantools.sampling.generator", "Generator"),
    "GantoolsError": ("gantools.errors", "GantoolsError"),
    "PreparedSet": ("gantools.data.prepared", "PreparedSet"),
    "Score": ("gantools.metrics.results.scores", "Score"),
    "Scores": ("gantools.metrics.results.scores", "Scores"),
    "export": ("gantools.data.exports", "export"),
    "open": ("gantools.data.prepared", "open_set"),
    "prep": ("gantools.data.prepare", "prep"),
    "quickstart": ("gantools.quickstart", "quickstart"),
    "sample": ("gantools.sampling.write", "sample"),
    "score": ("gantools.metrics.scorer", "score"),
    "train": ("gantools.training.loop", "train"),
}

__all__ = [
    "GantoolsError",
    "Generator",
    "PreparedSet",
    "Score",
    "Scores",
    "__version__",
    "export",
    "open",
    "prep",
    "quickstart",
    "sample",
    "score",
    "train",
]


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'gantools' has no attribute {name!r}")
    module, attribute = _LAZY[name]
    value = getattr(importlib.import_module(module), attribute)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
