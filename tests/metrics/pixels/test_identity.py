"""Cosines of identities, against the measured ones of turned faces."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from gantools.data.prepare import prep
from gantools.errors import DataError
from gantools.metrics.pixels.identity import identity_scores, identity_vectors
from gantools.pretrained import mobilefacenet


def test_vectors_have_length_1_and_wrong_images_are_refused():
    torch.manual_seed(0)
    net = mobilefacenet.unloaded()
    images = np.random.default_rng(0).integers(0, 256, (3, 64, 64, 3), np.uint8)
    found = identity_vectors(images, net)
    assert found.shape == (3, 128) and np.allclose(np.linalg.norm(found, axis=1), 1)
    for wrong in (images[..., :1], images.astype(float), images[:, :32]):
        with pytest.raises(DataError, match="faces are uint8"):
            identity_vectors(wrong, net)
    with pytest.raises(DataError, match="3 samples and 2 targets"):
        identity_scores(images, images[:2])


def test_turned_faces_of_celeba(test_data, tmp_path):
    """0.93, 0.72 and 0.53 at 15, 30 and 45 degrees, within 0.05, by the landmarks of the turned faces."""
    celeba, weights = test_data / "data" / "celeba", test_data / "weights" / "mobilefacenet_folded.npz"
    if not weights.is_file() or not (celeba / "celeba_landmarks_onet.csv").is_file():
        pytest.skip("no weights of MobileFaceNet, or no landmarks")
    faces = prep(
        "celeba",
        source=celeba,
        split="val",
        faces="frontal",
        landmarks=celeba / "celeba_landmarks_onet.csv",
        sample=24,
        size=128,
        out=tmp_path / "faces",
        progress=False,
    )
    assert faces.inputs is not None and faces.labels is not None
    every = np.arange(len(faces))
    images, inputs, yaw = faces.gather(every), faces.inputs.gather(every), np.abs(faces.annotations["yaw"])
    marks = faces.annotations["marks"].reshape(-1, 5, 2)
    found = {}
    for angle, wanted in ((15, 0.93), (30, 0.72), (45, 0.53), (60, 0.37)):
        at = yaw == angle
        score = identity_scores(inputs[at], images[at], marks=marks[at], people=faces.labels[at], weights=weights)
        assert score.mean == pytest.approx(wanted, abs=0.05), angle
        found[angle] = score
    assert found[15].rank1 == 1.0 and found[60].mean < found[15].mean - 0.3
    same = identity_scores(images[::4], images[::4], weights=weights)
    assert same.mean == pytest.approx(1) and same.rank1 == 1.0
    assert same.protocol["sha256"] == found[15].protocol["sha256"] and same.protocol != found[15].protocol
