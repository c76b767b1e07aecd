"""How unusual images are to a generator that was trained on normal ones: f-AnoGAN.

anomaly/
  anomaly.json            format, run, recipe, threshold, settings, data: all that decided it
  anomaly.safetensors     the encoder, and the generator and discriminator that it was trained for

The generator cannot make what it never saw: an encoder finds for each image a latent, and what the generator makes of
that is compared with the image. Source: Schlegl et al. 2019 (f-AnoGAN, Medical Image Analysis 54), izi_f: section 3.2.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from gantools.data.feeds.orders import Plain
from gantools.data.seeds import derived, philox
from gantools.detect.descent import descend
from gantools.detect.detector import BATCH, to_network
from gantools.detect.disk import read_networks, read_record, reading, write_networks
from gantools.detect.images import LEAST, read_images
from gantools.detect.networks import Encoder
from gantools.detect.numbers import Scores
from gantools.device import find_device, full_precision, out_of_memory
from gantools.errors import ConfigError, DataError
from gantools.files import check_replaceable, whole_folder
from gantools.models.system import System, build_networks, classes_of
from gantools.recipes.recipe import Recipe, recipe_from_dict
from gantools.runs.checkpoint import read_config, read_shown, read_weights
from gantools.runs.folders import find_checkpoint
from gantools.sampling.images import paint

FORMAT = "gantools-anomaly"
FORMAT_VERSION = 1
MANIFEST = "anomaly.json"
#: The discriminator whose features are compared.
JUDGE = "discriminator"
# Share of the normal images that is kept aside, and the share of those that counts as unusual.
ASIDE, UNUSUAL = 0.1, 0.05


@dataclass(frozen=True)
class Anomaly:
    """Networks that tell how unusual an image is. Make one with `read_anomaly`.

    Attributes:
        system: says how its networks make images.
        networks: those, the discriminator and `encoder`, in evaluation mode.
        kappa: what the distance of features counts.
        shape: (h, w, c) of the images it was trained on; of others it says nothing.
        threshold: the score above which an image is called unusual.
        record: all of `anomaly.json`.
    """

    system: System
    networks: Mapping[str, nn.Module]
    kappa: float
    shape: tuple[int, int, int]
    threshold: float
    record: Mapping[str, Any]

    @torch.no_grad()
    def scores(self, levels: NDArray[np.uint8]) -> Scores:
        """How unusual each image is, float64 (n,), see `distances`.

        Args:
            levels: uint8 (n, h, w, c) of `shape`.

        Raises:
            DataError: of another shape.
        """
        if levels.dtype != np.uint8 or levels.ndim != 4 or levels.shape[1:] != self.shape:
            raise DataError(
                f"images are {levels.dtype} {levels.shape}; this run knows uint8 (n, "
                f"{', '.join(map(str, self.shape))}) and nothing of others."
            )
        device = next(self.networks["encoder"].parameters()).device
        found = []
        with full_precision():
            for start in range(0, len(levels), BATCH):
                x = to_network(levels[start : start + BATCH], device) / 127.5 - 1
                found.append(distances(self.system, self.networks, x, self.kappa).double().cpu().numpy())
        return np.concatenate(found)

    def answer(self, score: float) -> Literal["usual", "unusual"]:
        """What to call an image of this score."""
        return "unusual" if score > self.threshold else "usual"


def distances(system: System, networks: Mapping[str, nn.Module], x: Tensor, kappa: float) -> Tensor:
    """A(x) = mean (x - G(E(x)))^2 + kappa mean (f(x) - f(G(E(x))))^2, float (n,).

    f are the features before the discriminator's last layer. Source: f-AnoGAN, equations 3 and 5.

    Args:
        system: says how its networks make images.
        networks: those, `encoder`, and `discriminator` unless `kappa` is 0.
        x: images float (n, c, h, w) in [-1, 1].
        kappa: at least 0.
    """
    controls = {control.name: control.default for control in system.controls}
    made = paint(system, networks, networks["encoder"](x), None, controls).float()
    far = (x - made).square().flatten(1).mean(1)
    if kappa:
        features = [_features(networks[JUDGE])(images).flatten(1) for images in (x, made)]
        far = far + kappa * (features[0] - features[1]).square().mean(1)
    return far


def _features(judge: nn.Module) -> Callable[[Tensor], Tensor]:
    def of(images: Tensor) -> Tensor:
        features: Tensor = judge.examine(images)[1]  # type: ignore[operator]
        return features

    return of


def train_encoder(
    run: str | Path | None,
    data: str | Path,
    *,
    checkpoint: str | float = "last",
    kimg: float = 60.0,
    batch: int = 64,
    lr: float = 0.0005,
    kappa: float = 1.0,
    seed: int = 0,
    out: str | Path = "anomaly",
    device: str | None = None,
    overwrite: bool = False,
    progress: bool = True,
) -> Path:
    """Train an encoder for a run, after which it tells how unusual images are.

    The run was trained on normal images alone. Its generator and discriminator stay as they are; the encoder makes the
    mean of `distances` smaller. A tenth of the images is kept aside: 5 % of it counts as unusual.

    Args:
        run: as in `Generator.load`, without classes.
        data: normal images, best those that the run was trained on: a prepared set, a folder or an archive.
        checkpoint: of the run: "last", "best", or the thousands of images shown.
        kimg: length in thousands of images shown.
        batch: images a step.
        lr: Adam's rate at the beginning; it falls to 0 by half a cosine.
        kappa: what the distance of the discriminator's features counts; 0: pixels alone.
        seed: of initialisation and order, 0 or more.
        out: the folder to make.
        device: "cpu", "cuda", "cuda:1"; None: CUDA when there is one.
        overwrite: replace `out` where it is one.
        progress: show a progress bar on stderr.

    Returns:
        The path of the folder: `anomaly.json`, `anomaly.safetensors`.

    Raises:
        CheckpointError: no such run, or it is damaged.
        ConfigError: a run with classes, or from images, or whose discriminator shows no features; an option out of
            range.
        DataError: images of another size, too few, or `out` exists.
        GantoolsError: the loss was not finite, or memory ran out.
    """
    target = Path(out)
    check_replaceable(target, MANIFEST, FORMAT, "an encoder of anomalies", overwrite)
    numbers = (kimg, lr)
    if min(numbers) <= 0 or not all(map(math.isfinite, (*numbers, kappa))) or batch < 2 or kappa < 0 or seed < 0:
        raise ConfigError(
            f"kimg is {kimg:g}, batch {batch}, lr {lr:g}, kappa {kappa:g}, seed {seed}.",
            "kimg and lr are above 0, batch at least 2, kappa and seed 0 or more.",
        )
    where = find_device(device)
    place = find_checkpoint(run, checkpoint)
    recipe, networks, config = _load(place, kappa)
    shape = recipe.image_shape
    images = read_images("normal", data, None, shape, seed=seed, device=device)
    order = philox(derived(seed, "aside"), 0).permutation(len(images.levels))
    aside, rows = np.split(order, [round(len(order) * ASIDE)])
    if len(aside) < LEAST:
        raise DataError(f"{data}: {len(order):,} images are too few.", f"Give at least {round(LEAST / ASIDE)}.")
    with (
        out_of_memory("not enough memory for the encoder.", "Use a smaller --batch."),
        torch.random.fork_rng(devices=[where] if where.type == "cuda" else []),
    ):
        torch.manual_seed(derived(seed, "encoder"))
        for network in networks.values():
            network.eval().requires_grad_(False).to(where)
        networks["encoder"] = Encoder(shape, int(networks[recipe.system.sampler].latent)).to(where)  # type: ignore[arg-type]
        _train(recipe.system, networks, images.levels[rows], kimg, batch, lr, kappa, seed, where, progress)
        networks["encoder"].eval().requires_grad_(False)
        found = Anomaly(recipe.system, networks, kappa, shape, 0.0, {})
        normal = found.scores(images.levels[aside])
    record = {
        "format": FORMAT,
        "version": FORMAT_VERSION,
        "shape": list(shape),
        "threshold": float(np.quantile(normal, 1 - UNUSUAL)),
        "aside": {"images": len(aside), "mean": float(normal.mean()), "deviation": float(normal.std())},
        "run": {
            "checkpoint": str(place),
            "nimg": config.get("nimg"),
            "recipe": config["recipe"],
            "data": config["data"],
        },
        "settings": {"kimg": kimg, "batch": batch, "lr": lr, "kappa": kappa, "seed": seed},
        "normal": {"path": images.path, "digest": images.digest, "images": len(images.levels)},
        "device": str(where),
    }
    with whole_folder(target, overwrite=target.exists()) as folder:
        write_networks(folder / MANIFEST, networks, record)
    return target


def _load(place: Path, kappa: float) -> tuple[Recipe, dict[str, nn.Module], dict[str, Any]]:
    """The networks that make a checkpoint's images, with its discriminator where features count; recipe and config."""
    config = read_config(place)
    recipe = recipe_from_dict(config["recipe"], str(place))
    built = _built(recipe, place, kappa)
    for name, network in built.items():
        if name == JUDGE:
            read_weights(place, name, network)
        else:
            read_shown(place, config, name, network)
    return recipe, built, config


