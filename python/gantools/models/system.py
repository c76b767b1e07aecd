"""The contract of a system: all that the training loop, the sampler and the page know of one.

A system is networks and stages; a stage is a stretch of the training, counted in real images shown, with phases; a
phase is one update: a loss and the networks it trains (the idea of phases is StyleGAN2's: Karras et al. 2020,
arXiv:1912.04958, section 3.1). Growth, lazy regularisation, several discriminators, a memory of old images or three
trainings in a row are all said in these words; the loop has no others.

Four rules make every system resumable to the bit, compilable and the same on any number of processes:

- a loss is a function of (networks, batch, scalars) that writes nothing; batch normalisation's buffers excepted;
- what a system remembers is a buffer of a module, and `Phase.after` alone writes it, told of the whole batch;
- every random number of a loss is drawn from its batch, also those that a module needs (it is handed them);
- nothing in a loss or in `after` waits for the device: no `int(tensor)`, no `if tensor`, no index of the host's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn

Networks = Mapping[str, nn.Module]
"""All that a system is made of and remembers, by name: what is no weight is a buffer of a module."""

Scalars = Mapping[str, Tensor]
"""Scheduled numbers by name, 0-dim on the device, overwritten in place at every step."""


@dataclass(frozen=True)
class Batch:
    """Some rows of a step's batch: all of them, or those of one process and one micro-batch.

    Random numbers are drawn for the whole batch and then cut, from torch's default generator, which is seeded anew for
    each phase: so a row's numbers do not depend on who computes it. Never `randn_like`, which draws in the order of
    memory, and compiling may change that.

    Attributes:
        images: what counts as real, float (n, c, h, w) in [-1, 1].
        labels: classes or identities, int64 (n,).
        inputs: what an image-to-image generator starts from: aligned with `images` (pairs), other images (unpaired),
            smaller ones (super-resolution), or (n, t, c, h, w) (video).
        extras: further tensors with a row an image, by name: masks, landmarks, better and worse.
        rows: which rows of the whole batch these are, int64 (n,); None: all.
        whole: how many rows the whole batch has; 0: as many as here.
    """

    images: Tensor
    labels: Tensor | None = None
    inputs: Tensor | None = None
    extras: Mapping[str, Tensor] = field(default_factory=dict)
    rows: Tensor | None = None
    whole: int = 0

    def __len__(self) -> int:
        return len(self.images)

    def cut(self, values: Tensor) -> Tensor:
        """These rows of `values`, which has one for each row of the whole batch."""
        return values if self.rows is None else values.index_select(0, self.rows)

    def normal(self, *shape: int) -> Tensor:
        """N(0, 1), float32 (n, *shape)."""
        return self.cut(torch.randn(self.whole or len(self), *shape, device=self.images.device))

    def uniform(self, *shape: int) -> Tensor:
        """Uniform in [0, 1), float32 (n, *shape)."""
        return self.cut(torch.rand(self.whole or len(self), *shape, device=self.images.device))

    def integers(self, high: int, *shape: int) -> Tensor:
        """Whole numbers in [0, high), int64 (n, *shape)."""
        return self.cut(torch.randint(high, (self.whole or len(self), *shape), device=self.images.device))

    def part(self, start: int, stop: int, every: int = 1) -> Batch:
        """Every `every`-th of the rows start..stop-1 of these."""
        at = torch.arange(len(self), device=self.images.device) if self.rows is None else self.rows
        pick = slice(start, stop, every)
        return replace(
            self,
            images=self.images[pick],
            labels=None if self.labels is None else self.labels[pick],
            inputs=None if self.inputs is None else self.inputs[pick],
            extras={name: values[pick] for name, values in self.extras.items()},
            rows=at[pick],
            whole=self.whole or len(self),
        )


class Out(NamedTuple):
    """What a loss gives.

    Attributes:
        value: what is made smaller, a scalar: a mean over rows.
        means: means over rows by name, detached; averaged over micro-batches and processes, and logged where scalar.
        rows: tensors with an entry a row by name, detached; joined over micro-batches and processes, for `after`.
    """

    value: Tensor
    means: Mapping[str, Tensor]
    rows: Mapping[str, Tensor] = {}


class Seen(NamedTuple):
    """What `Phase.after` is told: the means and rows of the whole batch, however it was cut, and its size `n`."""

    n: int
    means: Mapping[str, Tensor]
    rows: Mapping[str, Tensor]


@dataclass(frozen=True)
class Phase:
    """One update within a step.

    Attributes:
        name: for messages and statistics; no two phases of a stage share one.
        updates: the networks whose weights it changes. It computes no gradient of others.
        loss: a function of (networks, batch, scalars).
        every: runs at one step of this many, counted within the stage: the last of them, so that a critic of
            `every=5` steps before its generator does; a lazy phase at the first.
        when: whether it runs at a step of its stage, counted from 0, where its steps are not evenly spaced; `every` is
            then about how often.
        repeat: times in a row that it runs within a step, each with random numbers of its own.
        lazy: a regulariser that is computed seldom: its loss is multiplied by `every`, and Adam's rate and betas are
            corrected for the further steps (StyleGAN2, appendix B).
        after: called once the weights have changed, without gradients: the only place that writes what a system
            remembers.
        uncoupled: networks of whose rows each must be judged alone, because a gradient is taken of each: refused with
            batch normalisation in them.
    """

    name: str
    updates: tuple[str, ...]
    loss: Callable[[Networks, Batch, Scalars], Out]
    every: int = 1
    repeat: int = 1
    lazy: bool = False
    after: Callable[[Networks, Seen], None] | None = None
    uncoupled: tuple[str, ...] = ()
    when: Callable[[int], bool] | None = None

    def due(self, step: int) -> bool:
        """Whether it runs at this step of its stage, counted from 0."""
        if self.when is not None:
            return self.when(step)
        return step % self.every == (0 if self.lazy else self.every - 1)


Role = Literal["images", "labels", "inputs", "better", "worse", "marks"]
#: Those of `Batch.extras` that a set has as annotations, a row an image.
ANNOTATED: tuple[Role, ...] = ("marks",)


@dataclass(frozen=True)
class Stage:
    """A stretch of the training.

    Attributes:
        name: for messages and statistics.
        phases: the updates of a step, in order.
        nimg: its length in real images shown; None: to the end. Borders stay as planned whatever the batch: it ends
            with the first step at or past its end, and the next one's end is counted from where it should have been.
        batch: images a step, of all processes together; None: the recipe's.
        feed: which of the training's feeds its batches come from.
        needs: the roles of `Batch` that its phases read; `better`, `worse` and `marks` are of its `extras`.
        fresh: networks whose optimizers begin anew.
        copies: networks that begin with the weights of another: {its name: the other's name}.
        scalars: by name, a number as a function of the images shown since the stage began.
        gate: why it must not begin, as a sentence, or None: a function of (networks, a batch of its feed), asked once
            before it.
    """

    name: str
    phases: tuple[Phase, ...]
    nimg: int | None = None
    batch: int | None = None
    feed: str = "train"
    needs: tuple[Role, ...] = ("images",)
    fresh: tuple[str, ...] = ()
    copies: Mapping[str, str] = field(default_factory=dict)
    scalars: Mapping[str, Callable[[int], float]] = field(default_factory=dict)
    gate: Callable[[Networks, Batch], str | None] | None = None


@dataclass(frozen=True)
class Control:
    """A number that a user may turn when sampling, such as truncation.

    Attributes:
        name: the keyword by which `System.render` gets it.
        low, high: its range, both included.
        default: its value when nobody turns it.
        words: what it does, in a sentence, for help and page.
    """

    name: str
    low: float
    high: float
    default: float
    words: str


@dataclass(frozen=True)
class Styles:
    """The inner latents of a system whose mapping network turns latents into styles; `System.render` is both in a row.

    Attributes:
        of: (networks, latents float (n, latent), labels or None, controls) -> styles float (n, count, style), one for
            each layer that takes one.
        render: (networks, styles, controls) -> images float (n, c, h, w) in [-1, 1].
        controls: names of the controls that `of` alone reads: they say nothing of given styles.
    """

    of: Callable[[Networks, Tensor, Tensor | None, Mapping[str, float]], Tensor]
    render: Callable[[Networks, Tensor, Mapping[str, float]], Tensor]
    controls: tuple[str, ...] = ()


def render_generator(networks: Networks, start: Tensor, labels: Tensor | None, controls: Mapping[str, float]) -> Tensor:
    """Images of the network `generator` from latents (or images) `start`, and from classes where there are some."""
    generator = networks["generator"]
    images: Tensor = generator(start) if labels is None else generator(start, labels)
    return images


def no_frozen(config: Any, game: Any, pretrained: bool) -> dict[str, nn.Module]:
    """No network that was trained elsewhere."""
    return {}


@dataclass(frozen=True)
class System:
    """Networks and how they are trained: `SYSTEM` in a file of this folder, or in a module of somebody else's.

    Attributes:
        config: frozen dataclass of the networks' shape, a recipe's section `network`. Has `image_shape`, the (h, w, c)
            of the images it makes. Where it has fields `size`, `channels` or `classes`, they follow the data unless the
            user sets them, and `input_channels` the inputs of a set of pairs; `classes` above 0 means that networks are
            called with labels. A system that starts from images has `input_shape` as well, and may have `multiple` and
            `least` (what its sides must be multiples of, and at least), `pads` (whether others are continued unasked),
            `reach` (pixels beyond a block of `multiple` that a result depends on; None: all) and `whole` (whether an
            image cannot be made in parts at all).
        game: frozen dataclass of the weights and switches of its objective, a recipe's section `game`. Where it has a
            method `prepare(networks)`, that refuses networks that lack what its switches need, and gives further ones
            whose buffers these need, by name.
        build: (config) -> networks by name, initialised from torch's random state.
        stages: (config, game) -> the stages, in order; the last one goes to the end.
        takes: what its sampler starts from: latents float (n, networks[sampler].latent), or images.
        sampler: the network that images come from.
        shows: the networks that `render` reads; what else there is, is not loaded for sampling.
        render: (networks, latents or images, labels or None, controls by name) -> images float (n, c, h, w) in [-1, 1].
        guides: extras of a batch that `render` is handed besides, by their names: marks float (n, 5, 2).
        averaged: networks of whose weights a moving average is kept, where the recipe asks for one.
        frozen: (config, game, pretrained) -> networks by name that were trained elsewhere, neither trained nor saved;
            `pretrained=False` asks for the same shapes without reading a file, for a dry run. One of a name that
            `build` has, too, takes its place and is saved: buffers that a file fills once.
        controls: what a user may turn when sampling.
        controls_of: (config) -> controls in place of `controls`, where their ranges depend on the networks' shape.
        styles: its way by inner latents, where it has a mapping network.
        reference: where it comes from.
    """

    config: type[Any]
    game: type[Any]
    build: Callable[[Any], dict[str, nn.Module]]
    stages: Callable[[Any, Any], tuple[Stage, ...]]
    takes: Literal["latents", "images"] = "latents"
    sampler: str = "generator"
    shows: tuple[str, ...] = ("generator",)
    render: Callable[..., Tensor] = render_generator
    guides: tuple[Role, ...] = ()
    averaged: tuple[str, ...] = ("generator",)
    frozen: Callable[[Any, Any, bool], dict[str, nn.Module]] = no_frozen
    controls: tuple[Control, ...] = ()
    controls_of: Callable[[Any], tuple[Control, ...]] | None = None
    styles: Styles | None = None
    reference: str = ""


def build_networks(system: System, config: Any, game: Any) -> dict[str, nn.Module]:
    """The networks of a system, and what its game's switches remember.

    Raises:
        ConfigError: a switch asks for what the networks do not have.
    """
    networks = system.build(config)
    prepare = getattr(game, "prepare", None)
    return networks if prepare is None else {**networks, **prepare(networks)}


def classes_of(config: Any) -> int:
    """How many classes the networks of `config` tell apart; 0: they know none."""
    return int(getattr(config, "classes", 0))
