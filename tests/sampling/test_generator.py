import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from gantools.errors import CheckpointError, ConfigError
from gantools.grid import make_grid
from gantools.models.dcgan import DCGANConfig, build
from gantools.sampling.generator import Generator, generate


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


def test_without_an_average_the_trained_weights_are_used(make_run):
    run = make_run(**{"kimg": 0.016, "ema.half_life_kimg": None})
    assert not list(run.rglob("generator_ema*"))
    generator = Generator.load(run, device="cpu")
    trained = load_file(generator.checkpoint / "generator.safetensors")
    assert all(torch.equal(value, trained[name]) for name, value in generator.network.state_dict().items())
    assert generator.sample(2).shape == (2, 8, 8, 3)


def test_mistakes(run, tmp_path):
    generator = Generator.load(run, device="cpu")
    for arguments in ({"n": 0}, {"n": 1, "seed": -1}, {"n": 1, "batch": 0}):
        with pytest.raises(ConfigError):
            generator.sample(**arguments)
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
