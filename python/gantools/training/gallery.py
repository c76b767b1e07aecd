"""Images of the networks in training, as `gantools sample` and `translate` will make them, for grids and scores."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from gantools.layers.statistics import STATISTICS_BATCH, has_statistics, measure_statistics
from gantools.levels import to_uint8
from gantools.models.system import Batch, classes_of
from gantools.sampling.images import generate
from gantools.training.state import TrainingState

# Images of a translator that are computed at once: large ones take much memory.
TRANSLATED = 16


@dataclass
class Gallery:
    """Makes images with the averaged weights where there are some.

    Attributes:
        state: the training.
        rows: (position, n) -> rows of the training's feed, what translators start from.
    """

    state: TrainingState
    rows: Callable[[int, int], Batch]

    @property
    def translates(self) -> bool:
        """Whether the system starts from images."""
        return self.state.recipe.system.takes == "images"

    def settle(self) -> None:
        """Measure the statistics of batch normalisation of the averages anew, from fixed latents or inputs."""
        for average in self.state.averages.values():
            if has_statistics(average.network):
                measure_statistics(average.network, self._pass)

    def _pass(self, number: int) -> None:
        for _ in self._made(self.state.recipe.seed, STATISTICS_BATCH, number * STATISTICS_BATCH, keep=True):
            pass

    def networks(self) -> Mapping[str, nn.Module]:
        """The networks that images are made by."""
        return self.state.shown()

    def images(self, n: int, first: int = 0, seed: int | None = None) -> Iterator[Tensor]:
        """Images first..first+n-1 in pieces, uint8 (<= n, h, w, c) on the device.

        Args:
            n: how many.
            first: number of the first one.
            seed: of the latents; None: the recipe's.
        """
        yield from self._made(self.state.recipe.seed if seed is None else seed, n, first)

    def _made(self, seed: int, n: int, first: int, keep: bool = False) -> Iterator[Tensor]:
        """`keep`: leave each module in the mode it is in."""
        recipe = self.state.recipe
        system, networks = recipe.system, self.networks()
        if not self.translates:
            classes = classes_of(recipe.network)
            yield from generate(system, networks, seed, n, first=first, classes=classes, keep_mode=keep)
            return
        controls = {control.name: control.default for control in system.controls}
        modes = {name: network.training for name, network in networks.items()}
        if not keep:
            for network in networks.values():
                network.eval()
        try:
            for start in range(first, first + n, TRANSLATED):
                batch = self.rows(start, min(TRANSLATED, first + n - start))
                assert batch.inputs is not None  # the stage needs them
                with torch.no_grad():
                    guides = {name: batch.extras[name] for name in system.guides}
                    made = system.render(networks, batch.inputs, batch.labels, controls, **guides)
                yield to_uint8(made).permute(0, 2, 3, 1).contiguous()
        finally:
            for name, network in networks.items():
                network.train(modes[name])

    def sheet(self, n: int) -> tuple[NDArray[np.uint8], Tensor]:
        """(the images of a grid, samples alone): of a translator each sample stands between its input and its target.

        Args:
            n: samples.
        """
        samples = torch.cat(list(self.images(n))).cpu()
        if not self.translates:
            return samples.numpy(), samples
        batch = self.rows(0, n)
        assert batch.inputs is not None
        # Of a row of images the one in the middle.
        given = batch.inputs[:, batch.inputs.shape[1] // 2] if batch.inputs.dim() == 5 else batch.inputs
        inputs = torch.nn.functional.interpolate(given.float(), size=samples.shape[1:3], mode="nearest")
        columns = [to_uint8(x).permute(0, 2, 3, 1).cpu() for x in (inputs, batch.images)]
        # Grey beside colour is shown as colour.
        most = max(x.shape[3] for x in (*columns, samples))
        columns, shown_samples = [x.expand(-1, -1, -1, most) for x in columns], samples.expand(-1, -1, -1, most)
        paired = self.state.recipe.data.feed != "unpaired"
        shown = [columns[0], shown_samples, columns[1]] if paired else [columns[0], shown_samples]
        return torch.stack(shown, 1).flatten(0, 1).numpy(), samples
