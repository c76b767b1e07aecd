"""Images from a trained generator.

Image i is a function of (weights, seed, i), its class and the controls alone: its latent comes from a counter-based
generator keyed by (seed, i), and it is always computed at the same place of a batch of the same size. So the first 10
of 1,000 images are the 10 images that asking for 10 gives, bit for bit, on the same machine with the same batch size.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, overload

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from gantools.device import out_of_memory
from gantools.errors import ConfigError, nearest, unknown_name
from gantools.levels import to_uint8
from gantools.models.system import System, classes_of
from gantools.recipes.recipe import recipe_from_dict
from gantools.runs.checkpoint import CHECKPOINTS
from gantools.runs.folders import find_checkpoint
from gantools.sampling.latents import latents, slerp
from gantools.sampling.loading import load_networks
from gantools.sampling.translate import Translator

BATCH = 64


@torch.no_grad()
def generate(
    system: System,
    networks: Mapping[str, nn.Module],
    seed: int,
    n: int,
    *,
    classes: int = 0,
    label: int | None = None,
    controls: Mapping[str, float] | None = None,
    batch: int = BATCH,
    first: int = 0,
    keep_mode: bool = False,
) -> Iterator[Tensor]:
    """Images first..first+n-1 of a system's networks, as uint8 (<= batch, h, w, c) tensors on their device.

    They are those of a run from image 0 bit for bit where `first` is a multiple of `batch`.

    Args:
        system: says how its networks make images.
        networks: those it shows, by name.
        seed: of the latents.
        n: how many images.
        classes: that the networks know; 0: none.
        label: the class of all images; None: image i has class i modulo `classes`.
        controls: by name; what is not named has its default.
        batch: images computed at once.
        first: number of the first image.
        keep_mode: leave every module in the mode it is in, in place of evaluation.
    """
    sampler = networks[system.sampler]
    device = next(sampler.parameters()).device
    chosen = {control.name: control.default for control in system.controls} | dict(controls or {})
    modes = {name: [m.training for m in network.modules()] for name, network in networks.items()}
    if not keep_mode:
        for network in networks.values():
            network.eval()
    try:
        for start in range(first, first + n, batch):
            # Always a full batch, so that a row's arithmetic does not depend on how many images were asked for.
            z = torch.from_numpy(latents(seed, start, batch, int(sampler.latent))).to(device)  # type: ignore[arg-type]
            y = None
            if classes:
                numbers = torch.arange(start, start + batch, device=device)
                y = numbers % classes if label is None else torch.full_like(numbers, label)
            with _repeatable():
                images = to_uint8(system.render(networks, z, y, chosen)).permute(0, 2, 3, 1).contiguous()
            yield images[: first + n - start]
    finally:
        for name, network in networks.items():
            for module, training in zip(network.modules(), modes[name], strict=True):
                module.training = training


@contextmanager
def _repeatable() -> Iterator[None]:
    """Full float32 and no algorithm chosen by timing on CUDA: the next start on this machine gives the same bits."""
    matmul = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        with torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False):
            yield
    finally:
        torch.set_float32_matmul_precision(matmul)


class Generator:
    """A trained generator. Make one with `Generator.load`.

    Attributes:
        networks: the torch modules that make images, by name, in evaluation mode.
        checkpoint: the folder they were loaded from: a checkpoint of a run, or an exported model.
        nimg: real images shown in the training until then.
        recipe: the recipe they were trained by.
        data: `path`, `name`, `fingerprint`, `count`, `shape` and `classes` of the prepared set they were trained on.
        image_shape: (h, w, c).
        classes: names of the classes that the networks were told, or None when they were told none.
    """

    def __init__(self, networks: Mapping[str, nn.Module], checkpoint: Path, config: dict[str, Any]) -> None:
        self.networks, self.checkpoint = networks, checkpoint
        self.recipe = recipe_from_dict(config["recipe"], str(checkpoint))
        self.system = self.recipe.system
        self.data: dict[str, Any] = config["data"]
        self.nimg = int(config.get("nimg", 0))
        self.image_shape = self.recipe.image_shape
        count = classes_of(self.recipe.network)
        names = self.data.get("classes") or [str(i) for i in range(count)]
        self.classes: list[str] | None = [str(name) for name in names[:count]] if count else None

    @classmethod
    def load(
        cls, path: str | Path | None = None, checkpoint: str | float = "last", *, device: str | None = None
    ) -> Generator:
        """Load a generator: the averaged weights where the run has them, else the weights as trained.

        One that makes images from images has `translate`, the others `sample` and what follows from it. Only the files
        that sampling needs are read, so a checkpoint whose `state.pt` is damaged can be sampled from.

        Args:
            path: a run, a checkpoint, a folder of runs (the newest), or an exported model; None: `./runs`.
            checkpoint: of the run: "last", "best", or the thousands of images shown.
            device: "cpu", "cuda", "cuda:1"; None: CUDA when there is one.

        Raises:
            CheckpointError: there is none, or it is damaged.
        """
        place = find_checkpoint(path, checkpoint)
        networks, config = load_networks(place, device)
        return cls(networks, place, config)

    @property
    def run(self) -> Path:
        """The run that it is of, or the exported model itself."""
        return self.checkpoint.parent.parent if self.checkpoint.parent.name == CHECKPOINTS else self.checkpoint

    def check_samples(self) -> None:
        """Refuse where images are made from images.

        Raises:
            ConfigError: they are.
        """
        if self.system.takes == "images":
            raise ConfigError(
                f"{self.run}: makes images from images, not from latents.",
                f"Give it some: gantools translate {self.run} IMAGES",
            )

    @property
    def translator(self) -> Translator:
        """What makes images from images of any size.

        Raises:
            ConfigError: its system starts from latents.
        """
        if self.system.takes != "images":
            raise ConfigError(
                f"{self.run}: {self.recipe.model} makes images from nothing but a seed.", "Use gantools sample."
            )
        return Translator(self.system, self.networks, self.recipe.network)

    @overload
    def translate(
        self, images: NDArray[np.uint8], *, tile: int | None = None, controls: Mapping[str, float] | None = None
    ) -> NDArray[np.uint8]: ...

    @overload
    def translate(
        self,
        images: Sequence[NDArray[np.uint8]],
        *,
        tile: int | None = None,
        controls: Mapping[str, float] | None = None,
    ) -> list[NDArray[np.uint8]]: ...

    def translate(
        self,
        images: NDArray[np.uint8] | Sequence[NDArray[np.uint8]],
        *,
        tile: int | None = None,
        controls: Mapping[str, float] | None = None,
    ) -> NDArray[np.uint8] | list[NDArray[np.uint8]]:
        """Images made from images; the result of one does not depend on the others.

        Args:
            images: uint8 (n, h, w, c), or any number of uint8 (h, w, c) of any sizes.
            tile: as in `Translator.translate`.
            controls: what the system lets a user turn, by name: {"interpolation": 0.8}.

        Returns:
            uint8 (n, scale h, scale w, c) of an array, else a list of uint8 (scale h, scale w, c).

        Raises:
            ConfigError: the system starts from latents, or no such control, or a tile that is too small.
            DataError: an image is no uint8 (h, w, c) with the channels that the network takes.
        """
        made = self.translator.translate(images, tile=tile, controls=self.controls(controls))
        return np.stack(made) if isinstance(images, np.ndarray) and made else made

    @property
    def network(self) -> nn.Module:
        """The network that images come from."""
        return self.networks[self.system.sampler]

    def batches(
        self,
        n: int,
        seed: int = 0,
        *,
        batch: int = BATCH,
        class_: int | str | None = None,
        controls: Mapping[str, float] | None = None,
    ) -> Iterator[NDArray[np.uint8]]:
        """As `sample`, in pieces of at most `batch` images."""
        self.check_samples()
        if n < 1:
            raise ConfigError(f"n: must be at least 1, not {n}.")
        _checked_batch(batch)
        label, chosen = self.class_number(class_), self.controls(controls)
        count = classes_of(self.recipe.network)
        with _memory(batch):
            for images in generate(
                self.system,
                self.networks,
                _checked_seed(seed),
                n,
                classes=count,
                label=label,
                controls=chosen,
                batch=batch,
            ):
                yield images.cpu().numpy()

    def sample(
        self,
        n: int,
        seed: int = 0,
        *,
        batch: int = BATCH,
        class_: int | str | None = None,
        controls: Mapping[str, float] | None = None,
    ) -> NDArray[np.uint8]:
        """Generate images.

        Args:
            n: how many, at least 1.
            seed: in [0, 2**63). Image i depends on the weights, `seed`, its class, `controls` and i alone, not on `n`.
            batch: images computed at once; another batch size may change a pixel by 1.
            class_: number or name of the class of all images; None: image i has class i modulo their number.
            controls: what the system lets a user turn, by name: {"truncation": 0.7}.

        Returns:
            uint8 (n, h, w, c).

        Raises:
            ConfigError: no such class or control, or a value out of its range.
        """
        return np.concatenate(list(self.batches(n, seed, batch=batch, class_=class_, controls=controls)))

    def numbered(
        self,
        first: int,
        n: int,
        seed: int = 0,
        *,
        batch: int = BATCH,
        class_: int | str | None = None,
        controls: Mapping[str, float] | None = None,
    ) -> NDArray[np.uint8]:
        """Images first..first+n-1 of those that `seed` gives, uint8 (n, h, w, c): those of `sample`, to the bit."""
        self.check_samples()
        if first < 0:
            raise ConfigError(f"index: must be at least 0, not {first}.")
        begin = first // _checked_batch(batch) * batch
        made = generate(
            self.system,
            self.networks,
            _checked_seed(seed),
            first + n - begin,
            first=begin,
            batch=batch,
            classes=classes_of(self.recipe.network),
            label=self.class_number(class_),
            controls=self.controls(controls),
        )
        with _memory(batch):
            return np.concatenate([images.cpu().numpy() for images in made])[first - begin :]

    def of_seeds(
        self,
        seeds: Sequence[int],
        *,
        batch: int = BATCH,
        class_: int | str | None = None,
        controls: Mapping[str, float] | None = None,
    ) -> NDArray[np.uint8]:
        """Image 0 of each seed, uint8 (len(seeds), h, w, c)."""
        options: dict[str, Any] = {"batch": batch, "class_": class_, "controls": controls}
        return np.concatenate([self.numbered(0, 1, seed, **options) for seed in seeds])

    @torch.no_grad()
    def from_latents(
        self,
        z: NDArray[np.float32],
        *,
        batch: int = BATCH,
        class_: int | str | None = None,
        controls: Mapping[str, float] | None = None,
    ) -> NDArray[np.uint8]:
        """Images of given latents.

        Args:
            z: float32 (n, latent), n >= 1.
            batch: images computed at once.
            class_: number or name of the class of all images; None: image i has class i modulo their number.
            controls: as in `sample`.

        Returns:
            uint8 (n, h, w, c).

        Raises:
            ConfigError: `z` has another shape, or no such class or control.
        """
        self.check_samples()
        wanted = int(self.network.latent)  # type: ignore[arg-type]
        if z.ndim != 2 or z.shape[1] != wanted or len(z) < 1:
            raise ConfigError(f"latents: expected (n, {wanted}), found {tuple(z.shape)}.")
        label, chosen, made = self.class_number(class_), self.controls(controls), []
        classes, device = classes_of(self.recipe.network), next(self.network.parameters()).device
        for start in range(0, len(z), _checked_batch(batch)):
            numbers = np.arange(start, start + batch)
            # A full batch, as in `generate`: what is missing at the end is the first rows again.
            rows = torch.from_numpy(z[numbers % len(z)].astype(np.float32, copy=False)).to(device)
            y = None
            if classes:
                y = torch.from_numpy(numbers % classes if label is None else np.full(batch, label)).to(device)
            with _memory(batch), _repeatable():
                made.append(
                    to_uint8(self.system.render(self.networks, rows, y, chosen)).permute(0, 2, 3, 1).cpu().numpy()
                )
        return np.ascontiguousarray(np.concatenate(made)[: len(z)])

    def interpolate(
        self,
        start: int,
        end: int,
        steps: int,
        seed: int = 0,
        *,
        batch: int = BATCH,
        class_: int | str | None = None,
        controls: Mapping[str, float] | None = None,
    ) -> NDArray[np.uint8]:
        """Images from image `start` to image `end` of a seed, on a great circle between their latents.

        Args:
            start, end: numbers of images that `seed` gives.
            steps: how many, the two included; at least 2.
            seed: in [0, 2**63).
            batch: images computed at once.
            class_: class of all of them; None: that of image `start`.
            controls: as in `sample`.

        Returns:
            uint8 (steps, h, w, c); the first and the last are those of `sample`, to the bit.
        """
        self.check_samples()
        if steps < 2:
            raise ConfigError(f"steps: must be at least 2, not {steps}.")
        label = self._class_of(start, class_)
        options: dict[str, Any] = {"batch": batch, "class_": label, "controls": controls}
        ends = [self.numbered(i, 1, seed, **options) for i in (start, end)]
        dim = int(self.network.latent)  # type: ignore[arg-type]
        first, last = (latents(seed, i, 1, dim)[0] for i in (start, end))
        between = np.linspace(0, 1, steps)[1:-1]
        middle = [self.from_latents(slerp(first, last, between), **options)] if steps > 2 else []
        return np.concatenate([ends[0], *middle, ends[1]])

    def walk(
        self,
        n: int,
        seed: int = 0,
        *,
        points: int = 8,
        batch: int = BATCH,
        class_: int | str | None = None,
        controls: Mapping[str, float] | None = None,
    ) -> NDArray[np.uint8]:
        """A closed walk by way of images 0..points-1 of a seed: after the last frame comes the first again.

        Args:
            n: frames, at least 1; as many between any two of the points.
            seed: in [0, 2**63).
            points: images that it goes by, at least 2.
            batch: images computed at once.
            class_: class of all frames; None: that of image 0.
            controls: as in `sample`.

        Returns:
            uint8 (n, h, w, c).
        """
        self.check_samples()
        if n < 1 or points < 2:
            raise ConfigError(f"walk: at least 1 frame and 2 points, not {n} and {points}.")
        z = latents(_checked_seed(seed), 0, points, int(self.network.latent))  # type: ignore[arg-type]
        at = np.arange(n) * points / n
        leg = at.astype(np.int64)
        frames = [slerp(z[i], z[(i + 1) % points], at[leg == i] - i) for i in range(points)]
        label = self._class_of(0, class_)
        return self.from_latents(np.concatenate(frames), batch=batch, class_=label, controls=controls)

    def _class_of(self, index: int, class_: int | str | None) -> int | None:
        """The class asked for, or that of image `index`; None where the networks know none."""
        classes = classes_of(self.recipe.network)
        return index % classes if class_ is None and classes else self.class_number(class_)

    def class_number(self, class_: int | str | None) -> int | None:
        """The number of a class given by number or name; None for None.

        Raises:
            ConfigError: there is none, or the networks were told no classes.
        """
        if class_ is None:
            return None
        if self.classes is None:
            raise ConfigError(f"class: {self.run} was trained without classes.", "Leave it out.")
        text = str(class_)
        if text in self.classes:
            return self.classes.index(text)
        lower = [name.lower() for name in self.classes]
        if text.lower() in lower:
            return lower.index(text.lower())
        if text.isdigit() and int(text) < len(self.classes):
            return int(text)
        raise unknown_name("class", text, self.classes)

    def controls(self, asked: Mapping[str, float] | None) -> dict[str, float]:
        """The values of all controls: those asked for, checked, and the defaults of the others.

        Raises:
            ConfigError: the system has no such control, or the value is out of its range.
        """
        known = {control.name: control for control in self.system.controls}
        for name, value in (asked or {}).items():
            if name not in known:
                has = f"has {', '.join(known)}" if known else "has nothing to turn"
                meant = nearest(name, known)
                raise ConfigError(
                    f"control {name!r}: the system {self.recipe.model} {has}.",
                    f"Did you mean {meant!r}?" if meant else None,
                )
            control = known[name]
            if not (math.isfinite(value) and control.low <= value <= control.high):
                raise ConfigError(f"control {name}: must be in [{control.low:g}, {control.high:g}], not {value:g}.")
        return {name: float((asked or {}).get(name, control.default)) for name, control in known.items()}


def _checked_batch(batch: int) -> int:
    if batch < 1:
        raise ConfigError(f"batch: must be at least 1, not {batch}.")
    return batch


def _checked_seed(seed: int) -> int:
    if not 0 <= seed < 1 << 63:
        raise ConfigError(f"seed: must be in [0, 2**63), not {seed}.")
    return seed


def _memory(batch: int) -> AbstractContextManager[None]:
    """Says which batch to try when memory runs out."""
    return out_of_memory(f"out of memory at {batch} images at once.", f"Try fewer: --batch {max(1, batch // 2)}")
