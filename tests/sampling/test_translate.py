import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tests.conftest import blobs, write_prepared

from gantools.errors import ConfigError, DataError
from gantools.metrics.scorer import score
from gantools.models.srgan import SYSTEM as SRGAN
from gantools.models.srgan import SRGANConfig, build
from gantools.sampling.generator import Generator
from gantools.sampling.translate import OVERLAP, Translator
from gantools.sampling.translations import translate
from gantools.sampling.write import sample


@pytest.fixture(scope="module")
def run(images_run: Path) -> Path:
    return images_run


def picture(h: int, w: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (h, w, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def generator(run: Path) -> Generator:
    return Generator.load(run, device="cpu")


def test_any_size_is_taken_and_kept(generator):
    images = [picture(*shape) for shape in ((16, 16), (17, 30), (5, 9), (2, 3), (40, 21))]
    made = generator.translate(images)
    assert [m.shape for m in made] == [i.shape for i in images]
    # A side that is a multiple of 4 already is not continued.
    x = torch.from_numpy(images[0]).permute(2, 0, 1)[None] / 127.5 - 1
    with torch.no_grad():
        y = generator.networks["generator"](x)[0].permute(1, 2, 0)
    assert np.abs(made[0] - (127.5 * y.numpy() + 127.5)).max() <= 1


def test_an_image_does_not_depend_on_the_others(generator):
    images = [picture(16, 16, i) for i in range(3)]
    together = generator.translate(np.stack(images))
    assert isinstance(together, np.ndarray) and together.shape == (3, 16, 16, 3) and together.dtype == np.uint8
    for i in (2, 0, 1):
        (alone,) = generator.translate([images[i]])
        assert np.array_equal(alone, together[i])
    assert generator.translate([]) == []


def test_the_other_way_and_wrong_controls(generator):
    there, back = (generator.translate([picture(16, 16)], controls={"back": b})[0] for b in (0.0, 1.0))
    assert not np.array_equal(there, back)
    with pytest.raises(ConfigError, match=r"'bakc'[^?]*Did you mean 'back'"):
        generator.translate([picture(16, 16)], controls={"bakc": 1.0})
    with pytest.raises(ConfigError, match=r"back: must be in \[0, 1\]"):
        generator.translate([picture(16, 16)], controls={"back": 2.0})
    for wrong in (picture(16, 16)[..., :1], picture(16, 16)[0], picture(16, 16).astype(np.float32), "a.png"):
        with pytest.raises(DataError, match="this network takes"):
            generator.translate([wrong])


def test_what_starts_from_images_makes_none_from_latents(generator, run):
    calls = [
        lambda: generator.sample(4),
        lambda: next(generator.batches(4)),
        lambda: generator.numbered(0, 1),
        lambda: generator.of_seeds([1]),
        lambda: generator.from_latents(np.zeros((1, 4), np.float32)),
        lambda: generator.interpolate(0, 1, 3),
        lambda: generator.walk(4),
        lambda: sample(run, n=2, device="cpu"),
        lambda: score(run, metrics=["fid"], n=4, device="cpu"),
    ]
    for call in calls:
        with pytest.raises(ConfigError, match="makes images from images, not from latents") as error:
            call()
        assert error.value.hint == f"Give it some: gantools translate {run} IMAGES"


@pytest.mark.parametrize(("h", "w"), [(70, 90), (33, 140), (20, 20)])
def test_tiles_with_overlap_are_the_whole(h, w):
    # A generator whose network sees no farther than `OVERLAP`, and enlarges twice.
    torch.manual_seed(0)
    config = SRGANConfig(size=32, scale=2, kind="msrresnet", width=4, blocks=2, judge_width=4)
    translator = Translator(SRGAN, {name: n.eval() for name, n in build(config).items()}, config)
    controls = {"interpolation": 1.0}
    image = picture(h, w)
    (whole,) = translator.translate([image], controls=controls)
    assert whole.shape == (2 * h, 2 * w, 3)
    (tiled,) = translator.translate([image], tile=2 * OVERLAP + 20, controls=controls)
    assert np.abs(whole.astype(int) - tiled).max() <= 1
    with pytest.raises(ConfigError, match="tile"):
        translator.translate([image], tile=2 * OVERLAP, controls=controls)


def test_a_folder_keeps_its_names_and_says_what_was_left_out(run, tmp_path):
    photos = tmp_path / "photos"
    (photos / "deep").mkdir(parents=True)
    Image.fromarray(picture(20, 12)).save(photos / "one.jpg")
    Image.fromarray(picture(9, 16)).save(photos / "deep" / "two.png")
    Image.fromarray(np.full((8, 8), 40000, np.uint16)).save(photos / "wide.png")
    clear = np.zeros((8, 8, 4), np.uint8)
    Image.fromarray(clear).save(photos / "clear.png")
    (photos / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nnothing")
    out, rejects = translate(run, [photos], out=tmp_path / "out", device="cpu")
    assert {p.relative_to(out).as_posix() for p in out.rglob("*.png")} == {"one.png", "deep/two.png", "wide.png"}
    assert Image.open(out / "deep" / "two.png").size == (16, 9)
    assert {name for name, _ in rejects} == {"clear.png", "broken.png"}
    assert all(reason for _, reason in rejects)
    manifest = json.loads((out / "manifest.json").read_text())
    assert (manifest["format"], manifest["count"]) == ("gantools-translations", 3)
    assert manifest["files"]["one.png"] == "one.jpg"
    assert [r["name"] for r in manifest["rejects"]] == [name for name, _ in rejects]
    # Again, with transparency on white; only what is its own is replaced.
    with pytest.raises(DataError, match="exists already"):
        translate(run, [photos], out=out, device="cpu")
    _, rejects = translate(run, [photos], out=out, alpha="white", device="cpu", overwrite=True)
    assert [name for name, _ in rejects] == ["broken.png"]
    with pytest.raises(DataError, match="other things"):
        translate(run, [photos], out=photos, device="cpu", overwrite=True)


def test_files_and_prepared_sets(run, tmp_path):
    Image.fromarray(picture(12, 12)).save(tmp_path / "a.png")
    data = write_prepared(tmp_path / "set", blobs(3, 16, 3))
    out, rejects = translate(run, [tmp_path / "a.png", data], out=tmp_path / "out", device="cpu")
    assert sorted(p.name for p in out.glob("*.png")) == ["000000.png", "000001.png", "000002.png", "a.png"]
    assert not rejects


def test_two_of_one_name_and_nothing_readable(run, tmp_path):
    for folder in ("x", "y"):
        (tmp_path / folder).mkdir()
        Image.fromarray(picture(8, 8)).save(tmp_path / folder / "a.png")
    with pytest.raises(DataError, match=r"both be written as a\.png"):
        translate(run, [tmp_path / "x", tmp_path / "y"], out=tmp_path / "out", device="cpu")
    (tmp_path / "x" / "a.png").write_bytes(b"\x89PNG\r\n\x1a\nnothing")
    with pytest.raises(DataError, match="none of the 1 images"):
        translate(run, [tmp_path / "x"], out=tmp_path / "out", device="cpu")
    assert not (tmp_path / "out").exists()
