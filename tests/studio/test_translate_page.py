"""What the page Translate shows is what `gantools translate` writes, to the byte; what it refuses."""

from __future__ import annotations

import io
import json
import re
import shlex
import shutil
import struct
import zlib
from types import SimpleNamespace
from urllib.parse import quote

import numpy as np
import pytest
from PIL import Image
from tests.conftest import blobs, write_prepared

import gantools
from gantools import _native
from gantools.cli import main
from gantools.errors import ConfigError, DataError
from gantools.studio import translate
from gantools.studio.query import Query
from gantools.studio.routes import ROUTES
from gantools.studio.shelf import NotThere, Shelf
from gantools.training.run import train

CYCLE = "00003-cyclegan-64-blobs"
SRGAN = {
    "network": {
        "size": 32,
        "scale": 2,
        "kind": "msrresnet",
        "width": 4,
        "blocks": 1,
        "judge_width": 4,
        "judge_hidden": 8,
    },
    "game": {"pretrain_kimg": 0.008, "pixel": 1.0, "perceptual": {"weight": 0.0}},
    "data.crop": 32,
    "batch": 4,
    "kimg": 0.016,
    "tick_kimg": 0.008,
    "grid": 4,
}


@pytest.fixture(scope="module")
def enlarger(tmp_path_factory):
    """A folder with a run of a tiny SRGAN, and the photos that its pairs were made of."""
    place = tmp_path_factory.mktemp("srgan")
    (place / "photos").mkdir()
    for i, image in enumerate(blobs(8, 32, 3)):
        Image.fromarray(image).save(place / "photos" / f"{i}.png")
    data = gantools.prep("folder", source=place / "photos", size=32, scale=2, out=place / "pairs", progress=False)
    train("srgan-x4", data=data.path, out=place / "runs", overrides=SRGAN, progress=False, device="cpu")
    return place / "runs"


@pytest.fixture(scope="module")
def shelf(studio_runs, enlarger):
    return Shelf([studio_runs, enlarger], "cpu")


def get(shelf, address, body=b""):
    path, _, query = address.partition("?")
    return ROUTES[path].answer(shelf, Query(query), body)


def told(shelf, address, body=b""):
    return json.loads(get(shelf, address, body).body)


def png(pixels):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def noise(*shape, dtype=np.uint8, seed=0):
    return np.random.default_rng(seed).integers(0, np.iinfo(dtype).max, shape, dtype=dtype)


