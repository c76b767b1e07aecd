import base64
import dataclasses
import io

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from gantools.errors import CheckpointError, ConfigError, GantoolsError
from gantools.grid import make_grid
from gantools.models.dcgan import SYSTEM, DCGANConfig, build
from gantools.models.system import Control
from gantools.runs.layout import list_checkpoints, mark_best
from gantools.sampling.generator import Generator
from gantools.sampling.images import generate
from gantools.sampling.latents import latents


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
    networks, sizes = build(DCGANConfig(size=8, latent=4, width=2)), []
    networks["generator"].register_forward_pre_hook(lambda _m, inputs: sizes.append(len(inputs[0])))
    assert [len(x) for x in generate(SYSTEM, networks, 0, 7, batch=3)] == [3, 3, 1]
    assert sizes == [3, 3, 3]


def test_averaged_weights_are_used_and_agree_with_the_runs_grid(run):
    generator = Generator.load(run, device="cpu")
    averaged = load_file(generator.checkpoint / "generator_ema.safetensors")
    for name, value in generator.networks["generator"].state_dict().items():
        assert torch.equal(value, averaged[name])
    assert not torch.equal(
        averaged["layers.0.weight"], load_file(generator.checkpoint / "generator.safetensors")["layers.0.weight"]
    )
    grid = np.asarray(Image.open(run / "grids" / f"{generator.checkpoint.name}.png"))
    assert np.array_equal(grid, make_grid(generator.sample(9, seed=0)))


def test_sampling_leaves_a_training_network_as_it_was():
    network = build(DCGANConfig(size=8, latent=4, width=2))["generator"].train()
    network.layers[1].eval()
    before = {k: v.clone() for k, v in network.state_dict().items()}
    list(generate(SYSTEM, {"generator": network}, 0, 3, batch=2))
    assert network.training and not network.layers[1].training
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


def test_one_image_of_many_and_images_of_seeds(run):
    generator = Generator.load(run, device="cpu")
    many = generator.sample(150, seed=5)
    assert np.array_equal(generator.numbered(137, 1, 5)[0], many[137])
    assert np.array_equal(generator.numbered(60, 10, 5), many[60:70])
    assert np.array_equal(generator.of_seeds([5, 6])[0], many[0])
    assert np.array_equal(generator.of_seeds([5, 6])[1], generator.sample(1, seed=6)[0])
    with pytest.raises(ConfigError, match="index"):
        generator.numbered(-1, 1)


def test_the_batch_of_single_images_is_the_one_asked_for(run):
    generator, sizes = Generator.load(run, device="cpu"), []
    generator.network.register_forward_pre_hook(lambda _m, inputs: sizes.append(len(inputs[0])))
    many = generator.sample(40, seed=1, batch=16)
    assert np.array_equal(generator.numbered(37, 1, seed=1, batch=16)[0], many[37])
    assert np.array_equal(generator.of_seeds([1], batch=16)[0], many[0])
    assert set(sizes) == {16}


def test_images_of_given_latents(run):
    generator = Generator.load(run, device="cpu")
    z = latents(4, 0, 70, 6)
    assert np.array_equal(generator.from_latents(z), generator.sample(70, seed=4))
    for wrong in (z[:, :5], z[0], z[:0]):
        with pytest.raises(ConfigError, match="latents: expected"):
            generator.from_latents(wrong)


def test_between_two_images(run, told):
    generator = Generator.load(run, device="cpu")
    images = generator.sample(10, seed=2)
    path = generator.interpolate(3, 5, 7, seed=2)
    assert path.shape == (7, 8, 8, 3)
    assert np.array_equal(path[0], images[3]) and np.array_equal(path[-1], images[5])
    assert not np.array_equal(path[3], images[3]) and not np.array_equal(path[3], images[5])
    assert np.array_equal(generator.interpolate(3, 5, 2, seed=2), images[[3, 5]])
    with pytest.raises(ConfigError, match="steps"):
        generator.interpolate(0, 1, 1)
    # Where there are classes, all have that of the first.
    path = told.interpolate(4, 5, 3)
    assert np.array_equal(path[0], told.sample(5)[4])
    assert np.array_equal(path, told.interpolate(4, 5, 3, class_=1))


