import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.conftest import run_on_full_disk

from gantools.errors import ConfigError, DataError
from gantools.grid import make_grid
from gantools.sampling.generator import Generator
from gantools.sampling.write import MANIFEST, sample, samples_manifest


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
