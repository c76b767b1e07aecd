import numpy as np
import pytest
from PIL import Image
from tests.conftest import blobs, write_prepared

from gantools import prep
from gantools.editing.pictures import read_pictures
from gantools.errors import ConfigError, DataError


def test_they_are_what_prep_makes_of_them(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    for i, shape in enumerate(((40, 60), (33, 20), (8, 8))):
        Image.fromarray(np.random.default_rng(i).integers(0, 256, (*shape, 3), np.uint8)).save(folder / f"{i}.png")
    expected = prep(folder, size=16, out=tmp_path / "set", progress=False).gather(np.arange(3))
    names, found = read_pictures([folder], (16, 16, 3))
    assert names == ["0.png", "1.png", "2.png"] and np.array_equal(found, expected)
    names, found = read_pictures([folder / "1.png", tmp_path / "set"], (16, 16, 3), n=2)
    assert names == ["1.png", "0.png"] and np.array_equal(found, expected[[1, 0]])
    assert read_pictures([folder / "0.png"], (16, 16, 1))[1].shape == (1, 16, 16, 1)


def test_mistakes(tmp_path):
    clear = tmp_path / "clear.png"
    Image.fromarray(np.full((9, 9, 4), 100, np.uint8)).save(clear)
    with pytest.raises(DataError, match=r"clear\.png: .*transparent|clear\.png: .*alpha") as e:
        read_pictures([clear], (8, 8, 3))
    assert "--alpha white" in e.value.hint
    assert read_pictures([clear], (8, 8, 3), alpha="drop")[1].max() == 100
    (tmp_path / "no.png").write_text("no image")
    with pytest.raises(DataError, match=r"no\.png: "):
        read_pictures([tmp_path / "no.png"], (8, 8, 3))
    with pytest.raises(DataError, match="no such file or folder"):
        read_pictures([tmp_path / "nowhere.png"], (8, 8, 3))
    with pytest.raises(DataError, match="has images of 8x8x3, the run makes 16x16x1") as e:
        read_pictures([write_prepared(tmp_path / "set", blobs(2, 8, 3))], (16, 16, 1))
    assert "gantools prep --size 16 --channels 1" in e.value.hint
    for wrong in ({"crop": "top"}, {"alpha": "red"}, {"n": 0}):
        with pytest.raises(ConfigError):
            read_pictures([clear], (8, 8, 3), **wrong)
    with pytest.raises(ConfigError, match="which images"):
        read_pictures([], (8, 8, 3))
