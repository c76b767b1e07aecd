"""The training of a detector.

It has a loop of its own: a classifier has no sampler, no grids and no scores of samples, which is most of what the loop
of trainings does, and its data are several sets in memory, each split by what belongs together. What is shown at a step
is a function of the seed and the step alone, so the same call gives the same detector.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from gantools.data.enlarged import generated_note
from gantools.data.feeds.orders import Balanced, Plain
from gantools.data.prepared import PreparedSet, is_prepared
from gantools.data.seeds import derived
from gantools.detect import judge
from gantools.detect.descent import descend
from gantools.detect.detector import FORMAT, MANIFEST, to_network, write_detector
from gantools.detect.disturb import by_chance
from gantools.detect.images import Images, read_images, split
from gantools.detect.networks import NETWORKS, Cnn, Spectrum, build
from gantools.device import find_device, out_of_memory
from gantools.errors import ConfigError, DataError, unknown_name
from gantools.files import check_replaceable, whole_folder

# Training images of each kind that the linear network is fitted to: all of their spectra are in memory.
LINEAR = 2000


def train_detector(
    real: str | Path,
    fake: Mapping[str, str | Path],
    *,
    leave_out: Sequence[str] = (),
    network: str = "cnn",
    n: int = 2000,
    kimg: float = 60.0,
    batch: int = 64,
    lr: float = 0.001,
    plain: bool = False,
    shuffle: bool = False,
    seed: int = 0,
    out: str | Path = "detector",
    device: str | None = None,
    overwrite: bool = False,
    progress: bool = True,
) -> Path:
    """Train a detector of generated images, and say what it is worth.

    Images are split into 70 % for training, 15 % for validation, 15 % for the test; those of a person stay together
    where the real set knows persons. Half of each batch is real, the other half of each generator in turn.

    Args:
        real: a prepared set, a folder or archive of images of one size.
        fake: by name, images of generators of the same size: folders of samples, sets, archives, or runs.
        leave_out: names of generators that are left out of training and validation: what it says of them tells how
            it does on generators that nobody knew of.
        network: "cnn"; "patches", which sees no more than 11 pixels at once; or "spectrum": linear in the logarithm of
            the cosine transform. The others are always compared with the last.
        n: of each generator, at most so many images; of a run so many are made.
        kimg: length in thousands of images shown.
        batch: images a step, half of them real.
        lr: Adam's rate at the beginning; it falls to 0 by half a cosine.
        plain: train on images as they are, without JPEG, blur and scaling.
        shuffle: give the training images labels by chance: then nothing can be learned, and an AUC that is not 0.5
            tells of a mistake.
        seed: of split, initialisation, order and disturbance; 0 or more.
        out: the folder to make.
        device: "cpu", "cuda", "cuda:1"; None: CUDA when there is one.
        overwrite: replace `out` where it is a detector.
        progress: show a progress bar on stderr.

    Returns:
        The path of the folder: `detector.json`, `detector.safetensors`.

    Raises:
        ConfigError: an option out of range, an unknown name, or no generator left to train on.
        DataError: no images, too few, of another size, or `out` exists.
        GantoolsError: the loss was not finite, or memory ran out.
    """
    target = Path(out)
    check_replaceable(target, MANIFEST, FORMAT, "a detector", overwrite)
    _check(fake, leave_out, network, n, kimg, batch, lr, seed)
    where = find_device(device)
    if is_prepared(real) and (note := generated_note(PreparedSet(real))) is not None:
        raise DataError(f"{real}: {note}", "Give the set without them with --real.")
    reals = read_images("real", real, None, None, seed=seed, device=device)
    shape: tuple[int, int, int] = reals.levels.shape[1:]
    fakes = [
        read_images(name, path, n, shape, seed=derived(seed, f"fake {name}"), device=device)
        for name, path in fake.items()
    ]
    unseen = frozenset(leave_out)
    parts = {images.name: split(images, seed) for images in (reals, *fakes)}
    seen = [images for images in fakes if images.name not in unseen]

    def of(part: str) -> tuple[NDArray[np.uint8], NDArray[np.int64], NDArray[np.uint8]]:
        """Levels of the generators seen, the number of each one's generator, levels of the real."""
        rows = [images.part(getattr(parts[images.name], part)) for images in seen]
        numbers = np.repeat(np.arange(len(rows)), [len(levels) for levels in rows])
        return np.concatenate(rows), numbers, reals.part(getattr(parts["real"], part))

    generated, numbers, truth = of("train")
    if shuffle:
        generated, numbers, truth = _shuffled(generated, truth, seed)
    test = {
        images.name: images.part(parts[images.name].test) if images.name not in unseen else images.levels
        for images in fakes
    }
    test_real = reals.part(parts["real"].test)
    with (
        out_of_memory("not enough memory for the detector.", "Use a smaller --batch, or fewer images with -n."),
        torch.random.fork_rng(devices=[where] if where.type == "cuda" else []),
    ):
        torch.manual_seed(derived(seed, "detector"))
        found: dict[str, Any] = {}
        for name in dict.fromkeys((network, "spectrum")):
            model = build(name, shape).to(where)
            if isinstance(model, Cnn):
                _train(model, generated, numbers, truth, kimg, batch, lr, plain, seed, where, progress)
            else:
                _fit(model, generated, numbers, truth, plain, seed, where)
            model.eval()
            validation, _, validation_real = of("validation")
            test_seen = np.concatenate([test[images.name] for images in seen])
            calibration = judge.calibrate(model, validation, validation_real, where)
            scores = judge.examine(model, test, unseen, test_real, calibration, where)
            found[name] = {
                **calibration,
                "scores": scores,
                "biases": judge.biases(model, test_seen, test_real, where),
                "parameters": sum(p.numel() for p in model.parameters()),
            }
            if name == network:
                chosen = model
    record = {
        "shape": list(shape),
        "network": network,
        **found.pop(network),
        "baseline": found.get("spectrum"),
        "settings": {
            "leave_out": list(leave_out), "n": n, "kimg": kimg, "batch": batch, "lr": lr, "plain": plain,
            "shuffle": shuffle, "seed": seed,
        },
        "real": _described(reals, parts["real"]),
        "fake": {images.name: _described(images, parts[images.name]) for images in fakes},
        "device": str(where),
    }  # fmt: skip
    with whole_folder(target, overwrite=target.exists()) as folder:
        write_detector(folder, chosen, record)
    return target


