"""The classifier that ships with gantools: features for grey 28x28 images, with no download.

Four convolutions trained on the 60,000 training images of Fashion-MNIST (Xiao et al., arXiv:1708.07747); its 128
features before the last layer serve as a light extractor. It gets 92.86 % of the 10,000 test images right.

The weights are made by this file::

    python -m gantools.metrics.fashion_classifier train --source DIR_WITH_IDX_GZ
"""

from __future__ import annotations

import itertools
import json
import sys
import time
from importlib import resources
from pathlib import Path

import click
import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional as F

from gantools.data.sources.idx import read_idx
from gantools.errors import WeightsError

#: Width of the features.
FEATURES = 128
#: Side of the images the network was trained on.
SIZE = 28
#: Share of the 10,000 Fashion-MNIST test images that the shipped weights classify correctly.
ACCURACY = 0.9286
# Mean and standard deviation of the training pixels in [0, 1].
MEAN, STD = 0.2860, 0.3530
ASSET = "fashion_classifier.safetensors"


class FashionClassifier(nn.Module):
    """Grey images to 10 logits, by way of 128 features.

    Four stages of 3x3 convolution, batch normalisation and ReLU; a 2x2 max pooling after the first and the third, the
    average over the 7x7 positions after the last.
    """

    def __init__(self) -> None:
        super().__init__()
        widths = (1, 32, 64, 64, FEATURES)
        self.convs = nn.ModuleList(nn.Conv2d(i, o, 3, padding=1, bias=False) for i, o in itertools.pairwise(widths))
        self.norms = nn.ModuleList(nn.BatchNorm2d(o) for o in widths[1:])
        self.head = nn.Linear(FEATURES, 10)

    def features(self, x: Tensor) -> Tensor:
        """float32 (n, 1, 28, 28) of values 0..255 -> float32 (n, 128), non-negative."""
        x = (x / 255 - MEAN) / STD
        for i, (conv, norm) in enumerate(zip(self.convs, self.norms, strict=True)):
            x = F.relu(norm(conv(x)))
            if i in (0, 2):
                x = F.max_pool2d(x, 2)
        return x.mean((2, 3))

    def forward(self, x: Tensor) -> Tensor:
        """float32 (n, 1, 28, 28) of values 0..255 -> logits float32 (n, 10)."""
        out: Tensor = self.head(self.features(x))
        return out


def weights_path() -> Path:
    """Where the shipped weights lie."""
    return Path(str(resources.files("gantools") / "assets" / ASSET))


def load(path: str | Path | None = None) -> FashionClassifier:
    """The trained classifier in eval mode, without gradients.

    Args:
        path: a `.safetensors` file made by `train`; the shipped one when None.

    Raises:
        WeightsError: no such file, damaged, or of another network.
    """
    file = weights_path() if path is None else Path(path)
    hint = "Install gantools again, or make the file with: python -m gantools.metrics.fashion_classifier train"
    try:
        with safe_open(file, framework="pt") as f:
            state = {name: f.get_tensor(name) for name in f.keys()}  # noqa: SIM118 - safe_open is not a dict
        net = FashionClassifier()
        net.load_state_dict({k: v.float() if v.is_floating_point() else v for k, v in state.items()})
    except FileNotFoundError:
        raise WeightsError(f"{file}: no such file.", hint) from None
    except (SafetensorError, RuntimeError, OSError) as e:
        raise WeightsError(f"{file}: not the weights of the Fashion-MNIST classifier ({e}).", hint) from e
    return net.eval().requires_grad_(False)


@torch.no_grad()
def accuracy(net: FashionClassifier, images: NDArray[np.uint8], labels: NDArray[np.uint8], batch: int = 500) -> float:
    """Share of uint8 (n, 28, 28) `images` whose largest logit is their label."""
    net.eval()
    right = 0
    for start in range(0, len(images), batch):
        x = torch.from_numpy(images[start : start + batch].copy()).float().unsqueeze(1)
        y = torch.from_numpy(labels[start : start + batch].copy())
        right += int((net(x).argmax(1) == y).sum())
    return right / len(images)


def train(source: Path, out: Path, *, epochs: int = 10, seed: int = 0, batch: int = 128) -> float:
    """Train the classifier and write `out`.

    AdamW under a one-cycle learning rate, images mirrored at random. The test images are only measured on, after the
    last epoch.

    Args:
        source: folder with the four gzipped idx files.
        out: the `.safetensors` file to write: fp16, with accuracy, epochs and seed as metadata.
        epochs: passes over the 60,000 images.
        seed: of initial weights, order and augmentation.
        batch: images a step.

    Returns:
        Test accuracy of the weights as written.
    """
    torch.manual_seed(seed)
    images = torch.from_numpy(read_idx(source / "train-images-idx3-ubyte.gz", 3).copy()).unsqueeze(1)
    labels = torch.from_numpy(read_idx(source / "train-labels-idx1-ubyte.gz", 1).copy()).long()
    net = FashionClassifier().to(memory_format=torch.channels_last)
    steps = len(images) // batch
    optimizer = torch.optim.AdamW(net.parameters(), lr=1e-3, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=5e-3, total_steps=epochs * steps)
    for epoch in range(epochs):
        net.train()
        began, total = time.monotonic(), 0.0
        order = torch.randperm(len(images))
        for step in range(steps):
            index = order[step * batch : (step + 1) * batch]
            x = images[index].float()
            mirrored = torch.rand(len(x)) < 0.5
            x[mirrored] = x[mirrored].flip(3)
            loss = F.cross_entropy(net(x), labels[index], label_smoothing=0.02)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()
            total += loss.item()
        seconds = time.monotonic() - began
        print(f"epoch {epoch + 1}/{epochs}: loss {total / steps:.4f}, {seconds:.0f} s", file=sys.stderr, flush=True)
    # What is measured is what is shipped: the weights after rounding to fp16.
    state = {k: v.half().contiguous() if v.is_floating_point() else v for k, v in net.state_dict().items()}
    net.load_state_dict({k: v.float() if v.is_floating_point() else v for k, v in state.items()})
    test_images = read_idx(source / "t10k-images-idx3-ubyte.gz", 3)
    test_labels = read_idx(source / "t10k-labels-idx1-ubyte.gz", 1)
    reached = accuracy(net, test_images, test_labels)
    note = {"data": "Fashion-MNIST train", "test_accuracy": reached, "epochs": epochs, "seed": seed, "batch": batch}
    out.parent.mkdir(parents=True, exist_ok=True)
    save_file(state, out, metadata={"gantools": json.dumps(note)})
    return reached


@click.group()
def cli() -> None:
    """The Fashion-MNIST classifier."""


@cli.command("train")
@click.option("--source", type=click.Path(path_type=Path), required=True, help="Folder with the gzipped idx files.")
@click.option("--out", type=click.Path(path_type=Path), default=None, help="File to write.  [default: the shipped one]")
@click.option("--epochs", default=10, show_default=True, help="Passes over the training images.")
@click.option("--seed", default=0, show_default=True, help="Seed of weights, order and augmentation.")
def train_command(source: Path, out: Path | None, epochs: int, seed: int) -> None:
    """Train on the 60,000 training images, measure on the 10,000 test images, write the weights."""
    reached = train(source, weights_path() if out is None else out, epochs=epochs, seed=seed)
    click.echo(f"test accuracy {reached:.4f}")


if __name__ == "__main__":
    cli()
