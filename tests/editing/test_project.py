import json
from itertools import pairwise

import numpy as np
import pytest
import torch
from PIL import Image

from gantools.editing.distances import Distance, pixel_distance
from gantools.editing.project import project, ramp, search
from gantools.errors import ConfigError, DataError
from gantools.sampling.generator import Generator
from gantools.sampling.write import sample

PIXELS = Distance("pixels", pixel_distance, {})


@pytest.mark.parametrize(("which", "where"), [("run", "z"), ("styled", "z"), ("styled", "w"), ("styled", "w+")])
def test_an_image_that_the_generator_made_is_found_again(which, where, request):
    generator = Generator.load(request.getfixturevalue(which), device="cpu")
    target = generator.sample(3, seed=77)[2]
    found = search(generator, target, PIXELS, where=where, steps=300)
    assert found.distance < 0.05 * found.random, (found.distance, found.random)
    assert (found.length is not None) == (where == "z")
    assert found.latents.shape == ((6,) if where == "z" else generator.styles_shape)
    assert np.array_equal(generator.from_latents(found.latents[None])[0], found.image)
    if where == "w":
        assert (found.latents == found.latents[0]).all()
    if where == "w+":
        assert (found.latents != found.latents[0]).any()
    # The search is what finds it: one step does not.
    assert search(generator, target, PIXELS, where=where, steps=1).distance > 0.05 * found.random


def test_it_is_the_same_each_time_and_moves_nobodys_random_numbers(run):
    generator = Generator.load(run, device="cpu")
    target = generator.sample(1, seed=5)[0]
    torch.manual_seed(1)
    before = torch.rand(1)
    torch.manual_seed(1)
    first = search(generator, target, PIXELS, steps=20, starts=2)
    assert torch.equal(torch.rand(1), before)
    second = search(generator, target, PIXELS, steps=20, starts=2)
    assert np.array_equal(first.latents, second.latents) and first.distance == second.distance
    assert not np.array_equal(search(generator, target, PIXELS, steps=20, starts=2, seed=1).latents, first.latents)
    # Starts do not look at each other: the best of more is no worse.
    assert search(generator, target, PIXELS, steps=20, starts=6).distance <= first.distance + 1e-6


def test_the_class_is_found_too(told):
    generator = Generator.load(told, device="cpu")
    target = generator.sample(1, seed=8, class_=2)[0]
    found = search(generator, target, PIXELS, steps=150)
    assert found.distance < 0.2 * found.random
    given = search(generator, target, PIXELS, steps=5, class_=1)
    assert given.label == 1


def test_the_rate_climbs_and_falls():
    rates = [ramp(i, 100) for i in range(100)]
    assert rates[0] == pytest.approx(0.2) and rates[4] == 1 == rates[74]
    assert all(a > b for a, b in pairwise(rates[76:])) and 0 < rates[99] < 0.01
    assert 0 < ramp(0, 1) <= 1


def test_a_folder_of_projections(run, tmp_path):
    source = sample(run, n=2, seed=3, out=tmp_path / "s", device="cpu")
    images = [source / "000000.png", source / "000001.png"]
    options = {"steps": 60, "starts": 2, "device": "cpu", "progress": False}
    out = project(run, images, out=tmp_path / "p", **options)
    manifest = json.loads((out / "manifest.json").read_text())
    assert (manifest["format"], manifest["count"], manifest["space"]) == ("gantools-projections", 2, "z")
    assert manifest["loss"] == {"name": "pixels"} and manifest["checkpoint"] == "kimg-000000.048"
    for i, entry in enumerate(manifest["images"]):
        assert entry["name"] == f"00000{i}.png" and 0 <= entry["distance"] <= entry["nearest_random"]
        x, y = (np.asarray(Image.open(out / f)) for f in (entry["file"], f"{i:06d}-target.png"))
        tensors = [torch.from_numpy(v.copy()).permute(2, 0, 1)[None] / 127.5 - 1 for v in (x, y)]
        assert pixel_distance(*tensors).item() == pytest.approx(entry["distance"], abs=1e-3)
        assert np.array_equal(y, np.asarray(Image.open(images[i])))
    # What was found, sampled, is what was written, to the byte.
    again = sample(run, latents=out / "latents.npy", out=tmp_path / "a", device="cpu")
    assert [(again / f"00000{i}.png").read_bytes() == (out / f"00000{i}.png").read_bytes() for i in (0, 1)] == [
        True
    ] * 2
    files = {p.name: p.read_bytes() for p in project(run, images, out=tmp_path / "q", **options).iterdir()}
    assert files == {p.name: p.read_bytes() for p in out.iterdir()} and "grid.png" in files
    with pytest.raises(DataError, match="exists already"):
        project(run, images, out=out, **options)


def test_styles_found_are_sampled_too(styled, tmp_path):
    source = sample(styled, n=1, seed=3, out=tmp_path / "s", device="cpu")
    options = {"steps": 5, "device": "cpu", "progress": False}
    out = project(styled, [source / "000000.png"], out=tmp_path / "p", **options)
    assert json.loads((out / "manifest.json").read_text())["space"] == "w"
    assert np.load(out / "latents.npy").shape == (1, *Generator.load(styled, device="cpu").styles_shape)
    again = sample(styled, latents=out / "latents.npy", out=tmp_path / "a", device="cpu")
    assert (again / "000000.png").read_bytes() == (out / "000000.png").read_bytes()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"space": "w"}, "has no mapping network"),
        ({"space": "y"}, "space: expected z, w or w+"),
        ({"loss": "l2"}, "unknown loss"),
        ({"steps": 0}, "steps: must be from 1"),
        ({"starts": 257}, "starts: must be from 1 to 256"),
        ({"rate": float("nan")}, "rate: must be above 0"),
        ({"class_": 1}, "was trained without classes"),
        ({"controls": {"truncation": 0.5}}, "has nothing to turn"),
        ({"loss": "lpips"}, "needs sides of at least 16|LPIPS"),
    ],
)
def test_mistakes(run, tmp_path, options, message, monkeypatch):
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(tmp_path / "a.png")
    monkeypatch.setenv("GANTOOLS_LPIPS_WEIGHTS", str(tmp_path / "none"))
    with pytest.raises(Exception, match=message) as e:
        project(run, [tmp_path / "a.png"], out=tmp_path / "p", device="cpu", progress=False, **options)
    assert isinstance(e.value, ConfigError) or "lpips" in options.values()
    assert not (tmp_path / "p").exists()
