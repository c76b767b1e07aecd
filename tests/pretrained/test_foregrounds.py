from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gantools.errors import ConfigError
from gantools.pretrained.foregrounds import read_foregrounds


def levels(n: int = 2, side: int = 8) -> np.ndarray:
    random = np.random.default_rng(0)
    found = random.integers(0, 256, (n, side, side, 4), dtype=np.uint8)
    found[..., 3] = np.where(random.random((n, side, side)) < 0.5, 0, 255)
    return found


def test_an_array_is_read_as_it_is(tmp_path):
    np.save(tmp_path / "a.npy", levels())
    found, sha = read_foregrounds(tmp_path / "a.npy", 2, 8)
    assert np.array_equal(found, levels()) and len(sha) == 64
    other = levels()
    other[0, 0, 0, 0] ^= 1
    np.save(tmp_path / "b.npy", other)
    assert read_foregrounds(tmp_path / "b.npy", 2, 8)[1] != sha


def test_a_folder_of_png_files_gives_colours_where_there_are_some(tmp_path):
    wanted = levels(3)
    wanted[2, ..., 3] = 100  # half transparent
    for i, image in enumerate(wanted):
        Image.fromarray(image, "RGBA").save(tmp_path / f"{i}.png")
    (tmp_path / "notes.txt").write_text("no image")
    found, _ = read_foregrounds(tmp_path, 3, 8)
    assert np.array_equal(found[..., 3], wanted[..., 3])
    solid = wanted[..., 3] == 255
    assert np.array_equal(found[..., :3][solid], wanted[..., :3][solid])
    assert np.abs(found[2, ..., :3].astype(int) - wanted[2, ..., :3]).max() <= 3  # of 100 levels on black and white


def made(tmp_path: Path, kind: str) -> Path | None:
    place = tmp_path / "given"
    if kind == "none":
        return None
    if kind == "missing":
        return place
    if kind in ("empty", "sizes", "broken"):
        place.mkdir()
        if kind == "sizes":
            for side in (8, 9):
                Image.fromarray(levels(1, side)[0], "RGBA").save(place / f"{side}.png")
        if kind == "broken":
            (place / "a.png").write_bytes(b"nothing")
        return place
    place = place.with_suffix(".npy")
    if kind == "text":
        place.write_text("glasses")
    else:
        clear = levels()
        clear[1, ..., 3] = 0
        made_of = {
            "flat": levels()[0],
            "float": levels() / 255,
            "rgb": levels()[..., :3],
            "three": levels(3),
            "large": levels(2, 9),
            "clear": clear,
            "pickle": np.array([[{}]], dtype=object),
        }
        np.save(place, made_of[kind], allow_pickle=True)
    return place


@pytest.mark.parametrize(
    ("kind", "words", "hint"),
    [
        ("none", "what is to be put on the images", "Set game.foregrounds=PATH"),
        ("missing", "no such file", "Set game.foregrounds=PATH"),
        ("empty", "no PNG files", "transparency"),
        ("sizes", "different sizes", "squares of one size"),
        ("broken", "a.png", ""),
        ("text", "no array", ""),
        ("pickle", "no array", ""),
        ("flat", "wanted", ""),
        ("float", "float64", "Set game.foregrounds=PATH"),
        ("rgb", "wanted", "Set game.foregrounds=PATH"),
        ("three", "holds 3 of 8x8", "Set network.foregrounds=3 and network.canvas=8."),
        ("large", "2 of 9x9", "Set network.foregrounds=2 and network.canvas=9."),
        ("clear", "transparent everywhere", "Take it out"),
    ],
)
def test_what_cannot_be_used_is_said_in_a_line(kind, words, hint, tmp_path):
    with pytest.raises(ConfigError) as error:
        read_foregrounds(made(tmp_path, kind), 2, 8)
    assert words in error.value.message and "\n" not in error.value.message
    assert hint in (error.value.hint or "")