def _built(recipe: Recipe, place: Path, kappa: float) -> dict[str, nn.Module]:
    """The networks of a recipe that are needed, as they are initialised.

    Raises:
        ConfigError: the recipe's are of no use here.
    """
    if recipe.system.takes != "latents":
        raise ConfigError(f"{place}: makes images from images, not from latents.", "Give a run of a latent system.")
    if classes_of(recipe.network):
        raise ConfigError(
            f"{place}: knows classes, and an unusual image has none.", "Train a run of normal images without classes."
        )
    with torch.random.fork_rng(devices=[]):
        networks = build_networks(recipe.system, recipe.network, recipe.game)
    wanted = {name: networks[name] for name in recipe.system.shows}
    if kappa:
        judge = networks.get(JUDGE)
        if judge is None or not hasattr(judge, "examine"):
            raise ConfigError(
                f"{place}: the discriminator of {recipe.model} shows no features.", "Compare pixels alone: --kappa 0"
            )
        wanted[JUDGE] = judge
    return wanted


def _train(
    system: System,
    networks: Mapping[str, nn.Module],
    levels: NDArray[np.uint8],
    kimg: float,
    batch: int,
    lr: float,
    kappa: float,
    seed: int,
    device: torch.device,
    progress: bool,
) -> None:
    """The encoder alone, by Adam; which images a step has is a function of seed and step."""
    encoder = networks["encoder"].train()
    order = Plain(len(levels), derived(seed, "order"), flip=False)

    def loss_at(step: int) -> Tensor:
        x = to_network(levels[order((step * batch, batch)).indices], device) / 127.5 - 1
        return distances(system, networks, x, kappa).mean()

    descend(encoder, loss_at, kimg=kimg, batch=batch, lr=lr, called="encoder", show=progress)


def read_anomaly(path: str | Path, *, device: str | None = None) -> Anomaly:
    """Load what `train_encoder` made in folder `path`.

    Args:
        path: the folder.
        device: "cpu", "cuda", "cuda:1"; None: CUDA when there is one.

    Raises:
        DataError: there is none, it is damaged, or of a newer gantools.
    """
    file = Path(path) / MANIFEST
    with reading(file):
        make = "gantools detect anomaly RUN --data SET"
        record = read_record(file, FORMAT, FORMAT_VERSION, "encoder of anomalies", make)
        kappa, threshold = float(record["settings"]["kappa"]), float(record["threshold"])
        recipe = recipe_from_dict(record["run"]["recipe"], str(file))
        networks = _built(recipe, file.parent, kappa)
        with torch.random.fork_rng(devices=[]):
            networks["encoder"] = Encoder(recipe.image_shape, int(networks[recipe.system.sampler].latent))  # type: ignore[arg-type]
        read_networks(file, record, networks)
    where = find_device(device)
    for network in networks.values():
        network.eval().requires_grad_(False).to(where)
    return Anomaly(recipe.system, networks, kappa, recipe.image_shape, threshold, record)
