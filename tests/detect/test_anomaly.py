import json

import numpy as np
import pytest
import torch
from tests.conftest import TINY, blobs, write_prepared
from torch import nn

from gantools.detect.anomaly import MANIFEST, distances, read_anomaly, train_encoder
from gantools.detect.numbers import auc
from gantools.detect.run import judge_images
from gantools.errors import ConfigError, DataError
from gantools.models.resnet import SYSTEM
from gantools.training.run import train


class Affine(nn.Module):
    """Half of what it is given, in the shape of an image; its features are three times the image."""

    latent = 12

    def forward(self, z, labels=None):
        return (z / 2).view(-1, 3, 2, 2)

    def examine(self, x, labels=None):
        return x.flatten(1).sum(1), 3 * x


def test_distances_by_their_definition():
    x = torch.rand(5, 3, 2, 2)
    networks = {"generator": Affine(), "discriminator": Affine(), "encoder": nn.Flatten()}
    pixels = (x / 2).square().mean((1, 2, 3))
    for kappa in (0.0, 1.0, 0.5):
        wanted = pixels + kappa * 9 * pixels
        assert torch.allclose(distances(SYSTEM, networks, x, kappa), wanted)
        # Summed instead of averaged, features would drown the pixels.
        assert not torch.allclose(pixels + (kappa + 0.1) * 9 * pixels * 12, wanted)


@pytest.fixture(scope="module")
def normal(tmp_path_factory):
    """A run on blobs, its set, and what was learned of it."""
    place = tmp_path_factory.mktemp("normal")
    data = write_prepared(place / "blobs", blobs(256, 8, 3))
    (place / "tiny.yaml").write_text(TINY)
    run = train(place / "tiny.yaml", data=data, out=place / "runs", kimg=2, device="cpu", progress=False)
    made = train_encoder(run, data, kimg=4, batch=32, lr=0.002, out=place / "anomaly", device="cpu", progress=False)
    return run, data, made


def test_what_is_not_normal_scores_higher(normal):
    _, data, made = normal
    found = read_anomaly(made, device="cpu")
    noise = np.random.default_rng(0).integers(0, 256, (100, 8, 8, 3), np.uint8)
    usual = blobs(100, 8, 3, seed=9)
    assert auc(found.scores(noise), found.scores(usual)) > 0.95
    rows = judge_images(made, [data], device="cpu")
    assert [row.score for row in rows] == found.scores(blobs(256, 8, 3)).tolist()
    assert np.mean([row.answer == "unusual" for row in rows]) < 0.2
    record = json.loads((made / MANIFEST).read_text())
    assert record["aside"]["images"] == 26 and record["run"]["recipe"]["model"] == "dcgan"


def test_generator_and_discriminator_stay_as_they_are(normal):
    run, _, made = normal
    from gantools.sampling.generator import Generator

    ours, theirs = read_anomaly(made, device="cpu").networks["generator"], Generator.load(run, device="cpu").network
    for name, value in theirs.state_dict().items():
        assert torch.equal(value, ours.state_dict()[name]), name


def test_the_same_call_gives_the_same_bytes(normal, tmp_path):
    run, data, _ = normal
    made = [
        train_encoder(run, data, kimg=0.2, batch=32, out=tmp_path / name, device="cpu", progress=False) for name in "ab"
    ]
    assert (made[0] / "anomaly.safetensors").read_bytes() == (made[1] / "anomaly.safetensors").read_bytes()


def test_mistakes(normal, tmp_path):
    run, data, made = normal
    with pytest.raises(ConfigError, match="kappa"):
        train_encoder(run, data, kappa=-1)
    with pytest.raises(DataError, match="exists already"):
        train_encoder(run, data, out=made)
    write_prepared(tmp_path / "large", blobs(300, 16, 3))
    with pytest.raises(DataError, match="16 x 16, not 8 x 8"):
        train_encoder(run, tmp_path / "large", out=tmp_path / "x", device="cpu")
    write_prepared(tmp_path / "few", blobs(30, 8, 3))
    with pytest.raises(DataError, match="30 images are too few"):
        train_encoder(run, tmp_path / "few", out=tmp_path / "x", device="cpu")
    with pytest.raises(DataError, match="nothing of others"):
        read_anomaly(made, device="cpu").scores(blobs(2, 16, 3))
    with pytest.raises(DataError, match="no encoder"):
        read_anomaly(tmp_path)
    assert not (tmp_path / "x").exists()


def test_a_run_with_classes_is_refused(tmp_path):
    images = blobs(64, 8, 3)
    data = write_prepared(tmp_path / "told", images, np.arange(64) % 2)
    (tmp_path / "tiny.yaml").write_text(TINY.replace("width: 4}", "width: 4, classes: 2}"))
    run = train(tmp_path / "tiny.yaml", data=data, out=tmp_path / "runs", device="cpu", progress=False)
    with pytest.raises(ConfigError, match="knows classes"):
        train_encoder(run, data, out=tmp_path / "x", device="cpu")
