import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.conftest import run_on_full_disk

from gantools.errors import ConfigError, DataError
from gantools.grid import make_grid
from gantools.sampling.generator import Generator
from gantools.sampling.write import MANIFEST, sample, samples_latents, samples_manifest, walk


def files(folder: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in folder.iterdir()}


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


def test_an_unknown_format(run, tmp_path):
    with pytest.raises(ConfigError, match="format"):
        sample(run, out=tmp_path / "s", format="gif")


def test_the_manifest_is_read_where_it_is_one(run, tmp_path):
    out = sample(run, n=2, out=tmp_path / "s", device="cpu")
    assert samples_manifest(out) == json.loads((out / MANIFEST).read_text())
    assert samples_manifest(tmp_path) is None  # no manifest
    (tmp_path / MANIFEST).write_text('{"format": "of another program"}')
    assert samples_manifest(tmp_path) is None
    for text, message in (('{"format": "gantools-samples", "version": 2}', "samples format 2"), ("{", "damaged")):
        (out / MANIFEST).write_text(text)
        with pytest.raises(DataError, match=message):
            samples_manifest(out)


def test_a_grid_has_a_row_for_each_class(told_run, tmp_path):
    generator = Generator.load(told_run, device="cpu")
    for n, columns in ((70, 8), (11, 3)):
        images = generator.sample(n)
        out = sample(told_run, n=n, out=tmp_path / f"s{n}", grid=True, device="cpu")
        rows = np.concatenate([images[c : 3 * columns : 3] for c in range(3)])
        assert np.array_equal(np.asarray(Image.open(out / "grid.png")), make_grid(rows, columns))
    # Too few for a row, or one class alone: in their order.
    for name, n, class_ in (("few", 2, None), ("one", 9, "2")):
        out = sample(told_run, n=n, class_=class_, out=tmp_path / name, grid=True, device="cpu")
        images = generator.sample(n, class_=class_)
        assert np.array_equal(np.asarray(Image.open(out / "grid.png")), make_grid(images))


@pytest.mark.parametrize("chosen", [{"n": 70, "seed": 4}, {"index": 66, "seed": 4}, {"seeds": [3, 1]}])
@pytest.mark.parametrize("format", ["png", "npy"])
def test_latents_are_kept_and_give_the_same_images(run, tmp_path, chosen, format):
    out = sample(run, **chosen, save_latents=True, format=format, out=tmp_path / "a", device="cpu")
    z = np.load(out / "latents.npy")
    assert z.dtype == np.float32 and z.shape == (json.loads((out / MANIFEST).read_text())["count"], 6)
    assert np.array_equal(samples_latents(out), z)
    again = sample(run, latents=out / "latents.npy", format=format, out=tmp_path / "b", device="cpu")
    images = {name: data for name, data in files(out).items() if name not in (MANIFEST, "latents.npy")}
    found = {name: data for name, data in files(again).items() if name != MANIFEST}
    if "n" in chosen:
        assert found == images
    else:  # at another place of the batch: a pixel may differ by 1
        assert found.keys() == images.keys()
    manifest = json.loads((again / MANIFEST).read_text())
    assert manifest["latents"] == str(out / "latents.npy") and manifest["count"] == len(z)


def test_a_folder_with_latents_can_be_scored(run, tmp_path):
    from gantools.metrics.images.open import open_source

    out = sample(run, n=3, save_latents=True, grid=True, out=tmp_path / "a", device="cpu")
    assert len(open_source(out)) == 3


def test_latents_that_do_not_fit(run, tmp_path):
    np.save(tmp_path / "z.npy", np.ones((2, 5), np.float32))
    for given in (tmp_path / "z.npy", np.ones((2, 2, 6), np.float32)):
        with pytest.raises(ConfigError, match=r"latents: expected \(n, 6\), found"):
            sample(run, latents=given, out=tmp_path / "s", device="cpu")
    with pytest.raises(ConfigError, match="one of them"):
        sample(run, latents=tmp_path / "z.npy", seeds=[1], out=tmp_path / "s", device="cpu")
    assert not (tmp_path / "s").exists()


def test_a_walk_is_a_folder_of_frames_and_a_film(run, tmp_path):
    generator = Generator.load(run, device="cpu")
    out = walk(run, frames=12, seeds=[1, 2, 3], film=tmp_path / "w.png", fps=12, out=tmp_path / "w", device="cpu")
    frames = [np.asarray(Image.open(out / f"{i:06d}.png")) for i in range(12)]
    assert np.array_equal(frames, generator.walk(12, seeds=[1, 2, 3]))
    for at, seed in ((0, 1), (4, 2), (8, 3)):
        assert abs(frames[at].astype(int) - generator.sample(1, seed=seed)[0]).max() <= 1
    film = Image.open(tmp_path / "w.png")
    assert film.n_frames == 12
    film.seek(7)
    assert np.array_equal(np.asarray(film.convert("RGB")), frames[7])
    manifest = samples_manifest(out)
    assert manifest["walk"] == {"seeds": [1, 2, 3], "closed": True} and manifest["count"] == 12
    once = walk(run, frames=3, seeds=[5, 6], once=True, out=tmp_path / "o", device="cpu")
    last = np.asarray(Image.open(once / "000002.png")).astype(int)
    assert abs(last - generator.sample(1, seed=6)[0]).max() <= 1
    # By latents of a file, as a projection leaves them.
    np.save(tmp_path / "z.npy", generator.keys(seeds=[1, 2, 3]))
    by_file = walk(run, frames=12, latents=tmp_path / "z.npy", out=tmp_path / "f", device="cpu")
    assert (by_file / "000007.png").read_bytes() == (out / "000007.png").read_bytes()


def test_walks_that_cannot_be(run, tmp_path):
    (tmp_path / "there.png").write_text("mine")
    np.save(tmp_path / "z.npy", np.ones((2, 5), np.float32))
    for options, message in (
        ({"seeds": [1]}, "2 points"),
        ({"frames": 0}, "at least 1 frame"),
        ({"fps": 0}, "fps: must be from 1"),
        ({"film": tmp_path / "a.gif"}, "is no .png or .mp4 file"),
        ({"film": tmp_path / "there.png"}, "exists already"),
        ({"film": tmp_path / "w/film.png"}, "lies in the folder"),
        ({"latents": tmp_path / "z.npy"}, r"goes by \(points, 6\)"),
        ({"latents": tmp_path / "z.npy", "seeds": [1, 2]}, "one of them"),
    ):
        with pytest.raises((ConfigError, DataError), match=message):
            walk(run, out=tmp_path / "w", device="cpu", **options)
        assert not (tmp_path / "w").exists()
    assert (tmp_path / "there.png").read_text() == "mine"


def test_a_walk_has_one_class(told_run, tmp_path):
    generator = Generator.load(told_run, device="cpu")
    out = walk(told_run, frames=4, seeds=[0, 1], class_="2", out=tmp_path / "w", device="cpu")
    assert samples_manifest(out)["class"] == "2"
    frames = [np.asarray(Image.open(out / f"{i:06d}.png")) for i in range(4)]
    assert np.array_equal(frames, generator.walk(4, seeds=[0, 1], class_=2))
    assert samples_manifest(walk(told_run, frames=2, seeds=[0, 1], out=tmp_path / "v", device="cpu"))["class"] == "0"
