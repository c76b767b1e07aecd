"""A trained generator: loaded once, asked for images by number, by seed, by latents, and along ways between them."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import cached_property
from pathlib import Path
from typing import Any, Unpack, overload

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from gantools.device import full_precision, out_of_memory
from gantools.errors import ConfigError, nearest, unknown_name
from gantools.levels import to_uint8
from gantools.models.system import classes_of
from gantools.notebook import COUNT, image, page, picture, quiet, table
from gantools.recipes.recipe import recipe_from_dict
from gantools.runs.folders import find_checkpoint
from gantools.runs.layout import CHECKPOINTS
from gantools.sampling.directions import FILE, Directions, read_directions
from gantools.sampling.images import BATCH, generate, labels_of, paint
from gantools.sampling.latents import latents, slerp, way
from gantools.sampling.loading import load_networks
from gantools.sampling.options import Chosen, Options, TranslateOptions
from gantools.sampling.translate import Translator

log = logging.getLogger(__name__)


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

    @cached_property
    def _samples(self) -> bytes | None:
        # At once and not in full batches: for the eye on a processor.
        return None if self.system.takes == "images" else picture(self.sample(COUNT, seed=0, batch=COUNT))

    @quiet
    def _repr_png_(self) -> bytes | None:
        return self._samples

    @quiet
    def _repr_html_(self) -> str:
        h, w, c = self.image_shape
        rows = [("checkpoint", f"{self.checkpoint}, {self.nimg / 1000:g} kimg"), ("system", self.recipe.model)]
        rows += [("images", f"{w} x {h}, {c} channels"), ("trained on", str(self.data.get("name"))), *self._told()]
        return page(f"Generator of {self.recipe.name}", table(rows), image(self._repr_png_(), "Samples of seed 0"))

    def _told(self) -> list[tuple[str, str]]:
        return [("classes", f"{len(self.classes):,}: {', '.join(self.classes[:10])}")] if self.classes else []

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
    def translate(self, images: NDArray[np.uint8], **options: Unpack[TranslateOptions]) -> NDArray[np.uint8]: ...

    @overload
    def translate(
        self, images: Sequence[NDArray[np.uint8]], **options: Unpack[TranslateOptions]
    ) -> list[NDArray[np.uint8]]: ...

    def translate(
        self, images: NDArray[np.uint8] | Sequence[NDArray[np.uint8]], **options: Unpack[TranslateOptions]
    ) -> NDArray[np.uint8] | list[NDArray[np.uint8]]:
        """Images made from images; the result of one does not depend on the others.

        Args:
            images: uint8 (n, h, w, c), or any number of uint8 (h, w, c) of any sizes.
            options: tile, pad, controls; see `TranslateOptions`.

        Returns:
            uint8 (n, scale h, scale w, c) of an array, else a list of uint8 (scale h, scale w, c).

        Raises:
            ConfigError: the system starts from latents, or no such control, or a tile that is too small.
            DataError: an image is no uint8 (h, w, c) with the channels and sides that the network takes.
        """
        chosen = {**options, "controls": self.controls(options.get("controls"))}
        made = self.translator.translate(images, **chosen)  # type: ignore[arg-type]
        return np.stack(made) if isinstance(images, np.ndarray) and made else made

    @property
    def network(self) -> nn.Module:
        """The network that images come from."""
        return self.networks[self.system.sampler]

    @property
    def latent(self) -> int:
        """Length of a latent."""
        return int(self.network.latent)  # type: ignore[arg-type]

    @property
    def device(self) -> torch.device:
        """Where images are computed."""
        return next(self.network.parameters()).device

    @cached_property
    def styles_shape(self) -> tuple[int, int] | None:
        """(count, style): how many styles an image has and their length; None where there is no mapping network."""
        if self.system.styles is None:
            return None
        z = np.zeros((1, self.latent), np.float32)
        count, style = self.styles_of(z).shape[1:]
        return count, style

    @torch.no_grad()
    def styles_of(
        self,
        z: NDArray[np.float32],
        labels: NDArray[np.int64] | None = None,
        controls: Mapping[str, float] | None = None,
    ) -> NDArray[np.float32]:
        """Styles float32 (n, count, style) of latents (n, latent); of classes `labels`, or each class in turn.

        Raises:
            ConfigError: the system has no mapping network.
        """
        if self.system.styles is None:
            raise ConfigError(f"styles: {self.recipe.model} has no mapping network, only latents.")
        count, parts = classes_of(self.recipe.network), []
        for start in range(0, len(z), 256):
            rows = torch.from_numpy(z[start : start + 256]).to(self.device)
            y = np.arange(start, start + len(rows)) % max(count, 1) if labels is None else labels[start : start + 256]
            y_here = torch.from_numpy(y).to(self.device) if count else None
            with full_precision():
                parts.append(self.system.styles.of(self.networks, rows, y_here, self.controls(controls)).cpu().numpy())
        return np.concatenate(parts)

    @cached_property
    def found_directions(self) -> Directions:
        """The directions that `gantools directions` found for this run.

        Raises:
            ConfigError: none were looked for yet. DataError: their file is damaged.
        """
        run = self.run
        if not (run / FILE).is_file():
            raise ConfigError(f"{run}: has no directions yet.", f"Find some: gantools directions {run}")
        found = read_directions(run / FILE)
        if found.checkpoint != self.checkpoint.name:
            log.warning(
                "%s: found for %s, used on %s, which they may fit less well.",
                run / FILE,
                found.checkpoint,
                self.checkpoint.name,
            )
        return found

    def chosen(
        self,
        *,
        batch: int = BATCH,
        class_: int | str | None = None,
        labels: Sequence[int | str] | None = None,
        controls: Mapping[str, float] | None = None,
        truncation: float | None = None,
        directions: Mapping[str, float] | None = None,
    ) -> Chosen:
        """`Options`, checked.

        Raises:
            ConfigError: no such class, control or direction, or a value out of its range.
        """
        if batch < 1:
            raise ConfigError(f"batch: must be at least 1, not {batch}.")
        if labels is not None and (class_ is not None or len(labels) == 0):
            raise ConfigError("labels: the class of each image, at least one, and not together with class_.")
        if truncation is not None:
            controls = {**(controls or {}), "truncation": truncation}
        move = self.found_directions.move(directions) if directions else None
        if move is not None:
            shape = self.styles_shape
            wanted = self.latent if move.space == "z" else None if shape is None else shape[1]
            if len(move.by) != wanted:
                raise ConfigError(
                    f"directions: those of {self.run} are of other networks.",
                    f"Find them again: gantools directions {self.run} --overwrite",
                )
        numbers = None if labels is None else tuple(n for n in map(self.class_number, labels) if n is not None)
        return Chosen(batch, self.class_number(class_) if numbers is None else numbers, self.controls(controls), move)

    def batches(self, n: int, seed: int = 0, **options: Unpack[Options]) -> Iterator[NDArray[np.uint8]]:
        """As `sample`, in pieces of at most `batch` images."""
        self.check_samples()
        if n < 1:
            raise ConfigError(f"n: must be at least 1, not {n}.")
        yield from self._numbered(0, n, seed, self.chosen(**options))

    def sample(self, n: int, seed: int = 0, **options: Unpack[Options]) -> NDArray[np.uint8]:
        """Generate images.

        Args:
            n: how many, at least 1.
            seed: in [0, 2**63). Image i depends on the weights, `seed`, its class, controls, directions and i alone,
                not on `n`.
            options: batch, class_, labels, controls, truncation, directions; see `Options`.

        Returns:
            uint8 (n, h, w, c).

        Raises:
            ConfigError: no such class, control or direction, or a value out of its range.
        """
        return np.concatenate(list(self.batches(n, seed, **options)))

    def numbered(self, first: int, n: int, seed: int = 0, **options: Unpack[Options]) -> NDArray[np.uint8]:
        """Images first..first+n-1 of those that `seed` gives, uint8 (n, h, w, c): those of `sample`, to the bit."""
        self.check_samples()
        if first < 0:
            raise ConfigError(f"index: must be at least 0, not {first}.")
        chosen = self.chosen(**options)
        begin = first // chosen.batch * chosen.batch
        return np.concatenate(list(self._numbered(begin, first + n - begin, seed, chosen)))[first - begin :]

    def _numbered(self, first: int, n: int, seed: int, chosen: Chosen) -> Iterator[NDArray[np.uint8]]:
        made = generate(
            self.system,
            self.networks,
            _checked_seed(seed),
            n,
            first=first,
            classes=classes_of(self.recipe.network),
            label=chosen.label,
            controls=chosen.controls,
            move=chosen.move,
            batch=chosen.batch,
        )
        with _memory(chosen.batch):
            for images in made:
                yield images.cpu().numpy()

    def of_seeds(self, seeds: Sequence[int], **options: Unpack[Options]) -> NDArray[np.uint8]:
        """Image 0 of each seed, uint8 (len(seeds), h, w, c)."""
        return np.concatenate([self.numbered(0, 1, seed, **options) for seed in seeds])

    def latents_of(self, first: int, n: int, seed: int = 0) -> NDArray[np.float32]:
        """Latents of images first..first+n-1 of a seed, float32 (n, latent)."""
        self.check_samples()
        return latents(_checked_seed(seed), first, n, self.latent)

    def from_latents(self, z: NDArray[np.float32], **options: Unpack[Options]) -> NDArray[np.uint8]:
        """Images of given latents.

        Args:
            z: float32 (n, latent), or the styles of images, (n, count, style), where the system has a mapping network;
                n >= 1.
            options: as in `sample`.

        Returns:
            uint8 (n, h, w, c).

        Raises:
            ConfigError: `z` has another shape, or no such class, control or direction.
        """
        return np.concatenate(list(self.batches_of(z, **options)))

    @torch.no_grad()
    def batches_of(self, z: NDArray[np.float32], **options: Unpack[Options]) -> Iterator[NDArray[np.uint8]]:
        """As `from_latents`, in pieces of at most `batch` images."""
        self.check_samples()
        chosen = self.chosen(**options)
        self._check(z, chosen)
        classes, batch = classes_of(self.recipe.network), chosen.batch
        for start in range(0, len(z), batch):
            numbers = np.arange(start, start + batch)
            # A full batch, as in `generate`: what is missing at the end is the first rows again.
            rows = torch.from_numpy(z[numbers % len(z)].astype(np.float32, copy=False)).to(self.device)
            y = torch.from_numpy(labels_of(numbers, classes, chosen.label)).to(self.device) if classes else None
            with _memory(batch), full_precision():
                images = to_uint8(paint(self.system, self.networks, rows, y, chosen.controls, chosen.move))
                yield images.permute(0, 2, 3, 1)[: len(z) - start].contiguous().cpu().numpy()

    def _check(self, z: NDArray[np.float32], chosen: Chosen) -> None:
        shape = self.styles_shape
        fits = z.ndim == 2 and z.shape[1] == self.latent
        if z.ndim == 3 and shape is not None and z.shape[1:] == shape:
            fits = True
            assert self.system.styles is not None
            defaults = self.controls(None)
            for name in self.system.styles.controls:
                if chosen.controls[name] != defaults[name]:
                    raise ConfigError(
                        f"control {name}: says nothing of given styles, only of latents.", "Leave it out."
                    )
            if chosen.move is not None and chosen.move.space == "z":
                raise ConfigError("directions: those of this run move latents, and styles were given.")
        if not fits or len(z) < 1:
            styles = "" if shape is None else f", or styles (n, {shape[0]}, {shape[1]})"
            raise ConfigError(f"latents: expected (n, {self.latent}){styles}, found {tuple(z.shape)}.")

    def interpolate(
        self, start: int, end: int, steps: int, seed: int = 0, **options: Unpack[Options]
    ) -> NDArray[np.uint8]:
        """Images from image `start` to image `end` of a seed, on a great circle between their latents.

        Args:
            start, end: numbers of images that `seed` gives.
            steps: how many, the two included; at least 2.
            seed: in [0, 2**63).
            options: as in `sample`; all images have one class, where none is given that of image `start`.

        Returns:
            uint8 (steps, h, w, c); the first and the last are those of `sample`, to the bit.
        """
        self.check_samples()
        if steps < 2:
            raise ConfigError(f"steps: must be at least 2, not {steps}.")
        options["class_"] = self._class_of(start, options.get("class_"))
        ends = [self.numbered(i, 1, seed, **options) for i in (start, end)]
        first, last = (self.latents_of(i, 1, seed)[0] for i in (start, end))
        between = np.linspace(0, 1, steps)[1:-1]
        middle = [self.from_latents(slerp(first, last, between), **options)] if steps > 2 else []
        return np.concatenate([ends[0], *middle, ends[1]])

    def walk(
        self,
        n: int,
        seed: int = 0,
        *,
        points: int = 8,
        seeds: Sequence[int] | None = None,
        closed: bool = True,
        **options: Unpack[Options],
    ) -> NDArray[np.uint8]:
        """A walk by way of images on great circles between their latents; closed: after the last comes the first again.

        Args:
            n: frames, at least 1; as many between any two of the points.
            seed: in [0, 2**63); it goes by images 0..points-1 of it,
            points: at least 2.
            seeds: or by image 0 of each of these, at least 2; `seed` and `points` are not looked at.
            closed: whether it returns to its first image; else it ends at its last.
            options: as in `sample`; all frames have one class, where none is given that of image 0.

        Returns:
            uint8 (n, h, w, c).
        """
        return np.concatenate(list(self.walk_batches(n, self.keys(seed, points, seeds), closed=closed, **options)))

    def walk_batches(
        self, n: int, keys: NDArray[np.float32], *, closed: bool = True, **options: Unpack[Options]
    ) -> Iterator[NDArray[np.uint8]]:
        """As `walk`, by way of latents `keys` float32 (points, latent), in pieces of at most `batch` frames."""
        options["class_"] = self._class_of(0, options.get("class_"))
        return self.batches_of(way(keys, n, closed), **options)

    def keys(self, seed: int = 0, points: int = 8, seeds: Sequence[int] | None = None) -> NDArray[np.float32]:
        """Latents of images 0..points-1 of a seed, or of image 0 of each of `seeds`, float32 (points, latent)."""
        if seeds is None:
            return self.latents_of(0, points, seed)
        return np.concatenate([self.latents_of(0, 1, s) for s in seeds]) if len(seeds) else self.latents_of(0, 0)

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
        if isinstance(class_, int) and 0 <= class_ < len(self.classes):
            return class_
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


def _checked_seed(seed: int) -> int:
    if not 0 <= seed < 1 << 63:
        raise ConfigError(f"seed: must be in [0, 2**63), not {seed}.")
    return seed


def _memory(batch: int) -> AbstractContextManager[None]:
    """Says which batch to try when memory runs out."""
    return out_of_memory(f"out of memory at {batch} images at once.", f"Try fewer: --batch {max(1, batch // 2)}")
