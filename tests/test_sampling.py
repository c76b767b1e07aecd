import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from gantools.errors import CheckpointError, ConfigError, DataError
from gantools.grid import make_grid
from gantools.models.dcgan import DCGANConfig, build
from gantools.sampling import Generator, generate, latents, sample, to_uint8
from gantools.training.loop import train
from tests.conftest import run_on_full_disk

OVERRIDES = {
    "network": {"size": 8, "channels": 3, "latent": 6, "width": 4},
    "batch": 8,
    "kimg": 0.048,
    "grid": 9,
    "ema.half_life_kimg": 0.02,
}


@pytest.fixture
def run(make_set, tmp_path):
    """A run of a tiny generator with averaged weights."""
    data = make_set(n=48, size=8)
    return train("dcgan", data=data, out=tmp_path / "runs", overrides=OVERRIDES, progress=False, device="cpu")


def files(folder: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in folder.iterdir()}


def test_latents_are_a_function_of_seed_and_index():
    whole = latents(3, 0, 50, 7)
    assert whole.dtype == np.float32
    assert np.array_equal(latents(3, 20, 5, 7), whole[20:25])
    assert not np.array_equal(latents(4, 0, 50, 7), whole)
    many = latents(0, 0, 4000, 16)
    assert abs(many.mean()) < 0.02 and abs(many.std() - 1) < 0.02
    assert abs(np.corrcoef(many[:-1].ravel(), many[1:].ravel())[0, 1]) < 0.02


def test_quantisation_inverts_the_range_and_clamps():
    levels = torch.arange(256, dtype=torch.float32)
    images = (levels / 127.5 - 1).reshape(1, 1, 16, 16)
    assert torch.equal(to_uint8(images).flatten(), levels.to(torch.uint8))
    assert to_uint8(torch.tensor([-3.0, -1.0, 0.0, 1.0, 3.0]).reshape(1, 1, 1, 5)).flatten().tolist() == [
        0, 0, 128, 255, 255,
    ]  # fmt: skip
    assert to_uint8(torch.zeros(2, 3, 4, 5)).shape == (2, 4, 5, 3)


def test_the_first_images_do_not_depend_on_how_many_are_asked_for(run):
    generator = Generator.load(run, device="cpu")
    many = generator.sample(150, seed=5)
    assert many.shape == (150, 8, 8, 3) and many.dtype == np.uint8
    for n in (1, 10, 64, 65):
        assert np.array_equal(generator.sample(n, seed=5), many[:n])
    assert not np.array_equal(generator.sample(10, seed=6), many[:10])
    assert len(np.unique(many.reshape(150, -1), axis=0)) > 100


def test_the_network_always_sees_full_batches():
    # A library may sum in another order for another batch size; then the first images would depend on n.
    network, sizes = build(DCGANConfig(size=8, latent=4, width=2))["generator"], []
    network.register_forward_pre_hook(lambda _m, inputs: sizes.append(len(inputs[0])))
    assert [len(x) for x in generate(network, 0, 7, batch=3)] == [3, 3, 1]
    assert sizes == [3, 3, 3]


def test_averaged_weights_are_used_and_agree_with_the_runs_grid(run):
    generator = Generator.load(run, device="cpu")
    averaged = load_file(generator.checkpoint / "generator_ema.safetensors")
    for name, value in generator.network.state_dict().items():
        assert torch.equal(value, averaged[name])
    assert not torch.equal(
        averaged["layers.0.weight"], load_file(generator.checkpoint / "generator.safetensors")["layers.0.weight"]
    )
    grid = np.asarray(Image.open(run / "grids" / f"{generator.checkpoint.name}.png"))
    assert np.array_equal(grid, make_grid(generator.sample(9, seed=0)))


def test_sampling_leaves_a_training_network_as_it_was():
    network = build(DCGANConfig(size=8, latent=4, width=2))["generator"].train()
    before = {k: v.clone() for k, v in network.state_dict().items()}
    list(generate(network, 0, 3, batch=2))
    assert network.training
    assert all(torch.equal(v, before[k]) for k, v in network.state_dict().items())


def test_without_an_average_the_trained_weights_are_used(make_set, tmp_path):
    run = train(
        "dcgan",
        data=make_set(n=16, size=8),
        out=tmp_path / "runs",
        overrides={**OVERRIDES, "kimg": 0.016, "ema.half_life_kimg": None},
        progress=False,
        device="cpu",
    )
    assert not list(run.rglob("generator_ema*"))
    assert Generator.load(run).sample(2).shape == (2, 8, 8, 3)