def test_a_walk_goes_by_its_points_and_closes(run):
    generator = Generator.load(run, device="cpu")
    frames = generator.walk(40, seed=2, points=4)
    assert frames.shape == (40, 8, 8, 3)
    assert abs(frames[::10].astype(int) - generator.sample(4, seed=2)).max() <= 1

    def steps(sequence):
        return np.abs(np.diff(sequence.astype(int), axis=0)).mean(axis=(1, 2, 3))

    # From the last frame to the first it is about as far as from any frame to the next; to a point, much further.
    assert steps(frames[[-1, 0]])[0] < 1.5 * steps(frames).max() < steps(frames[[-1, 10]])[0]
    assert len(generator.walk(3, points=8)) == 3
    with pytest.raises(ConfigError, match="2 points"):
        generator.walk(3, points=1)


def test_loading_moves_nobodys_random_numbers(run):
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    Generator.load(run, device="cpu")
    assert torch.equal(torch.rand(3), expected)


def test_a_checkpoint_is_chosen_and_only_what_is_needed_is_read(make_run, caplog):
    run = make_run(kimg=0.032, tick_kimg=0.016)
    first, last = list_checkpoints(run)
    assert Generator.load(run, device="cpu").checkpoint == last
    assert Generator.load(run, 0.016, device="cpu").checkpoint == first
    with pytest.raises(CheckpointError, match="without scores"):
        Generator.load(run, "best")
    mark_best(run, 16, "fd", 3.0)
    assert Generator.load(run, "best", device="cpu").checkpoint == first
    (last / "state.pt").write_bytes(b"damaged")
    (last / "discriminator.safetensors").unlink()
    assert len(Generator.load(run, device="cpu").sample(2)) == 2
    (last / "generator_ema.safetensors").write_bytes(b"damaged")
    with pytest.raises(CheckpointError, match="damaged"):
        Generator.load(run, device="cpu")


@pytest.fixture
def told(told_run):
    """A generator that was told three classes."""
    return Generator.load(told_run, device="cpu")


def test_classes(told, run):
    turn = told.sample(9, seed=1)
    for number, name in enumerate(told.classes):
        one = told.sample(9, seed=1, class_=number)
        assert np.array_equal(one, told.sample(9, seed=1, class_=name.upper()))
        assert np.array_equal(one[number::3], turn[number::3])
        assert not np.array_equal(one[(number + 1) % 3 :: 3], turn[(number + 1) % 3 :: 3])
    with pytest.raises(ConfigError, match="unknown class 'nothing'"):
        told.sample(1, class_="nothing")
    with pytest.raises(ConfigError, match="was trained without classes"):
        Generator.load(run, device="cpu").sample(1, class_=0)


def test_a_class_for_each_image(told):
    given = told.sample(5, seed=1, labels=[2, 0])
    of = [told.sample(5, seed=1, class_=number) for number in range(3)]
    assert all(np.array_equal(image, of[(2, 0)[i % 2]][i]) for i, image in enumerate(given))
    assert np.array_equal(told.sample(5, seed=1, labels=range(3)), told.sample(5, seed=1))
    assert np.array_equal(told.from_latents(told.latents_of(0, 5, 1), labels=[2, 0]), given)
    for wrong in ({"labels": []}, {"labels": [0], "class_": 1}):
        with pytest.raises(ConfigError, match="labels: the class of each image"):
            told.sample(2, **wrong)


def test_truncation_is_the_control_of_this_name(run):
    with pytest.raises(ConfigError, match="control 'truncation': the system dcgan has nothing to turn"):
        Generator.load(run, device="cpu").sample(1, truncation=0.7)


