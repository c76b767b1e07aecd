import shutil

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from gantools.editing.directions import directions, find, latent_weights, picture, style_weights
from gantools.errors import ConfigError, DataError
from gantools.sampling.directions import read_directions
from gantools.sampling.generator import Generator
from gantools.sampling.write import sample

RNG = torch.Generator().manual_seed(3)


@pytest.fixture
def own(run, tmp_path):
    """A copy of the run, to write into."""
    return shutil.copytree(run, tmp_path / "runs" / run.name)


@pytest.fixture
def own_styled(styled, tmp_path):
    return shutil.copytree(styled, tmp_path / "runs" / styled.name)


def unit(vector):
    return vector / np.linalg.norm(vector)


def test_a_planted_axis_of_a_linear_generator_is_found(linear):
    v = torch.nn.functional.normalize(torch.randn(7, generator=RNG), dim=0)
    u = torch.nn.functional.normalize(torch.randn(192, generator=RNG), dim=0)
    weight = 5 * torch.outer(u, v) + 0.02 * torch.randn(192, 7, generator=RNG)
    generator = linear(weight)
    found = find(generator, 3)
    assert [about.name for about in found.about] == ["sefa0", "sefa1", "sefa2", "pca0", "pca1", "pca2"]
    assert found.space == "z" and found.scales.tolist() == [1] * 6
    _, s, right = np.linalg.svd(weight.numpy())
    np.testing.assert_allclose(np.abs(found.vectors[:3] @ right[:3].T), np.eye(3), atol=1e-3)
    np.testing.assert_allclose([about.value for about in found.about[:3]], s[:3] ** 2, rtol=1e-4)
    assert abs(found.vectors[3] @ v.numpy()) > 0.999 and found.about[3].value > 0.9


@pytest.mark.parametrize("layer", [nn.ConvTranspose2d(9, 5, 2), nn.Linear(9, 20), nn.Conv2d(9, 5, 1)])
def test_the_first_weights_are_measured_whatever_the_layer_is(linear, layer):
    class Network(nn.Module):
        def __init__(self):
            super().__init__()
            self.latent, self.unused, self.layer = 6, nn.Linear(3, 3), layer
            self.embed, self.last = nn.Embedding(2, 3), nn.LazyLinear(192)

        def forward(self, z):
            # Something else is read beside the latent, and a layer before it that does not read it.
            known = self.unused(torch.ones(len(z), 3))
            z = torch.cat([known, z], 1)
            x = self.layer(z if isinstance(self.layer, nn.Linear) else z[:, :, None, None]).flatten(1)
            return self.last(x.relu()).view(-1, 3, 8, 8)

    generator = linear(torch.zeros(192, 6))
    generator.networks = {"generator": Network().eval()}
    with torch.no_grad():
        generator.network(torch.zeros(1, 6))
    name, weights = latent_weights(generator)
    assert name == "layer"
    own = layer.weight.detach()
    expected = own.flatten(1).T if isinstance(layer, nn.ConvTranspose2d) else own.flatten(1)
    torch.testing.assert_close(weights, expected.reshape(len(weights), -1)[:, 3:], atol=1e-6, rtol=1e-5)
    # A deeper layer can be asked for, and one that is none is said.
    assert len(find(generator, 2, "last").about) == 4
    with pytest.raises(ConfigError, match="unknown layer 'lastt'"):
        find(generator, 2, "lastt")
    with pytest.raises(ConfigError, match="layer embed: is not used"):
        find(generator, 2, "embed")


def test_styles_are_read_by_the_affine_layers(styled):
    generator = Generator.load(styled, device="cpu")
    network = generator.network
    affine = [m.affine for m in [network.convs[0], network.images[0], *network.convs[1:], network.images[1]]]
    expected = torch.cat([a.weight.detach() * a.scale for a in affine])
    weights = style_weights(generator)
    assert weights.shape == expected.shape
    # The order does not matter to AᵀA.
    torch.testing.assert_close(weights.T @ weights, expected.T @ expected, atol=1e-4, rtol=1e-4)