def _check(
    fake: Mapping[str, str | Path],
    leave_out: Sequence[str],
    network: str,
    n: int,
    kimg: float,
    batch: int,
    lr: float,
    seed: int,
) -> None:
    """The errors of `train_detector` that can be told before an image is read."""
    if network not in NETWORKS:
        raise unknown_name("network", network, NETWORKS)
    for name in leave_out:
        if name not in fake:
            raise unknown_name("generator to leave out", name, fake)
    if not set(fake) - set(leave_out):
        raise ConfigError(
            "no generator is left to train on.", "Give more, each as --fake NAME=PATH, or leave fewer of them out."
        )
    if "real" in fake:
        raise ConfigError("a generator cannot be called 'real'.", "For example --fake dcgan=samples")
    if n < 1 or kimg <= 0 or batch < 2 or batch % 2 or not (math.isfinite(lr) and lr > 0) or seed < 0:
        raise ConfigError(
            f"n is {n}, kimg {kimg:g}, batch {batch}, lr {lr:g}, seed {seed}.",
            "n is at least 1, kimg and lr above 0, batch even, seed 0 or more.",
        )


def _train(
    model: Cnn,
    generated: NDArray[np.uint8],
    numbers: NDArray[np.int64],
    real: NDArray[np.uint8],
    kimg: float,
    batch: int,
    lr: float,
    plain: bool,
    seed: int,
    device: torch.device,
    progress: bool,
) -> None:
    """Binary cross-entropy by Adam; which images, mirrored how and disturbed how is a function of seed and step."""
    half = batch // 2
    fakes = Balanced(numbers, derived(seed, "order of fakes"), flip=True)
    reals = Plain(len(real), derived(seed, "order of reals"), flip=True)
    # With channels last a CPU convolves small maps about twice as fast.
    model.to(memory_format=torch.channels_last).train()
    wanted = torch.cat((torch.ones(half), torch.zeros(half))).to(device)

    def loss_at(step: int) -> Tensor:
        x = torch.cat(
            [
                _mirrored(to_network(levels[chosen.indices], device), chosen.flips)
                for levels, chosen in ((generated, fakes((step * half, half))), (real, reals((step * half, half))))
            ]
        )
        if not plain:
            x = by_chance(x, torch.Generator().manual_seed(derived(seed, f"step {step}")))
        x = (x / 127.5 - 1).contiguous(memory_format=torch.channels_last)
        return F.binary_cross_entropy_with_logits(model(x), wanted)

    descend(model, loss_at, kimg=kimg, batch=batch, lr=lr, called="detector", show=progress)


def _fit(
    model: Spectrum,
    generated: NDArray[np.uint8],
    numbers: NDArray[np.int64],
    real: NDArray[np.uint8],
    plain: bool,
    seed: int,
    device: torch.device,
) -> None:
    """The linear network, of the first images that a training would see of each kind, disturbed alike."""
    sides = (
        generated[
            Balanced(numbers, derived(seed, "order of fakes"), flip=False)((0, min(len(generated), LINEAR))).indices
        ],
        real[Plain(len(real), derived(seed, "order of reals"), flip=False)((0, min(len(real), LINEAR))).indices],
    )
    source = torch.Generator().manual_seed(derived(seed, "spectrum"))
    features = []
    with torch.no_grad():
        for levels in sides:
            for start in range(0, len(levels), 256):
                x = to_network(levels[start : start + 256], device)
                features.append(model.features((x if plain else by_chance(x, source)) / 127.5 - 1))
    which = torch.arange(sum(map(len, sides)), device=device) < len(sides[0])
    model.fit(torch.cat(features), which)


def _mirrored(x: torch.Tensor, flips: NDArray[np.bool_] | None) -> torch.Tensor:
    """Images (n, c, h, w), those of `flips` left to right."""
    assert flips is not None
    return torch.where(torch.from_numpy(flips).to(x.device)[:, None, None, None], x.flip(3), x)


def _shuffled(
    generated: NDArray[np.uint8], real: NDArray[np.uint8], seed: int
) -> tuple[NDArray[np.uint8], NDArray[np.int64], NDArray[np.uint8]]:
    """Both kinds mixed and dealt out again, as many as before of each, all of the first from one generator."""
    both = np.concatenate((generated, real))
    both = both[np.random.default_rng(derived(seed, "shuffle")).permutation(len(both))]
    return both[: len(generated)], np.zeros(len(generated), np.int64), both[len(generated) :]


def _described(images: Images, parts: Any) -> dict[str, Any]:
    """What a record says of some images."""
    counts = {part: len(getattr(parts, part)) for part in ("train", "validation", "test")}
    return {"path": images.path, "digest": images.digest, "images": len(images.levels), **counts,
            "split_by": "identity" if images.grouped else "image"}  # fmt: skip