def test_controls_that_are_not_there(run):
    generator = Generator.load(run, device="cpu")
    with pytest.raises(ConfigError, match="control 'truncation': the system dcgan has nothing to turn"):
        generator.sample(1, controls={"truncation": 0.5})
    dark = Control("brightness", 0.0, 1.0, 1.0, "how light")
    render = lambda nets, z, labels, controls: nets["generator"](z).clamp(-1, controls["brightness"] * 2 - 1)  # noqa: E731
    generator.system = dataclasses.replace(generator.system, controls=(dark,), render=render)
    assert generator.sample(2, controls={"brightness": 0.0}).max() == 0 < generator.sample(2).max()
    for value in (1.5, -1, float("nan")):
        with pytest.raises(ConfigError, match=r"control brightness: must be in \[0, 1\]"):
            generator.sample(1, controls={"brightness": value})
    with pytest.raises(ConfigError, match="the system dcgan has brightness") as e:
        generator.sample(1, controls={"brihtness": 1})
    assert "'brightness'" in e.value.hint


def test_a_number_is_a_class_before_it_is_a_name(told):
    told.classes = ["2", "0", "1"]
    assert (told.class_number(0), told.class_number("0"), told.class_number(2), told.class_number("2")) == (0, 1, 2, 0)
    with pytest.raises(ConfigError, match="unknown class '3'"):
        told.class_number(3)


def test_an_option_that_is_none(run):
    with pytest.raises(TypeError, match="unexpected keyword argument 'clas'"):
        Generator.load(run, device="cpu").sample(1, clas=1)


def test_out_of_memory_says_what_to_type(run, monkeypatch):
    generator = Generator.load(run, device="cpu")

    def full(*arguments):
        raise RuntimeError("can't allocate memory: 1 TB")

    generator.system = dataclasses.replace(generator.system, render=full)
    with pytest.raises(GantoolsError, match="out of memory at 64 images") as e:
        generator.sample(2)
    assert "--batch 32" in e.value.hint


@pytest.mark.gpu
def test_sampling_on_cuda_repeats_itself_and_is_near_the_cpu(run):
    generator = Generator.load(run, device="cuda")
    images = generator.sample(100)
    assert np.array_equal(generator.sample(10), images[:10])
    difference = images.astype(int) - Generator.load(run, device="cpu").sample(100)
    assert abs(difference).max() <= 1


def test_a_notebook_shows_recipe_checkpoint_and_samples(run, monkeypatch):
    generator = Generator.load(run, device="cpu")
    png, view = generator._repr_png_(), generator._repr_html_()
    shown = np.asarray(Image.open(io.BytesIO(png)))
    assert np.array_equal(shown, make_grid(generator.sample(16, seed=0, batch=16)))
    assert base64.b64encode(png).decode() in view and "<script" not in view
    assert generator.recipe.name in view and str(generator.checkpoint) in view and "0.048 kimg" in view
    # Samples are made once.
    monkeypatch.setattr(generator, "sample", lambda *a, **k: pytest.fail("again"))
    assert generator._repr_png_() == png
    # Where they cannot be made, the rest is shown.
    other = Generator.load(run, device="cpu")
    monkeypatch.setattr(other, "sample", lambda *a, **k: 1 / 0)
    assert other._repr_png_() is None and "<img" not in other._repr_html_() and "checkpoint" in other._repr_html_()


def test_a_notebook_escapes_names_of_classes(told_run):
    generator = Generator.load(told_run, device="cpu")
    generator.classes = ["<b>", "b", "c"]
    assert "&lt;b&gt;, b, c" in generator._repr_html_()


def test_a_notebook_shows_what_starts_from_images(images_run):
    generator = Generator.load(images_run, device="cpu")
    assert generator._repr_png_() is None and "cyclegan" in generator._repr_html_()
