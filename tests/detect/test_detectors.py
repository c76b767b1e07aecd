import json

import numpy as np
import pytest
import torch
from tests.conftest import blobs, write_prepared

from gantools.detect import detector, images, judge
from gantools.detect.detector import MANIFEST, read_detector
from gantools.detect.networks import Cnn, Spectrum, build, dct_matrix
from gantools.detect.run import as_text, judge_images, write_rows
from gantools.detect.train import train_detector
from gantools.errors import ConfigError, DataError

SIZE = 16
WEIGHTS = "detector.safetensors"


def checkered(n, size, channels, seed):
    """Images with a faint grid, as up-sampling leaves it."""
    y, x = np.mgrid[0:size, 0:size]
    grid = 24 * ((x + y) % 2)[None, ..., None]
    return (blobs(n, size, channels, seed) * 0.9 + grid).astype(np.uint8)


@pytest.fixture(scope="module")
def sets(tmp_path_factory):
    place = tmp_path_factory.mktemp("sets")
    np.save(place / "other.npy", checkered(160, SIZE, 3, 8) // 2)
    return {
        "real": write_prepared(place / "real", blobs(320, SIZE, 3, 1)),
        "grid": write_prepared(place / "grid", checkered(300, SIZE, 3, 2)),
        "other": place / "other.npy",
    }


@pytest.fixture(scope="module")
def trained(sets, tmp_path_factory):
    place = tmp_path_factory.mktemp("trained")
    return train_detector(
        sets["real"],
        {"grid": sets["grid"], "other": sets["other"]},
        leave_out=["other"],
        kimg=3,
        batch=32,
        out=place / "detector",
        device="cpu",
        progress=False,
    )


def test_parameters_layer_by_layer():
    network = Cnn((64, 64, 3))
    counts = [p.numel() for p in network.parameters() if p.ndim == 4]
    assert counts == [864, 9216, 18432, 36864, 73728, 147456, 294912, 589824]
    assert sum(p.numel() for p in network.parameters()) == 1_173_473
    first, second = network.layers[0], network.layers[3]
    assert (first.stride, second.stride) == ((1, 1), (1, 1))  # a stride here would blur the finest detail away
    assert network.layers(torch.zeros(1, 3, 64, 64)).shape == (1, 256, 8, 8)


def test_patches_see_eleven_pixels():
    network = build("patches", (64, 64, 3)).eval()
    assert sum(p.numel() for p in network.parameters()) == 65_825
    x = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(0)).requires_grad_()
    maps = network.layers(x)
    assert maps.shape == (1, 64, 32, 32)
    maps[0, :, 16, 16].sum().backward()
    rows, columns = x.grad[0].abs().sum(0).nonzero().unbind(1)
    assert [int(side.max() - side.min()) + 1 for side in (rows, columns)] == [11, 11]


def test_the_cosine_transform_is_orthonormal():
    turn = dct_matrix(16)
    assert torch.allclose(turn @ turn.T, torch.eye(16), atol=1e-6)
    assert (turn @ torch.ones(16))[0].item() == pytest.approx(4) and turn[1:].sum(1).abs().max() < 1e-5


def test_a_spectrum_sees_a_grid():
    made = torch.from_numpy(np.concatenate([checkered(100, SIZE, 3, 1), blobs(100, SIZE, 3, 2)])).permute(0, 3, 1, 2)
    network = Spectrum((SIZE, SIZE, 3))
    x = made.float() / 127.5 - 1
    which = torch.arange(200) < 100
    network.fit(network.features(x).detach(), which)
    logits = network(x)
    assert logits[:100].min() > logits[100:].max()


def test_seen_and_unseen_are_told_from_real(trained):
    record = json.loads((trained / MANIFEST).read_text())
    for one in (record, record["baseline"]):
        scores = one["scores"]["as they are"]
        assert scores["seen"]["auc"] >= 0.98
        assert scores["generators"]["grid"] == scores["seen"]
        assert scores["generators"]["other"] == scores["unseen"]
        assert one["biases"]["saved again"] == pytest.approx(0.5, abs=0.03)
    assert set(record["scores"]) == {"as they are", "disturbed", "noisy"}
    assert record["fake"]["grid"]["train"] == 210 and record["fake"]["grid"]["test"] == 45
    assert record["settings"]["leave_out"] == ["other"] and record["parameters"] == 1_173_473
    low, high = record["unsure"]
    assert 0 <= low <= high <= 1


