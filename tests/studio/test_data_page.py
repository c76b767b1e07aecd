"""What the page Data shows is what `gantools show` draws and `gantools info` tells; what it refuses."""

from __future__ import annotations

import json
import re
import shlex
import shutil

import numpy as np
import pytest
from PIL import Image
from tests.conftest import blobs, write_prepared
from tests.data.test_show import faces

import gantools
from gantools import _native
from gantools.cli import main
from gantools.data.inspect import info
from gantools.errors import ConfigError, DataError
from gantools.studio import data as page
from gantools.studio.query import Query
from gantools.studio.routes import ROUTES
from gantools.studio.shelf import NotThere, Shelf


@pytest.fixture(scope="module")
def place(tmp_path_factory, studio_runs):
    """A folder with prepared sets of all kinds in its folder `data`."""
    place = tmp_path_factory.mktemp("sets")
    classes = place / "photos"
    for i in range(20):
        (classes / "ab"[i % 2]).mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(3 if i == 9 else i).integers(0, 256, (12, 12, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(classes / "ab"[i % 2] / f"{i:02d}.png")
    (classes / "a" / "bad.png").write_bytes(b"")
    quiet = {"progress": False}
    gantools.prep("folder", source=classes, size=12, shard_size=8, out=place / "data/photos", **quiet)
    gantools.prep("celeba", source=faces(place / "celeba", (178, 218)), size=64, out=place / "data/faces", **quiet)
    wild = faces(place / "wild", (400, 500))
    (wild / "img_align_celeba").rename(wild / "img_celeba")
    (wild / "list_landmarks_align_celeba.txt").rename(wild / "list_landmarks_celeba.txt")
    gantools.prep("celeba", source=wild, size=64, out=place / "data/wild", **quiet)
    gantools.prep("folder", source=classes / "b", size=12, scale=2, out=place / "data/pairs", **quiet)
    write_prepared(place / "data" / "large", blobs(3, 400, 3))
    return place


@pytest.fixture
def shelf(place, studio_runs, monkeypatch):
    monkeypatch.chdir(place)
    return Shelf([studio_runs], "cpu")


def get(shelf, address):
    path, _, query = address.partition("?")
    return ROUTES[path].answer(shelf, Query(query), b"")


def told(shelf, address):
    return json.loads(get(shelf, address).body)


def pixels(shelf, address):
    return _native.decode(get(shelf, address).body)


def shown(shelf, query):
    return [i for half in told(shelf, f"/api/set/images?{query}")["halves"] for i, _ in half["images"]]


def test_sets_of_runs_and_those_here_are_listed(shelf):
    assert {s["set"] for s in told(shelf, "/api/sets")} == {
        "blobs",
        "told",
        "photos",
        "faces",
        "wild",
        "pairs",
        "large",
    }


def test_the_facts_are_those_of_info(shelf):
    said = told(shelf, "/api/set?set=photos")
    wanted = info("data/photos", duplicates=False)
    for key in ("count", "shape", "bytes", "fingerprint", "source", "policy", "classes", "rejects", "sizes"):
        assert said[key] == wanted[key], key
    assert (said["classes"] == {"a": 10, "b": 10} and said["rejects"] == {"damaged": 1}) or said["rejects"]
    assert said["marks"] == [] and said["command"] == "gantools info data/photos"
    assert told(shelf, "/api/set?set=faces")["marks"] == ["landmarks"]
    assert told(shelf, "/api/set?set=wild")["marks"] == ["landmarks", "boxes"]
    assert told(shelf, "/api/set?set=faces")["attributes"] == {"Smiling": 2, "Bald": 0}
    assert told(shelf, "/api/set?set=pairs")["pairs"] is True


def test_pages_of_a_class_are_all_of_it_once(shelf):
    data = gantools.open("data/photos")
    said = told(shelf, "/api/set/images?set=photos&class=b&per=4")
    assert said["pages"] == 3 and said["halves"][0]["count"] == 10
    found = [i for p in range(3) for i in shown(shelf, f"set=photos&class=b&per=4&page={p}")]
    assert found == np.flatnonzero(data.labels == 1).tolist()
    assert said["halves"][0]["images"][0] == [found[0], data.names[found[0]]]
    assert [i for p in range(4) for i in shown(shelf, f"set=photos&per=6&page={p}")] == list(range(20))


def test_an_attribute_divides_a_page(shelf):
    said = told(shelf, "/api/set/images?set=faces&attribute=Smiling&per=4")
    assert [(half["title"], half["count"]) for half in said["halves"]] == [("has Smiling", 2), ("lacks Smiling", 4)]
    assert [[i for i, _ in half["images"]] for half in said["halves"]] == [[0, 3], [1, 2]]
    # The half that is over is empty while the other one goes on.
    assert shown(shelf, "set=faces&attribute=Smiling&per=4&page=1") == [4, 5]


PAGES = [
    "set=photos&per=7",
    "set=photos&per=7&page=2",
    "set=photos&per=4&class=b&page=1",
    "set=faces&per=4&attribute=Smiling",
    "set=faces&per=4&attribute=Smiling&page=1",
    "set=faces&per=3&landmarks=1",
    "set=wild&per=4&boxes=1&landmarks=1",
    "set=pairs&per=6",
    "set=told&per=9&class=2",
]


@pytest.mark.parametrize("query", PAGES)
def test_the_command_gives_the_page_and_python_its_images(shelf, query, tmp_path, monkeypatch):
    said = told(shelf, f"/api/set/images?{query}")
    grid = get(shelf, f"/save/set.png?{query}")
    first, *words = shlex.split(said["command"])
    assert first == "gantools"
    with pytest.raises(SystemExit) as ended:
        main([*words, "--out", str(tmp_path / "grid.png")])
    assert ended.value.code == 0 and (tmp_path / "grid.png").read_bytes() == grid.body
    assert grid.headers["content-disposition"] == f'attachment; filename="{said["file"]}"'
    space = {"gantools": gantools}
    exec(said["python"], space)
    assert np.array_equal(space["images"], space["s"].gather(shown(shelf, query)))


def test_an_image_is_that_of_the_set(shelf):
    data = gantools.open("data/photos")
    assert np.array_equal(pixels(shelf, "/set/image.png?set=photos&index=7"), data[7])
    assert np.array_equal(pixels(shelf, "/set/image.png?set=photos&index=7&small=1"), data[7])
    pairs = gantools.open("data/pairs")
    assert np.array_equal(pixels(shelf, "/set/image.png?set=pairs&index=2&side=image"), pairs[2])
    assert np.array_equal(pixels(shelf, "/set/image.png?set=pairs&index=2&side=input"), pairs.inputs[2])
    both = pixels(shelf, "/set/image.png?set=pairs&index=2")
    assert np.array_equal(both[:, 12:], pairs[2]) and np.array_equal(both[::2, :12:2], pairs.inputs[2])
    marked = pixels(shelf, "/set/image.png?set=faces&index=0&landmarks=1")
    assert marked.shape == (192, 192, 3) and (marked == (255, 40, 40)).all(-1).any()


def test_small_pictures_are_means_of_blocks(shelf):
    large = gantools.open("data/large")
    small = pixels(shelf, "/set/image.png?set=large&index=1&small=1")
    assert small.shape == (200, 200, 3)
    assert np.array_equal(small[5, 9], np.round(large[1][10:12, 18:20].mean((0, 1))).astype(np.uint8))
    assert pixels(shelf, "/set/image.png?set=large&index=1").shape == (400, 400, 3)


def test_all_that_is_known_of_an_image(shelf):
    said = dict(told(shelf, "/api/set/image?set=faces&index=3")["said"])
    assert said["name"] == "000004.jpg" and said["attributes"] == "Smiling" and said["file"] == "178 x 218 pixels"
    assert said["landmarks"].startswith("69, 109") and said["stored in"] == "images-00000.npy"
    said = told(shelf, "/api/set/image?set=photos&index=19")
    assert dict(said["said"])["class"] == "b" and dict(said["said"])["stored in"] == "images-00002.npy"
    assert said["command"] == "gantools show data/photos --grid 1 --from 19" and not said["pair"]
    said = told(shelf, "/api/set/image?set=pairs&index=0")
    assert said["pair"] and dict(said["said"])["input"] == "6 x 6, 3 channels, bicubic"


def test_rejects_are_told_with_reasons(shelf):
    said = told(shelf, "/api/set/rejects?set=photos")
    assert said["count"] == 1 and said["rejects"][0]["name"] == "a/bad.png" and said["rejects"][0]["reason"]
    assert told(shelf, "/api/set/rejects?set=faces") == {"count": 0, "pages": 1, "page": 0, "rejects": []}


def test_equal_images_are_found_and_then_known_of_each(shelf):
    data = gantools.open("data/photos")
    said = told(shelf, "/api/set/equal?set=photos")
    assert (said["count"], said["groups"]) == (1, 1)
    (group,) = said["images"]
    (a, _), (b, _) = group["images"]
    assert a != b and np.array_equal(data[a], data[b])
    assert dict(told(shelf, f"/api/set/image?set=photos&index={a}")["said"])["equal pixels"] == data.names[b]
    assert told(shelf, "/api/set/equal?set=faces")["count"] == 0


def test_too_much_is_not_read_while_a_page_waits(shelf, monkeypatch):
    monkeypatch.setattr(page, "READ", 1000)
    with pytest.raises(DataError, match="too many to read through") as refused:
        told(shelf, "/api/set/equal?set=photos")
    assert refused.value.hint == "Type: gantools info data/photos"


REFUSED = {
    "/api/set?set=nothing": (NotThere, "set 'nothing'"),
    "/api/set?set=../../etc": (NotThere, "is not there"),
    "/api/set?set=photos&more=1": (ConfigError, "means nothing here"),
    "/api/set/images?set=photos&page=1": (NotThere, "page 2: there are 1"),
    "/api/set/images?set=photos&page=-1": (ConfigError, "page: must be a whole number"),
    "/api/set/images?set=photos&per=0": (ConfigError, "per: must be a whole number from 1 to 200"),
    "/api/set/images?set=photos&per=201": (ConfigError, "per: must be"),
    "/api/set/images?set=photos&class=c": (ConfigError, "unknown class 'c'"),
    "/api/set/images?set=photos&class=": (ConfigError, "unknown class ''"),
    "/api/set/images?set=faces&class=a": (DataError, "it has no classes"),
    "/api/set/images?set=faces&attribute=Smilin": (ConfigError, "Did you mean 'Smiling'"),
    "/api/set/images?set=faces&attribute=Bald": (DataError, "no image has the attribute Bald"),
    "/api/set/images?set=photos&attribute=Smiling": (DataError, "it has no attributes"),
    "/set/image.png?set=photos&index=20": (NotThere, "image 20: photos has 20"),
    "/set/image.png?set=photos&index=-1": (ConfigError, "index: must be a whole number"),
    "/set/image.png?set=photos&index=99999999999999999999": (ConfigError, "index: must be"),
    "/set/image.png?set=photos&index=0&landmarks=1": (DataError, "it has no landmarks"),
    "/set/image.png?set=faces&index=0&boxes=1": (DataError, "boxes cannot be drawn"),
    "/set/image.png?set=photos&index=0&side=input": (ConfigError, "no set of pairs"),
    "/set/image.png?set=photos&index=0&side=etc": (ConfigError, "side: must be one of"),
    "/api/set/image?set=photos&index=20": (NotThere, "image 20"),
    "/api/set/rejects?set=photos&page=1": (NotThere, "page 2: there are 1"),
    "/api/set/equal?set=photos&page=9": (NotThere, "page 10: there are 1"),
    "/save/set.png?set=photos&page=9": (NotThere, "page 10"),
}


@pytest.mark.parametrize("address", REFUSED)
def test_what_is_not_there_is_refused(shelf, address):
    kind, words = REFUSED[address]
    with pytest.raises(kind, match=re.escape(words)):
        get(shelf, address)


def test_a_set_that_changes_or_goes_while_it_is_looked_at(shelf, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = write_prepared(tmp_path / "data" / "mine", blobs(4, 8, 3))
    assert told(shelf, "/api/set?set=mine")["count"] == 4
    shutil.rmtree(path)
    write_prepared(path, blobs(6, 8, 3, seed=1))
    assert told(shelf, "/api/set?set=mine")["count"] == 6
    assert np.array_equal(pixels(shelf, "/set/image.png?set=mine&index=5"), gantools.open(path)[5])
    shutil.rmtree(path)
    with pytest.raises(NotThere):
        get(shelf, "/set/image.png?set=mine&index=5")


def test_a_damaged_set_is_listed_as_such(shelf, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = write_prepared(tmp_path / "data" / "mine", blobs(4, 8, 3))
    (path / "images-00000.npy").write_bytes(b"short")
    (found,) = [s for s in told(shelf, "/api/sets") if s["set"] == "mine"]
    assert "images-00000.npy" in found["wrong"]
    with pytest.raises(DataError):
        get(shelf, "/api/set?set=mine")


def test_few_sets_are_kept_open(shelf, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for i in range(page.OPEN + 4):
        write_prepared(tmp_path / "data" / f"s{i}", blobs(2, 8, 3, seed=i))
    told(shelf, "/api/sets")
    assert len(page._open[shelf]) == page.OPEN
