from pathlib import Path

import pytest

TINY = """
description: a DCGAN that trains in milliseconds
source: test
target: none
prep: gantools prep blobs --size 8
model: dcgan
network: {size: 8, channels: 3, latent: 6, width: 4}
optim: {lr: 0.001}
batch: 8
kimg: 0.096
grid: 4
ema: {half_life_kimg: 0.02}
"""


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    """A recipe for 8x8x3 images: 12 steps of 8 images; two epochs of the 48 images of `make_set(48, 8)`."""
    path = tmp_path / "tiny.yaml"
    path.write_text(TINY)
    return path
