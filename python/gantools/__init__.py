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

import os
from typing import TYPE_CHECKING

from gantools._native import __version__
from gantools.lazy import on_first_use

# torch's threads spin while they wait for each other. On cores shared with other programs that slows small networks
# down tenfold and more; sleeping instead costs about a quarter on idle cores. Read when torch is loaded, so it comes
# first.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

if TYPE_CHECKING:
    from gantools.data.exports import export
    from gantools.data.prepare import prep
    from gantools.data.prepared import PreparedSet
    from gantools.data.prepared import open_set as open
    from gantools.editing.directions import directions
    from gantools.editing.project import project
    from gantools.errors import GantoolsError
    from gantools.metrics.results.scores import Score, Scores
    from gantools.metrics.scorer import score
    from gantools.quickstart import quickstart
    from gantools.sampling.augmented import augment_set
    from gantools.sampling.export_onnx import export_onnx
    from gantools.sampling.generator import Generator
    from gantools.sampling.hub import export_hub
    from gantools.sampling.latents import blend, mix_styles
    from gantools.sampling.translations import translate
    from gantools.sampling.write import sample, walk
    from gantools.training.foreign import import_weights
    from gantools.training.run import train

_PLACES = {
    "Generator": "sampling.generator",
    "GantoolsError": "errors",
    "PreparedSet": "data.prepared",
    "Score": "metrics.results.scores",
    "Scores": "metrics.results.scores",
    "augment_set": "sampling.augmented",
    "blend": "sampling.latents",
    "directions": "editing.directions",
    "export": "data.exports",
    "export_hub": "sampling.hub",
    "export_onnx": "sampling.export_onnx",
    "import_weights": "training.foreign",
    "mix_styles": "sampling.latents",
    "open": "data.prepared:open_set",
    "prep": "data.prepare",
    "project": "editing.project",
    "quickstart": "quickstart",
    "sample": "sampling.write",
    "score": "metrics.scorer",
    "train": "training.run",
    "translate": "sampling.translations",
    "walk": "sampling.write",
}

__all__ = [
    "GantoolsError",
    "Generator",
    "PreparedSet",
    "Score",
    "Scores",
    "__version__",
    "augment_set",
    "blend",
    "directions",
    "export",
    "export_hub",
    "export_onnx",
    "import_weights",
    "mix_styles",
    "open",
    "prep",
    "project",
    "quickstart",
    "sample",
    "score",
    "train",
    "translate",
    "walk",
]

__getattr__ = on_first_use(__name__, _PLACES)


def __dir__() -> list[str]:
    return sorted(__all__)
