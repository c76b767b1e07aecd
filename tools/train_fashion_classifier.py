"""Trains the classifier that ships with gantools as the extractor `fashion-mnist`.

::

    python tools/train_fashion_classifier.py --source DIR_WITH_IDX_GZ
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import click
import torch
from safetensors.torch import save_file
from torch.nn import functional as F

from gantools.data.sources.idx import read_idx
from gantools.pretrained.fashion import FashionClassifier, accuracy, weights_path


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


@click.command()
@click.option("--source", type=click.Path(path_type=Path), required=True, help="Folder with the gzipped idx files.")
@click.option("--out", type=click.Path(path_type=Path), default=None, help="File to write.  [default: the shipped one]")
@click.option("--epochs", default=10, show_default=True, help="Passes over the training images.")
@click.option("--seed", default=0, show_default=True, help="Seed of weights, order and augmentation.")
def main(source: Path, out: Path | None, epochs: int, seed: int) -> None:
    """Train on the 60,000 training images, measure on the 10,000 test images, write the weights."""
    reached = train(source, weights_path() if out is None else out, epochs=epochs, seed=seed)
    click.echo(f"test accuracy {reached:.4f}")


if __name__ == "__main__":
    main()
