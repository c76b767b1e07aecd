"""Directions of a run's latents: found from its weights, from how its features vary, and from labels."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from gantools import _native
from gantools.editing.factors import closed_form, oriented, principal, regressed
from gantools.editing.probe import probe, read_labels
from gantools.errors import ConfigError, DataError, unknown_name
from gantools.files import atomic_write
from gantools.grid import make_grid
from gantools.models.system import classes_of
from gantools.sampling.directions import FILE, PICTURE, About, Directions, write_directions
from gantools.sampling.generator import Generator
from gantools.sampling.given import load_sampler
from gantools.sampling.images import Space, paint
from gantools.sampling.write import samples_latents, samples_manifest

log = logging.getLogger(__name__)

# Latents that variances are measured with: of styles, and of a layer's features, which are many.
STYLES, FEATURES = 10_000, 2048
# Of features at most about so many numbers, or what fits in memory would depend on the layer.
MOST = 1 << 25
# Columns of the picture, in standard deviations.
STRENGTHS = (-3.0, -2.0, -1.0, 0.0, 1.0, 2.0, 3.0)
ROWS_AT_ONCE = 256


class _Enough(Exception):
    """Ends a pass through a network once the layer that was asked for has been computed."""


def directions(
    run: str | Path | None = None,
    *,
    n: int = 8,
    layer: str | None = None,
    labels: str | Path | None = None,
    samples: str | Path = "samples",
    seed: int = 0,
    checkpoint: str | float = "last",
    device: str | None = None,
    overwrite: bool = False,
) -> Path:
    """Find directions of a run's latents and write them into it, with a picture of what each changes.

    `sefa0`, `sefa1`, ...: those by which the first weights that read the latent change their output the most. `pca0`,
    ...: along which styles vary the most; without a mapping network, along which a layer's features do. A direction a
    label, where labels are given. Where there is a mapping network all move styles, else latents.

    Args:
        run: as in `Generator.load`.
        n: how many of each of the first two kinds, at most.
        layer: name of the layer for pca, as torch has it; None: the first that reads the latent.
        labels: a `.csv` file with a column of file names of `samples` and a column a label.
        samples: a folder that `gantools sample --save-latents` made by the same checkpoint.
        seed: of the latents that variances are measured with, and of the image in the picture.
        checkpoint: of the run: "last", "best", or the thousands of images shown.
        device: "cpu", "cuda", "cuda:1"; None: CUDA when there is one.
        overwrite: replace the directions that the run has.

    Returns:
        The file, `directions.npz` in the run; `directions.png` lies beside it.

    Raises:
        CheckpointError: no such run. DataError: labels or samples that do not fit, or the run has directions already.
        ConfigError: no such layer.
    """
    if n < 1:
        raise ConfigError(f"n: must be at least 1, not {n}.")
    generator = load_sampler(run, checkpoint, device)
    place = generator.run / FILE
    if place.exists() and not overwrite:
        raise DataError(f"{place}: exists already.", "Replace it with --overwrite.")
    if layer is not None and generator.system.styles is not None:
        raise ConfigError(f"layer: {generator.recipe.model} has styles, whose variance is measured.", "Leave it out.")
    asked = None if labels is None else _labelled(generator, Path(labels), Path(samples))
    found = find(generator, n, layer, seed)
    if asked is not None:
        found = _joined(found, asked)
    write_directions(place, found)
    with atomic_write(place.with_name(PICTURE)) as f:
        f.write(_native.encode_png(picture(generator, found, seed)))
    return place


def find(generator: Generator, n: int, layer: str | None = None, seed: int = 0) -> Directions:
    """The directions `sefa0`, ... and `pca0`, ... of a generator."""
    z = generator.latents_of(0, FEATURES if generator.system.styles is None else STYLES, seed)
    if generator.system.styles is None:
        first, weights = latent_weights(generator)
        parts: list[Tensor] = []
        for part in _features(generator, z, layer or first):
            parts.append(part)
            if len(parts) * part.numel() >= MOST:
                break
        features = torch.cat(parts)
        _, shares, coordinates = principal(features, n)
        vectors = regressed(torch.from_numpy(z[: len(features)]), coordinates)
        scales: Callable[[Tensor], Tensor] = lambda rows: torch.ones(len(rows), dtype=torch.float64)  # noqa: E731
    else:
        weights = style_weights(generator)
        styles = torch.from_numpy(generator.styles_of(z)[:, 0]).double()
        vectors, shares, _ = principal(styles, n)
        centred = styles - styles.mean(0)
        scales = lambda rows: (centred @ rows.T).std(0)  # noqa: E731
    own, values = closed_form(weights, n)
    about = [About(f"sefa{i}", "sefa", float(value)) for i, value in enumerate(values)]
    about += [About(f"pca{i}", "pca", float(share)) for i, share in enumerate(shares)]
    rows = torch.cat([own, oriented(vectors)])
    space: Space = "z" if generator.system.styles is None else "w"
    return Directions(
        space,
        generator.checkpoint.name,
        tuple(about),
        rows.float().numpy(),
        scales(rows).numpy(),
    )


def _labelled(generator: Generator, labels: Path, samples: Path) -> Directions:
    """A direction for each label of a table."""
    latents, manifest = samples_latents(samples), samples_manifest(samples)
    assert manifest is not None
    if manifest.get("checkpoint") != generator.checkpoint.name or manifest.get("run") != str(generator.run.absolute()):
        raise DataError(
            f"{samples}: made by {manifest.get('run')}, {manifest.get('checkpoint')}, not by {generator.checkpoint}.",
            "Make samples of this one: gantools sample --save-latents",
        )
    if manifest.get("directions"):
        raise DataError(
            f"{samples}: its images were moved along directions, its latents were not.",
            "Make samples without: gantools sample --save-latents",
        )
    asked = read_labels(labels, len(latents))
    if generator.system.styles is not None:
        if latents.ndim == 2:
            latents = generator.styles_of(
                latents, _classes(generator, manifest, len(latents)), manifest.get("controls")
            )
        points = latents.mean(1)
    elif latents.ndim == 2 and latents.shape[1] == generator.latent:
        points = latents
    else:
        raise DataError(f"{samples}: its latents are {latents.shape}, not (n, {generator.latent}).")
    x = torch.from_numpy(points)
    about, vectors, scales = [], [], []
    for label in asked:
        result = probe(x[label.rows], label.answers)
        if result.right <= result.chance:
            log.warning(
                "%s: the probe tells %.0f %% of the images kept aside right, always the same answer %.0f %%: "
                "the direction may mean nothing. Label more images.",
                label.name,
                100 * result.right,
                100 * result.chance,
            )
        about.append(About(label.name, "label", result.right, result.chance))
        vectors.append(result.direction)
        along = x.double() @ result.direction
        scales.append(1.0 if generator.system.styles is None else float(along.std()))
    space: Space = "z" if generator.system.styles is None else "w"
    return Directions(
        space,
        generator.checkpoint.name,
        tuple(about),
        torch.stack(vectors).float().numpy(),
        np.array(scales),
    )


def _classes(generator: Generator, manifest: Mapping[str, object], n: int) -> NDArray[np.int64] | None:
    """Classes of the images of a folder of samples."""
    if not classes_of(generator.recipe.network):
        return None
    if "class" in manifest:
        return np.full(n, generator.class_number(str(manifest["class"])))
    first = int(str(manifest.get("index", 0)))
    if "seeds" in manifest:
        return np.zeros(n, np.int64)
    return (first + np.arange(n)) % classes_of(generator.recipe.network)


def _joined(a: Directions, b: Directions) -> Directions:
    names = [about.name for about in (*a.about, *b.about)]
    for name in names:
        if names.count(name) > 1:
            raise DataError(f"labels: two directions would be called {name!r}.", "Rename the column.")
    return Directions(
        a.space,
        a.checkpoint,
        a.about + b.about,
        np.concatenate([a.vectors, b.vectors]),
        np.concatenate([a.scales, b.scales]),
    )


def picture(generator: Generator, found: Directions, seed: int = 0) -> NDArray[np.uint8]:
    """A grid: a row a direction, from -3 to 3 standard deviations, the image as it is in the middle."""
    z = generator.latents_of(0, 1, seed)
    label = 0 if classes_of(generator.recipe.network) else None
    images = [
        generator.from_latents(z, class_=label, directions={about.name: strength}, batch=1)
        for about in found.about
        for strength in STRENGTHS
    ]
    return make_grid(np.concatenate(images), len(STRENGTHS))


def _layers(generator: Generator) -> dict[str, nn.Module]:
    return {name: module for name, module in generator.network.named_modules() if name}


def _weighted(generator: Generator) -> dict[str, nn.Module]:
    """The layers that have a matrix of weights."""
    found = {}
    for name, module in _layers(generator).items():
        weight = getattr(module, "weight", None)
        if isinstance(weight, Tensor) and weight.ndim >= 2 and not isinstance(module, nn.Embedding):
            found[name] = module
    return found


@contextmanager
def _hooked(modules: Mapping[str, nn.Module], seen: Callable[[str, Tensor, Tensor], None]) -> Iterator[None]:
    """Within it `seen` is told of each call of these modules: name, first argument, result."""

    def hook(name: str) -> Callable[[nn.Module, tuple[object, ...], object], None]:
        def call(module: nn.Module, inputs: tuple[object, ...], output: object) -> None:
            if inputs and isinstance(inputs[0], Tensor) and isinstance(output, Tensor):
                seen(name, inputs[0], output)

        return call

    handles = [module.register_forward_hook(hook(name)) for name, module in modules.items()]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


@torch.no_grad()
def _pass(generator: Generator, z: Tensor) -> None:
    """Images of latents or styles, of class 0, which nobody looks at."""
    labels = None
    if classes_of(generator.recipe.network):
        labels = torch.zeros(len(z), dtype=torch.int64, device=z.device)
    paint(generator.system, generator.networks, z, labels, generator.controls(None))


def _features(generator: Generator, z: NDArray[np.float32], layer: str) -> Iterator[Tensor]:
    """What a layer makes of latents, float32 (<= 256, features) at a time; layers behind it are not computed."""
    layers = _layers(generator)
    if layer not in layers:
        raise unknown_name("layer", layer, layers)
    kept: list[Tensor] = []

    def keep(name: str, given: Tensor, made: Tensor) -> None:
        # Rows before them are the network's own: the reference of a virtual batch normalisation.
        kept.append(made[-n:].flatten(1).float().cpu())
        raise _Enough

    for start in range(0, len(z), ROWS_AT_ONCE):
        kept.clear()
        n = len(z[start : start + ROWS_AT_ONCE])
        rows = torch.from_numpy(z[start : start + ROWS_AT_ONCE]).to(generator.device)
        with _hooked({layer: layers[layer]}, keep):
            try:
                _pass(generator, rows)
            except _Enough:
                yield kept[0]
                continue
        raise ConfigError(f"layer {layer}: is not used when images are made.", "Name another one.")


def latent_weights(generator: Generator) -> tuple[str, Tensor]:
    """The first layer with weights that reads the latent, and these as a matrix, float32 (out, latent).

    Measured: what the layer makes of each unit latent less what it makes of 0. So it does not matter what kind of layer
    it is, nor what else it reads; before it there may be no more than a normalisation.

    Raises:
        ConfigError: no layer with weights reads the latent.
    """
    z = np.concatenate([np.zeros((1, generator.latent), np.float32), generator.latents_of(0, 1)])
    called: list[str] = []

    def note(name: str, given: Tensor, made: Tensor) -> None:
        if len(made) >= 2 and not torch.equal(made[-2], made[-1]):
            called.append(name)

    with _hooked(_weighted(generator), note):
        _pass(generator, torch.from_numpy(z).to(generator.device))
    if not called:
        raise ConfigError(f"{generator.recipe.model}: no layer with weights reads its latents.")
    units = np.concatenate([np.zeros((1, generator.latent), np.float32), np.eye(generator.latent, dtype=np.float32)])
    made = torch.cat(list(_features(generator, units, called[0])))
    return called[0], (made[1:] - made[:1]).T


def style_weights(generator: Generator) -> Tensor:
    """The weights of all layers that read a style, below each other, float32 (out, style).

    Measured as `latent_weights`: of each layer whose input is the style itself.

    Raises:
        ConfigError: there is none.
    """
    shape = generator.styles_shape
    assert shape is not None
    count, style = shape
    w = torch.from_numpy(generator.latents_of(0, count)[:, :1]).to(generator.device)
    # Any style that is none of another layer's features: numbers that no layer makes.
    w = (w + torch.arange(style, device=w.device) / style)[None]
    readers: list[str] = []

    def note(name: str, given: Tensor, made: Tensor) -> None:
        if given.shape == (1, style) and bool((given == w[0]).all(1).any()) and name not in readers:
            readers.append(name)

    layers = _weighted(generator)
    with _hooked(layers, note):
        _pass(generator, w)
    if not readers:
        raise ConfigError(f"{generator.recipe.model}: no layer with weights reads its styles.")
    units = torch.cat([torch.zeros(1, style), torch.eye(style)]).to(generator.device)
    with torch.no_grad():
        parts = [layers[name](units).flatten(1).float().cpu() for name in readers]
    return torch.cat([(made[1:] - made[:1]).T for made in parts])