def test_the_axis_along_which_styles_vary_is_found_with_its_deviation(styled):
    generator = Generator.load(styled, device="cpu")
    axis = unit(np.array([1, 2, 0, -2, 0.5], np.float32))

    class Mapping(nn.Module):
        mean = torch.zeros(5)

        def forward(self, z, labels=None):
            return z[:, :1] * 3 * torch.from_numpy(axis) + 0.1 * z[:, 1:6]

    generator.networks["generator"].mapping = Mapping()
    found = find(generator, 2)
    assert found.space == "w"
    i = [about.name for about in found.about].index("pca0")
    assert abs(found.vectors[i] @ axis) > 0.999
    assert found.scales[i] == pytest.approx(3, rel=0.05)
    assert found.about[i].value == pytest.approx(9 / (9 + 5 * 0.01), abs=0.01)


def test_images_are_moved_along_directions(own):
    generator = Generator.load(own, device="cpu")
    with pytest.raises(ConfigError, match="has no directions yet") as e:
        generator.sample(1, directions={"pca0": 2})
    assert "gantools directions" in e.value.hint
    file = directions(own, n=2, device="cpu")
    assert file == own / "directions.npz"
    found = read_directions(file)
    z, v = generator.latents_of(0, 70), found.vectors
    names = [about.name for about in found.about]
    moved = generator.sample(70, directions={"pca0": 2, "sefa1": -1.5})
    by = 2 * v[names.index("pca0")] - 1.5 * v[names.index("sefa1")]
    assert abs(moved.astype(int) - generator.from_latents(z + by)).max() <= 1
    assert np.array_equal(generator.sample(70, directions={"pca0": 0}), generator.sample(70))
    assert not np.array_equal(moved, generator.sample(70))
    # All ways to make images go along.
    assert np.array_equal(generator.numbered(65, 2, directions={"pca0": 2, "sefa1": -1.5}), moved[65:67])
    assert np.array_equal(generator.from_latents(z, directions={"pca0": 2, "sefa1": -1.5}), moved)
    ends = generator.interpolate(1, 5, 3, directions={"pca0": 2, "sefa1": -1.5})
    assert np.array_equal(ends[[0, 2]], moved[[1, 5]])
    for asked, message in (({"pca9": 1}, "unknown direction 'pca9'"), ({"pca0": float("inf")}, "finite")):
        with pytest.raises(ConfigError, match=message):
            generator.sample(1, directions=asked)


def test_styles_are_moved_by_deviations(own_styled):
    directions(own_styled, n=2, device="cpu")
    generator = Generator.load(own_styled, device="cpu")
    found = generator.found_directions
    i = [about.name for about in found.about].index("pca1")
    z = generator.latents_of(0, 5)
    styles = generator.styles_of(z) + np.float32(2 * found.scales[i]) * found.vectors[i]
    moved = generator.sample(5, directions={"pca1": 2})
    assert abs(moved.astype(int) - generator.from_latents(styles)).max() <= 1
    assert not np.array_equal(moved, generator.sample(5))


def test_the_file_the_picture_and_a_second_time(own):
    first = directions(own, n=2, device="cpu").read_bytes()
    shape = np.asarray(Image.open(own / "directions.png")).shape
    assert shape == (4 * 10 + 2, 7 * 10 + 2, 3)
    with pytest.raises(DataError, match="exists already"):
        directions(own, n=2, device="cpu")
    assert directions(own, n=2, device="cpu", overwrite=True).read_bytes() == first
    generator = Generator.load(own, device="cpu")
    grid = picture(generator, generator.found_directions)
    # The middle column is the image as it is.
    assert np.array_equal(grid[2:10, 3 * 10 + 2 : 4 * 10], generator.sample(1)[0])