def test_png_folder(run, tmp_path):
    out = sample(run, n=70, seed=1, out=tmp_path / "s", grid=True, device="cpu")
    expected = Generator.load(run, device="cpu").sample(70, seed=1)
    assert sorted(p.name for p in out.glob("0*.png")) == [f"{i:06d}.png" for i in range(70)]
    for i in (0, 63, 64, 69):
        assert np.array_equal(np.asarray(Image.open(out / f"{i:06d}.png")), expected[i])
    assert np.array_equal(np.asarray(Image.open(out / "grid.png")), make_grid(expected[:64]))
    manifest = json.loads((out / "manifest.json").read_text())
    assert (manifest["format"], manifest["version"], manifest["count"]) == ("gantools-samples", 1, 70)
    assert manifest["shape"] == [8, 8, 3] and manifest["seed"] == 1 and manifest["format_images"] == "png"
    assert manifest["run"] == str(run) and manifest["checkpoint"] == "kimg-000000.048" and manifest["recipe"] == "dcgan"
    assert manifest["data"]["name"] == "blobs" and Path(manifest["data"]["path"]).is_dir()
    assert manifest["data"].keys() == {"path", "name", "fingerprint"} and manifest["versions"]["torch"]


@pytest.mark.parametrize("format", ["png", "npy"])
def test_the_same_call_writes_the_same_bytes(run, tmp_path, format):
    first = files(sample(run, n=5, out=tmp_path / "a", format=format, grid=True, device="cpu"))
    second = files(sample(run, n=5, out=tmp_path / "b", format=format, grid=True, device="cpu"))
    assert first == second
    assert ("samples.npy" in first) == (format == "npy")


def test_npy(run, tmp_path):
    out = sample(run, n=70, seed=2, out=tmp_path / "s", format="npy", device="cpu")
    assert np.array_equal(np.load(out / "samples.npy"), Generator.load(run, device="cpu").sample(70, seed=2))


def test_existing_folders(run, tmp_path):
    out = sample(run, n=2, out=tmp_path / "s", device="cpu")
    with pytest.raises(DataError, match="exists already") as e:
        sample(run, n=3, out=out, device="cpu")
    assert "--overwrite" in e.value.hint and "--out" in e.value.hint
    sample(run, n=3, out=out, overwrite=True, device="cpu")
    assert len(list(out.glob("*.png"))) == 3
    (tmp_path / "empty").mkdir()
    assert len(files(sample(run, n=1, out=tmp_path / "empty", device="cpu"))) == 2
    precious = tmp_path / "photos"
    precious.mkdir()
    (precious / "cat.jpg").write_text("meow")
    with pytest.raises(DataError, match="other things"):
        sample(run, n=1, out=precious, overwrite=True, device="cpu")
    assert (precious / "cat.jpg").read_text() == "meow"


@pytest.mark.parametrize("format", ["png", "npy"])
def test_a_full_disk_leaves_nothing_and_is_said_plainly(run, tmp_path, format):
    before = sorted(tmp_path.iterdir())
    arguments = ["sample", str(run), "-n", "3", "--format", format, "--out", str(tmp_path / "s"), "--device", "cpu"]
    done = run_on_full_disk(150, *arguments)  # the images reach that, not only the manifest
    assert done.returncode == 1
    assert "disk is full" in done.stderr
    assert "Traceback" not in done.stderr
    assert sorted(tmp_path.iterdir()) == before


def test_mistakes(run, tmp_path):
    generator = Generator.load(run, device="cpu")
    for arguments in ({"n": 0}, {"n": 1, "seed": -1}, {"n": 1, "batch": 0}):
        with pytest.raises(ConfigError):
            generator.sample(**arguments)
    with pytest.raises(ConfigError, match="format"):
        sample(run, out=tmp_path / "s", format="gif")
    with pytest.raises(CheckpointError, match="no such folder"):
        Generator.load(tmp_path / "nowhere")
    for device in ("gpu", "cuda:99", "meta"):
        with pytest.raises(ConfigError, match="device"):
            Generator.load(run, device=device)


@pytest.mark.gpu
def test_sampling_on_cuda_repeats_itself_and_is_near_the_cpu(run):
    generator = Generator.load(run, device="cuda")
    images = generator.sample(100)
    assert np.array_equal(generator.sample(10), images[:10])
    difference = images.astype(int) - Generator.load(run, device="cpu").sample(100)
    assert abs(difference).max() <= 1