def test_what_is_left_out_teaches_nothing(sets, tmp_path):
    np.save(tmp_path / "another.npy", np.random.default_rng(0).integers(0, 255, (160, SIZE, SIZE, 3), np.uint8))
    weights = []
    for name, other in (("a", sets["other"]), ("b", tmp_path / "another.npy")):
        out = train_detector(
            sets["real"], {"grid": sets["grid"], "other": other}, leave_out=["other"], kimg=0.1, batch=32,
            out=tmp_path / name, device="cpu", progress=False,
        )  # fmt: skip
        weights.append((out / WEIGHTS).read_bytes())
        record = json.loads((out / MANIFEST).read_text())
        calibration = {key: record[key] for key in ("temperature", "threshold", "unsure")}
        weights.append(json.dumps(calibration).encode())
    assert weights[:2] == weights[2:]
    seen = train_detector(
        sets["real"], {"grid": sets["grid"], "other": sets["other"]}, kimg=0.1, batch=32, out=tmp_path / "c",
        device="cpu", progress=False,
    )  # fmt: skip
    assert (seen / WEIGHTS).read_bytes() != weights[0]


def test_the_same_call_gives_the_same_bytes_and_another_seed_others(sets, tmp_path):
    def call(name, seed):
        out = train_detector(
            sets["real"], {"grid": sets["grid"]}, kimg=0.2, batch=32, seed=seed, out=tmp_path / name, device="cpu",
            progress=False,
        )  # fmt: skip
        return (out / WEIGHTS).read_bytes(), (out / MANIFEST).read_bytes()

    state = torch.get_rng_state()
    assert call("a", 0) == call("b", 0)
    assert torch.equal(state, torch.get_rng_state())
    assert call("c", 1)[0] != call("d", 0)[0]


@pytest.mark.parametrize("shuffle", [False, True])
def test_nothing_is_learned_where_there_is_nothing(sets, tmp_path, shuffle):
    """Labels by chance, or real images against real ones: an AUC of a half, within what 120 images of each can say."""
    np.save(tmp_path / "real.npy", blobs(800, SIZE, 3, 11))
    np.save(tmp_path / "more.npy", (checkered if shuffle else blobs)(800, SIZE, 3, 12))
    found = {}
    for network in ("spectrum", "cnn", "patches"):
        out = train_detector(
            tmp_path / "real.npy", {"more": tmp_path / "more.npy"}, network=network, kimg=0.5, batch=32,
            shuffle=shuffle, out=tmp_path / network, device="cpu", progress=False,
        )  # fmt: skip
        found[network] = json.loads((out / MANIFEST).read_text())["scores"]["as they are"]["seen"]["auc"]
    if not shuffle:
        assert all(0.34 < auc < 0.66 for auc in found.values()), found
    else:  # a real difference that the labels do not follow may be learned in either direction, but not surely
        assert all(auc < 0.95 for auc in found.values()), found


def test_people_stay_in_one_part():
    rng = np.random.default_rng(0)
    groups = rng.integers(0, 90, 600)
    pictures = images.Images("real", "x", np.zeros((600, 1, 1, 1), np.uint8), groups, True, "")
    parts = images.split(pictures, 0)
    of = [set(groups[rows].tolist()) for rows in (parts.train, parts.validation, parts.test)]
    assert not (of[0] & of[1] or of[0] & of[2] or of[1] & of[2])
    assert sorted(np.concatenate((parts.train, parts.validation, parts.test)).tolist()) == list(range(600))
    assert [len(some) / 90 for some in of] == pytest.approx([0.7, 0.15, 0.15], abs=0.02)
    # By image instead, people would be in several parts: what the test is for.
    alone = images.split(images.Images("real", "x", pictures.levels, np.arange(600), False, ""), 0)
    assert set(groups[alone.train].tolist()) & set(groups[alone.test].tolist())
    few = images.Images("real", "x", np.zeros((60, 1, 1, 1), np.uint8), np.arange(60), False, "")
    with pytest.raises(DataError, match="60 images are too few"):
        images.split(few, 0)


def test_grey_and_colour(tmp_path):
    grey = np.full((4, 4, 3), 7, np.uint8)
    assert images.in_channels(grey, 1, "x").shape == (4, 4, 1)
    assert (images.in_channels(grey[..., :1], 3, "x") == grey).all()
    with pytest.raises(DataError, match="in colour"):
        images.in_channels(np.arange(48, dtype=np.uint8).reshape(4, 4, 3), 1, "x")


def test_saved_again_are_the_same_pixels():
    pictures = blobs(3, SIZE, 3)
    assert (judge.saved_again(pictures) == pictures).all()
    assert (judge.saved_again(pictures[..., :1]) == pictures[..., :1]).all()


