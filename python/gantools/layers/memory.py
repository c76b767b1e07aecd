"""What a system remembers from step to step: modules whose buffers are in its checkpoint."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor, nn


class Rows(Protocol):
    """Some rows of a step's batch; a batch is one."""

    def cut(self, values: Tensor) -> Tensor:
        """These rows of `values`, which has one for each row of the whole batch."""
        ...


class Pool(nn.Module):
    """Generated images of earlier steps, so that a judge does not forget what it has seen.

    Until it is full, each image is stored and shown as it is. Then, with probability 1/2, a random one of the stored
    images is shown and the new one takes its place, else the new one is shown and not stored. Source: Shrivastava et
    al. 2017 (arXiv:1612.07828), section 2.3; the rule is that of CycleGAN's code (Zhu et al. 2017, arXiv:1703.10593).

    Args:
        size: images that it holds; 0: none, every image is shown as it is.
        shape: (c, h, w) of an image.
    """

    images: Tensor
    count: Tensor
    shown: Tensor

    def __init__(self, size: int, shape: tuple[int, int, int]) -> None:
        super().__init__()
        self.register_buffer("images", torch.zeros(size, *shape))
        self.register_buffer("count", torch.zeros((), dtype=torch.int64))
        # Not saved: it is written in every step before it is read.
        self.register_buffer("shown", torch.zeros(0, *shape), persistent=False)

    @torch.no_grad()
    def put(self, images: Tensor) -> None:
        """Hand over the images of a step, float (n, c, h, w), and choose which ones `take` gives.

        It draws from torch's default generator and belongs into a phase's `after`, which is told of the whole batch.
        Nothing waits for the device: a mask chooses the slot, because an index that is a tensor would be read.
        """
        size = len(self.images)
        images = images.to(self.images.dtype)
        chosen = images.clone()
        if size > 0:
            device = images.device
            slots = torch.arange(size, device=device)
            draws = torch.randint(size, (len(images),), device=device).unbind()
            coins = (torch.rand(len(images), device=device) < 0.5).unbind()
            rows = []
            for image, draw, coin in zip(images.unbind(), draws, coins, strict=True):
                filling = self.count < size
                swap = ~filling & coin
                hit = (slots == torch.where(filling, self.count, draw))[:, None, None, None]
                old = torch.where(hit, self.images, torch.zeros((), device=device)).sum(0)
                rows.append(torch.where(swap, old, image))
                self.images.copy_(torch.where(hit & (filling | swap), image, self.images))
                self.count += filling.to(torch.int64)
            chosen = torch.stack(rows)
        if self.shown.shape == chosen.shape:
            self.shown.copy_(chosen)  # in place: a captured graph reads this memory
        else:
            self.shown = chosen

    def take(self, batch: Rows) -> Tensor:
        """The images that a judge is shown in place of those last put, float (n, c, h, w): the rows of `batch`."""
        return batch.cut(self.shown)


class History(nn.Module):
    """The mean of a network's weights over all steps: (1/t) Σ_i θ[i], of those it began with and those after each step.

    Args:
        network: whose.
    """

    count: Tensor

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.register_buffer("count", torch.ones(()))
        for i, parameter in enumerate(network.parameters()):
            self.register_buffer(f"mean{i}", parameter.detach().clone())

    def means(self) -> list[Tensor]:
        """The means, in the order of the network's parameters."""
        return list(self.buffers())[1:]

    def remember(self, network: nn.Module) -> None:
        """Count the present weights of `network`; to be called in an `after`."""
        self.count += 1
        for mean, parameter in zip(self.means(), network.parameters(), strict=True):
            mean.lerp_(parameter, (1 / self.count).to(mean.dtype))