def test_directions_of_another_checkpoint_are_warned_of(own, caplog):
    directions(own, n=1, device="cpu")
    last = next((own / "checkpoints").glob("kimg-*"))
    last.rename(last.with_name("kimg-000000.064"))
    Generator.load(own, device="cpu").sample(1, directions={"pca0": 1})
    assert "found for kimg-000000.048, used on kimg-000000.064" in caplog.text


@pytest.mark.parametrize("which", ["own", "own_styled"])
def test_labels_give_a_direction(which, request, tmp_path, caplog):
    run = request.getfixturevalue(which)
    out = sample(run, n=400, save_latents=True, out=tmp_path / "s", device="cpu")
    generator = Generator.load(run, device="cpu")
    z = np.load(out / "latents.npy")
    assert np.array_equal(z, generator.latents_of(0, 400))
    points = z if which == "own" else generator.styles_of(z)[:, 0]
    axis = unit(np.arange(1, points.shape[1] + 1).astype(np.float32))
    answer = (points - points.mean(0)) @ axis > 0
    table = tmp_path / "labels.csv"
    table.write_text("name,tall\n" + "".join(f"{i:06d}.png,{int(a)}\n" for i, a in enumerate(answer)))
    found = read_directions(directions(run, n=1, labels=table, samples=out, device="cpu"))
    assert [about.name for about in found.about] == ["sefa0", "pca0", "tall"]
    assert found.about[-1].value > 0.9 > found.about[-1].chance
    # Moved by it, the answer is yes more often: what the direction is for.
    assert (
        found.vectors[-1] @ axis > 0.9
        if which == "own"
        else (points @ found.vectors[-1])[answer].mean() > (points @ found.vectors[-1])[~answer].mean()
    )
    along = (points @ found.vectors[-1]).std()
    assert found.scales[-1] == pytest.approx(1 if which == "own" else along, rel=0.01)
    table.write_text("name,pca0\n" + "".join(f"{i:06d}.png,{int(a)}\n" for i, a in enumerate(answer)))
    with pytest.raises(DataError, match="two directions would be called 'pca0'"):
        directions(run, labels=table, samples=out, device="cpu", overwrite=True)
    table.write_text("name,noise\n" + "".join(f"{i:06d}.png,{i * i % 7 % 2}\n" for i in range(400)))
    directions(run, labels=table, samples=out, device="cpu", overwrite=True)
    assert "may mean nothing" in caplog.text


def test_samples_that_do_not_fit(own, run, tmp_path):
    table = tmp_path / "labels.csv"
    table.write_text("name,tall\n0,1\n")
    with pytest.raises(DataError, match="no folder of samples"):
        directions(own, labels=table, samples=tmp_path / "s", device="cpu")
    out = sample(own, n=2, out=tmp_path / "s", device="cpu")
    with pytest.raises(DataError, match="has no latents") as e:
        directions(own, labels=table, samples=out, device="cpu")
    assert "--save-latents" in e.value.hint
    out = sample(run, n=2, save_latents=True, out=tmp_path / "other", device="cpu")
    with pytest.raises(DataError, match=r"made by .*, not by"):
        directions(own, labels=table, samples=out, device="cpu")
    assert not (own / "directions.npz").exists()


def test_mistakes(own, own_styled):
    with pytest.raises(ConfigError, match="n: must be at least 1"):
        directions(own, n=0, device="cpu")
    with pytest.raises(ConfigError, match="has styles"):
        directions(own_styled, layer="mapping", device="cpu")


def test_conditional_generators_have_directions_of_the_latent_alone(told, tmp_path):
    generator = Generator.load(told, device="cpu")
    name, weights = latent_weights(generator)
    own = generator.network.get_submodule(name).weight
    assert weights.shape == (own[0].numel(), 6)
    torch.testing.assert_close(weights, own[:6].flatten(1).T, atol=1e-6, rtol=1e-5)