def test_asked_about_images(trained, sets, tmp_path):
    rows = judge_images(trained, [sets["grid"]], device="cpu")
    assert (len(rows) == 300 and rows[3].image.endswith("image 3")) or "000003" in rows[3].image
    found = read_detector(trained, device="cpu")
    levels = checkered(300, SIZE, 3, 2)
    assert [row.p for row in rows] == found.probabilities(levels).tolist()
    # An image's answer does not depend on its neighbours.
    assert found.probabilities(levels[7:9])[0] == pytest.approx(rows[7].p, abs=1e-5)
    low, high = found.unsure
    assert [found.answer(p) for p in (low - 1e-9, low, high, high + 1e-9)] == ["real", "unsure", "unsure", "generated"]
    text = as_text(rows[:2], "csv").splitlines()
    assert text[0] == "image,p,answer" and len(text) == 3
    assert json.loads(as_text(rows[:1], "json"))[0]["answer"] == rows[0].answer
    file = write_rows(rows, tmp_path / "a.csv")
    with pytest.raises(DataError, match="exists already"):
        write_rows(rows, file)
    with pytest.raises(ConfigError, match="neither"):
        write_rows(rows, tmp_path / "a.txt")


def test_other_sizes_are_refused(trained, tmp_path):
    write_prepared(tmp_path / "large", blobs(4, 2 * SIZE, 3))
    with pytest.raises(DataError, match=r"is 32 x 32, not 16 x 16"):
        judge_images(trained, [tmp_path / "large"], device="cpu")
    with pytest.raises(DataError, match="says nothing of others"):
        read_detector(trained, device="cpu").probabilities(blobs(2, 8, 3))
    with pytest.raises(ConfigError, match="n must be"):
        judge_images(trained, [tmp_path / "large"], n=0)


def test_a_damaged_detector_is_no_detector(trained, tmp_path):
    record, weights = (trained / MANIFEST).read_text(), (trained / WEIGHTS).read_bytes()

    def with_(text=record, data=weights):
        (tmp_path / MANIFEST).write_text(text)
        (tmp_path / WEIGHTS).write_bytes(data)
        return tmp_path

    read_detector(with_(), device="cpu")
    for text, data, words in (
        (record[:50], weights, "damaged"),
        (record.replace('"cnn"', '"nn"'), weights, "unknown network"),
        (record.replace('"version": 1', '"version": 2', 1), weights, "newer"),
        (record.replace(detector.FORMAT, "x"), weights, "damaged"),
        (record, weights[:-1] + bytes([weights[-1] ^ 1]), "checksum"),
    ):
        with pytest.raises((DataError, ConfigError), match=words):
            read_detector(with_(text, data), device="cpu")
    (tmp_path / WEIGHTS).unlink()
    with pytest.raises(DataError, match="missing"):
        read_detector(tmp_path, device="cpu")
    with pytest.raises(DataError, match="no detector"):
        read_detector(tmp_path / "none", device="cpu")


def test_a_failed_training_leaves_nothing(sets, tmp_path, monkeypatch):
    monkeypatch.setattr(judge, "biases", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        train_detector(
            sets["real"], {"grid": sets["grid"]}, network="spectrum", out=tmp_path / "d", device="cpu", progress=False
        )
    assert not list(tmp_path.iterdir())


def test_an_unknown_network():
    with pytest.raises(ConfigError, match=r"'spectrun'.*'spectrum'"):
        build("spectrun", (8, 8, 3))


def test_a_bias_towards_jpegs_is_told_from_what_is_harder_to_tell():
    rng = np.random.default_rng(0)
    pictures = np.clip(blobs(60, SIZE, 3) * 0.7 + 40 + rng.normal(0, 14, (60, SIZE, SIZE, 3)), 0, 255).astype(np.uint8)

    class Sign(torch.nn.Module):
        """Takes what is smooth for generated, as badly saved JPEGs are."""

        def forward(self, x):
            return -(x[:, :, 1:] - x[:, :, :-1]).abs().mean((1, 2, 3)) * 100

    class Constant(torch.nn.Module):
        def forward(self, x):
            return torch.zeros(len(x))

    device = torch.device("cpu")
    biased = judge.biases(Sign(), pictures, pictures, device)
    assert abs(biased["jpeg 75 against 95"] - 0.5) > 0.03
    assert set(judge.biases(Constant(), pictures, pictures, device).values()) == {0.5}
