"""`gantools prep tiles`: squares of one size out of images of any, alone and in pairs."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

import gantools
from gantools.data.inspect import verify
from gantools.data.prepare import merge, prep, prep_share
from gantools.data.tiles import starts, tile_name
from gantools.errors import ConfigError, DataError

SIZES = {"a.png": (50, 41), "b.png": (32, 32), "c.d.png": (70, 33)}


@pytest.fixture
def photos(tmp_path):
    for i, (name, (w, h)) in enumerate(SIZES.items()):
        path = tmp_path / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(i).integers(0, 256, (h, w, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(path)
    return tmp_path / "photos"


def cut(photos, out, **options):
    return prep("folder", source=photos, split="none", out=out, progress=False, **options)


@pytest.mark.parametrize(
    ("length", "side", "stride", "scale", "rest", "expected"),
    [
        (50, 16, 16, 1, "shift", [0, 16, 32, 34]),
        (50, 16, 16, 1, "drop", [0, 16, 32]),
        (50, 16, 16, 4, "shift", [0, 16, 32]),
        (54, 16, 16, 4, "shift", [0, 16, 32, 36]),
        (48, 16, 8, 1, "shift", [0, 8, 16, 24, 32]),
        (16, 16, 16, 1, "shift", [0]),
        (15, 16, 16, 1, "shift", []),
        (19, 16, 16, 4, "shift", [0]),
    ],
)
def test_tiles_cover_an_axis(length, side, stride, scale, rest, expected):
    assert starts(length, side, stride, scale, rest) == expected


def test_tiles_are_the_pixels_at_their_places(photos, tmp_path):
    made = cut(photos, tmp_path / "set", tile=16, stride=12)
    assert len(set(made.names)) == len(made) and made.shape == (16, 16, 3)
    of = {tile_name(n, y, x): (n, y, x) for n in SIZES for y in range(80) for x in range(80)}
    seen = {name: np.zeros(size[::-1], bool) for name, size in SIZES.items()}
    for i, tile in enumerate(made.names):
        name, y, x = of[tile]
        pixels = np.asarray(Image.open(photos / name))
        np.testing.assert_array_equal(made[i], pixels[y : y + 16, x : x + 16])
        seen[name][y : y + 16, x : x + 16] = True
    assert all(covered.all() for covered in seen.values())
    assert verify(made.path) == [] and made.manifest["source"]["tiles_of"] == 3


def test_tiles_of_a_scale_are_cut_out_of_the_smaller_image(photos, tmp_path):
    made = cut(photos, tmp_path / "set", tile=16, stride=8, scale=4)
    assert made.inputs.shape == (4, 4, 3) and made.inputs.names == made.names
    of = {tile_name(n, y, x): (n, y, x) for n in SIZES for y in range(80) for x in range(80)}
    for i, tile in enumerate(made.names):
        name, y, x = of[tile]
        with Image.open(photos / name) as image:
            w, h = image.width // 4, image.height // 4
            small = np.asarray(image.crop((0, 0, w * 4, h * 4)).resize((w, h), Image.Resampling.BICUBIC))
        np.testing.assert_array_equal(made.inputs[i], small[y // 4 : y // 4 + 4, x // 4 : x // 4 + 4])
    # The border of a tile knows what is beside it, which one that is made smaller by itself does not.
    alone = Image.fromarray(made[1]).resize((4, 4), Image.Resampling.BICUBIC)
    assert not np.array_equal(made.inputs[1], np.asarray(alone))
    assert "of the whole image" in made.manifest["inputs"]["kernel"]


def test_threads_shares_and_encoding_change_no_pixel(photos, tmp_path):
    options = {"tile": 16, "stride": 8, "scale": 2, "shard_size": 7}
    whole = cut(photos, tmp_path / "set", threads=1, **options)
    cut(photos, tmp_path / "three/set", threads=3, **options)
    for share in ("1/2", "2/2"):
        prep_share("folder", share, source=photos, split="none", out=tmp_path / "parts/set", progress=False, **options)
    merge(tmp_path / "parts/set", progress=False)
    files = sorted(p.relative_to(whole.path) for p in whole.path.rglob("*") if p.is_file())
    for other in (tmp_path / "three/set", tmp_path / "parts/set"):
        assert sorted(p.relative_to(other) for p in other.rglob("*") if p.is_file()) == files
        assert all((whole.path / file).read_bytes() == (other / file).read_bytes() for file in files)
    stored = cut(photos, tmp_path / "png", store="encoded", **options)
    rows = np.arange(len(whole))
    np.testing.assert_array_equal(stored.gather(rows), whole.gather(rows))
    np.testing.assert_array_equal(stored.inputs.gather(rows), whole.inputs.gather(rows))
    assert verify(stored.path) == []


def test_labels_are_carried_and_what_cannot_be_cut_is_a_reject(tmp_path):
    for kind, size in (("cat", 20), ("dog", 40)):
        (tmp_path / "set" / kind).mkdir(parents=True)
        Image.fromarray(np.full((size, size, 3), size, np.uint8)).save(tmp_path / "set" / kind / "a.png")
    (tmp_path / "set/dog/broken.png").write_bytes(b"no image")
    (tmp_path / "set/dog/small.png").write_bytes((tmp_path / "set/cat/a.png").read_bytes())
    made = prep("folder", source=tmp_path / "set", tile=20, out=tmp_path / "made", progress=False)
    assert made.labels.tolist() == [0, 1, 1, 1, 1, 1] and made.classes == ["cat", "dog"]
    Image.fromarray(np.zeros((9, 30, 3), np.uint8)).save(tmp_path / "set/dog/small.png")
    made = prep("folder", source=tmp_path / "set", tile=20, scale=4, out=tmp_path / "more", progress=False)
    assert made.labels.tolist() == [0, 1, 1, 1, 1] and len(made.inputs) == 5
    lines = [json.loads(line) for line in (made.path / "rejects.jsonl").read_text().splitlines()]
    assert [line["class"] for line in lines] == ["not-an-image", "does-not-fit"]
    assert "30x9 is too small for the tile 20x20+0+0" in lines[1]["reason"]
    assert gantools.open(made.path).inputs.names == made.names


def test_two_folders_of_two_sizes_are_cut_alike(photos, tmp_path):
    for name, (w, h) in SIZES.items():
        small = np.random.default_rng(w).integers(0, 256, (h // 4, w // 4, 3), dtype=np.uint8)
        path = tmp_path / "low" / name.replace(".png", "x4.png")
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(small).save(path)
    made = cut(photos, tmp_path / "set", tile=16, scale=4, inputs=tmp_path / "low")
    of = {tile_name(n, y, x): (n, y, x) for n in SIZES for y in range(80) for x in range(80)}
    for i, tile in enumerate(made.names):
        name, y, x = of[tile]
        low = np.asarray(Image.open(tmp_path / "low" / name.replace(".png", "x4.png")))
        np.testing.assert_array_equal(made.inputs[i], low[y // 4 : y // 4 + 4, x // 4 : x // 4 + 4])
    for name in SIZES:
        low = tmp_path / "low" / name.replace(".png", "x4.png")
        low.rename(low.with_name(low.name.replace("x4", "x2")))
    with pytest.raises(DataError, match=r"a.png is 50 x 41, its input 12 x 10: not 2 times smaller \(3 such\)"):
        cut(photos, tmp_path / "no", tile=16, scale=2, inputs=tmp_path / "low")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"tile": 16, "size": 16}, "cut and not resized"),
        ({"tile": 18, "scale": 4}, "the size 18 is no multiple of the scale 4"),
        ({"tile": 16, "stride": 6, "scale": 4}, "the stride 6 is no multiple of the scale 4"),
        ({"tile": 0}, "the tile is 0"),
        ({"tile": 16, "rest": "shif"}, "Did you mean 'shift'"),
        ({"size": 16, "stride": 4}, "those of tiles"),
        ({"tile": 16, "direction": "AtoB"}, "not cut into tiles"),
        ({"tile": 16, "store": "encoded", "encoding": "original"}, "original bytes"),
    ],
)
def test_mistakes_are_one_clear_line(photos, tmp_path, options, words):
    with pytest.raises(ConfigError) as e:
        cut(photos, tmp_path / "set", **options)
    assert words in e.value.message and "\n" not in e.value.message and e.value.hint
    assert not (tmp_path / "set").exists()