def header(width, height, colour=2):
    """A PNG that declares a size and has next to no pixels."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    first = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, colour, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + first + chunk(b"IDAT", zlib.compress(b"\0" * 100)) + chunk(b"IEND", b"")


def give(shelf, body):
    return told(shelf, "/translation/image", body)


def command_writes(lines, place, monkeypatch):
    """Runs the command below the picture in a folder; the bytes of the file it says."""
    monkeypatch.chdir(place)
    first, *words = shlex.split(lines["command"])
    assert first == "gantools"
    with pytest.raises(SystemExit) as ended:
        main([*words, "--device", "cpu"])
    assert ended.value.code == 0
    return (place / lines["file"]).read_bytes()


def test_only_runs_that_start_from_images_are_listed(shelf):
    assert [run["run"] for run in told(shelf, "/api/translators")] == ["00000-srgan-x4-pairs", CYCLE]


def test_what_a_run_takes_is_told(shelf):
    said = told(shelf, f"/api/translator?run={CYCLE}")
    assert (said["scale"], said["channels"], said["checkpoints"]) == (1, 3, ["0.016", "0.032", "0.048"])
    assert [control["name"] for control in said["controls"]] == ["back"]
    assert [set["side"] for set in said["examples"]] == ["inputs", "data"]
    assert said["examples"][0]["images"][0] == 0 and said["examples"][0]["images"][-1] == 47
    said = told(shelf, "/api/translator?run=00000-srgan-x4-pairs")
    # Nobody asks to have the large images of pairs enlarged.
    assert said["scale"] == 2 and [set["side"] for set in said["examples"]] == ["inputs"]
    assert [control["name"] for control in said["controls"]] == ["interpolation"]


FILES = {
    "a.png": (noise(20, 13, 3), ""),
    "-dash.png": (noise(8, 8, 3), "&c.back=1"),
    "with space.jpg.png": (noise(18, 30, 3), "&tile=64"),
    "grey.png": (noise(9, 9), ""),
    "clear.png": (noise(12, 12, 4), "&alpha=white"),
    "deep.png": (noise(12, 14, dtype=np.uint16), "&sixteen_bit=stretch"),
    "wide.png": (noise(40, 150, 3), "&tile=64&c.back=0.5"),
}


@pytest.mark.parametrize("name", FILES)
def test_a_file_gives_the_bytes_of_the_command(shelf, name, tmp_path, monkeypatch):
    pixels, more = FILES[name]
    body = png(pixels)
    said = give(shelf, body)
    assert (said["height"], said["width"]) == pixels.shape[:2] and said["transparent"] == (name == "clear.png")
    asked = f"run={CYCLE}&image={said['image']}&name={quote(name)}{more}"
    lines = told(shelf, f"/api/translation?{asked}")
    picture = get(shelf, f"/translation.png?{asked}").body
    assert get(shelf, f"/translation.png?{lines['address']}").body == picture
    (tmp_path / name).write_bytes(body)
    assert command_writes(lines, tmp_path, monkeypatch) == picture
    saved = get(shelf, f"/save/translation.png?{asked}")
    assert saved.body == picture and saved.headers["content-disposition"].startswith("attachment; filename=")
    before = _native.decode(get(shelf, f"/translation/before.png?{asked}&channels=3").body)
    assert before.shape[:2] == pixels.shape[:2]
    if pixels.ndim == 3 and pixels.shape[2] == 3:
        assert np.array_equal(before, pixels)


@pytest.mark.parametrize("interpolation", ["0", "0.25", "1"])
def test_an_example_gives_the_bytes_of_command_and_python(shelf, interpolation, tmp_path, monkeypatch):
    asked = f"run=00000-srgan-x4-pairs&side=inputs&index=3&c.interpolation={interpolation}"
    lines = told(shelf, f"/api/translation?{asked}")
    picture = get(shelf, f"/translation.png?{asked}").body
    assert _native.decode(picture).shape == (32, 32, 3) and lines["others"] == 7
    space = {"gantools": gantools}
    exec(lines["python"], space)
    assert _native.encode_png(space["images"][0]) == picture
    assert command_writes(lines, tmp_path, monkeypatch) == picture


def test_the_python_line_of_a_file_gives_the_same(shelf, tmp_path, monkeypatch):
    body = png(noise(12, 12, 4))
    asked = f"run={CYCLE}&image={give(shelf, body)['image']}&name=a.png&alpha=black"
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.png").write_bytes(body)
    space = {"gantools": gantools}
    exec(told(shelf, f"/api/translation?{asked}")["python"], space)
    assert (space["folder"] / "a.png").read_bytes() == get(shelf, f"/translation.png?{asked}").body


def test_large_images_are_computed_in_tiles(shelf, monkeypatch):
    monkeypatch.setattr(translate, "WHOLE", 100 * 100)
    asked = translate.read_asked(Query(f"run={CYCLE}"))

    def network(**changes):
        return SimpleNamespace(**{"scale": 1, "whole": False, "least_tile": 33, **changes})

    assert translate._tile(asked, (100, 100, 3), network()) is None
    assert translate._tile(asked, (100, 101, 3), network()) == 1024
    assert translate._tile(asked, (100, 101, 3), network(scale=4)) == 256
    assert translate._tile(asked, (100, 101, 3), network(whole=True)) is None
    assert translate._tiles(network(least_tile=81)) == [128, 256, 512, 1024]
    with pytest.raises(ConfigError, match="one of auto for this network, not 64"):
        translate._tile(translate.read_asked(Query(f"run={CYCLE}&tile=64")), (10, 10, 3), network(whole=True))
    image = give(shelf, png(noise(120, 100, 3)))["image"]
    assert told(shelf, f"/api/translation?run={CYCLE}&image={image}&name=a.png")["command"].endswith("--tile 1024")


REFUSED_FILES = {
    "svg": (b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>", "SVG"),
    "text": (b"nothing of an image", "cannot be read"),
    "html": (b"<!doctype html><img src=x>", "cannot be read"),
    "empty": (b"", "the file is empty"),
    "truncated": (png(noise(64, 64, 3))[:2000], "damaged PNG"),
    "bomb": (header(60_000, 60_000), "too large: 60000x60000"),
    "65 megapixels": (header(8125, 8000), "too large: 8125x8000 is more than 64000000"),
    "nothing behind the header": (header(8000, 8000), "damaged PNG"),
}


@pytest.mark.parametrize("kind", REFUSED_FILES)
def test_what_is_no_image_is_refused(shelf, kind):
    body, words = REFUSED_FILES[kind]
    with pytest.raises(DataError, match=re.escape(words)):
        give(shelf, body)


def test_64_megapixels_are_not_too_large():
    # The size is looked at before anything is decoded: what follows the header is missed, not the size.
    with pytest.raises(DataError, match="damaged"):
        translate.decoded(header(8000, 8000), 3, "error", "full")


KNOWN = "0" * 64
REFUSED = {
    "run=nothing": (NotThere, "run 'nothing'"),
    "run=../secret": (NotThere, "is not there"),
    f"run={CYCLE}&checkpoint=7": (NotThere, "no checkpoint '7'"),
    "run=00000-dcgan-blobs&side=data": (ConfigError, "from nothing but a seed"),
    f"run={CYCLE}&image={KNOWN}": (NotThere, "not kept any more"),
    f"run={CYCLE}&image=../a.png": (ConfigError, "no name of an image"),
    f"run={CYCLE}&image={'G' * 64}": (ConfigError, "no name of an image"),
    f"run={CYCLE}&side=etc": (ConfigError, "side: must be one of"),
    f"run={CYCLE}&index=48": (NotThere, "image 48: blobs has 48"),
    f"run={CYCLE}&index=-1": (ConfigError, "index: must be a whole number"),
    f"run={CYCLE}&name=a/b.png": (ConfigError, "without a folder"),
    f"run={CYCLE}&name=": (ConfigError, "without a folder"),
    f"run={CYCLE}&name={'a' * 300}": (ConfigError, "without a folder"),
    f"run={CYCLE}&name=a%0Ab": (ConfigError, "without a folder"),
    f"run={CYCLE}&tile=7": (ConfigError, "tile: must be one of auto, 64"),
    "run=00000-srgan-x4-pairs&tile=1024": (ConfigError, "tile: must be one of 64, 128, 256, 512, not 1024"),
    f"run={CYCLE}&alpha=pink": (ConfigError, "alpha: must be one of"),
    f"run={CYCLE}&c.back=2": (ConfigError, "back: must be in"),
    f"run={CYCLE}&c.back=nan": (ConfigError, "back: must be a number"),
    f"run={CYCLE}&c.bakc=1": (ConfigError, "Did you mean 'back'"),
    f"run={CYCLE}&seed=1": (ConfigError, "'seed', which means nothing here"),
}


@pytest.mark.parametrize("query", REFUSED)
def test_what_cannot_be_translated_is_refused(shelf, query):
    kind, words = REFUSED[query]
    with pytest.raises(kind, match=re.escape(words)):
        get(shelf, f"/translation.png?{query}")


def test_how_a_file_is_read_is_chosen_and_never_guessed(shelf):
    clear = give(shelf, png(noise(8, 8, 4)))["image"]
    with pytest.raises(DataError, match="the image is transparent"):
        get(shelf, f"/translation.png?run={CYCLE}&image={clear}")
    deep = give(shelf, png(noise(8, 8, dtype=np.uint16)))["image"]
    with pytest.raises(ConfigError, match="sixteen_bit is full, stretch or"):
        get(shelf, f"/translation.png?run={CYCLE}&image={deep}&sixteen_bit=9:3")


def test_what_would_be_too_large_is_refused_before_it_is_made(shelf, monkeypatch):
    monkeypatch.setattr(translate, "PIXELS", 40 * 40)
    image = give(shelf, png(noise(30, 30, 3)))["image"]
    with pytest.raises(ConfigError, match="60 x 60 pixels would come of it") as refused:
        get(shelf, f"/translation.png?run=00000-srgan-x4-pairs&image={image}")
    assert "gantools translate" in str(refused.value.hint)
    get(shelf, f"/translation.png?run={CYCLE}&image={image}")


def test_images_are_kept_in_bounds(monkeypatch):
    monkeypatch.setattr(translate, "FILES", 3000)
    kept = translate.Given()
    bodies = [png(noise(20, 20, 3, seed=i)) for i in range(3)]
    names = [kept.take(body) for body in bodies]
    assert sum(map(len, bodies)) > 3000 > len(bodies[1]) + len(bodies[2])
    with pytest.raises(NotThere, match="not kept any more"):
        kept.pixels(names[0], 3, "error", "full")
    assert kept.pixels(names[2], 3, "error", "full").shape == (20, 20, 3)


@pytest.fixture
def moved(studio_runs, tmp_path):
    """moved(set) -> a shelf with a copy of the CycleGAN that says it was trained with that set."""

    def move(data):
        run = tmp_path / "runs" / CYCLE
        shutil.copytree(studio_runs / CYCLE, run)
        text = (run / "config.yaml").read_text()
        old = str(studio_runs.parent / "data" / "blobs")
        assert old in text
        (run / "config.yaml").write_text(text.replace(old, str(data)))
        return Shelf([tmp_path / "runs"], "cpu")

    return move


def test_a_set_that_is_gone_gives_no_examples(moved, tmp_path):
    shelf = moved(tmp_path / "gone")
    assert told(shelf, f"/api/translator?run={CYCLE}")["examples"] == []
    with pytest.raises(NotThere, match="is not there"):
        get(shelf, f"/translation.png?run={CYCLE}")


def test_another_set_in_its_place_gives_no_examples(moved, tmp_path):
    shelf = moved(write_prepared(tmp_path / "other", blobs(5, 16, 3, seed=9)))
    assert told(shelf, f"/api/translator?run={CYCLE}")["examples"] == []
    with pytest.raises(NotThere, match="holds another set now"):
        get(shelf, f"/translation.png?run={CYCLE}")


def test_images_of_another_number_of_channels_are_no_examples_and_refused(moved, tmp_path):
    data = write_prepared(tmp_path / "grey", blobs(5, 16, 1))
    shelf = moved(data)
    run = tmp_path / "runs" / CYCLE
    old = re.findall(r"fingerprint: (\w+)", (run / "config.yaml").read_text())
    text = (run / "config.yaml").read_text()
    for word in old:
        text = text.replace(word, gantools.open(data).fingerprint)
    (run / "config.yaml").write_text(text)
    assert told(shelf, f"/api/translator?run={CYCLE}")["examples"] == []
    with pytest.raises(DataError, match=re.escape("this network takes uint8 (h, w, 3)")):
        get(shelf, f"/translation.png?run={CYCLE}")


def test_a_run_that_is_deleted_meanwhile(moved, tmp_path):
    shelf = moved(tmp_path / "gone")
    image = give(shelf, png(noise(8, 8, 3)))["image"]
    get(shelf, f"/translation.png?run={CYCLE}&image={image}")
    shutil.rmtree(tmp_path / "runs" / CYCLE)
    with pytest.raises(NotThere):
        get(shelf, f"/translation.png?run={CYCLE}&image={image}")
