"""What the page Sample shows is what commands and lines of Python give, to the byte."""

from __future__ import annotations

import io
import json
import shlex
import shutil
from urllib.parse import quote

import numpy as np
import pytest
from tests.conftest import blobs, write_prepared

import gantools
from gantools import _native
from gantools.cli import main
from gantools.errors import CheckpointError, ConfigError, DataError
from gantools.grid import make_grid
from gantools.sampling.generator import Generator
from gantools.studio.query import Query
from gantools.studio.routes import ROUTES
from gantools.studio.shelf import NotThere, Shelf, trained_on

DCGAN, TOLD, STYLES, CYCLE = (
    "00000-dcgan-blobs",
    "00001-cdcgan-fashion-told",
    "00002-stylegan2-celeba-blobs",
    "00003-cyclegan-64-blobs",
)


@pytest.fixture(scope="module")
def shelf(studio_runs):
    return Shelf([studio_runs], "cpu")


def get(shelf, address, body=b""):
    """The answer at an address, as the server gives it."""
    path, _, query = address.partition("?")
    return ROUTES[path].answer(shelf, Query(query), body)


def told(shelf, address, body=b""):
    return json.loads(get(shelf, address, body).body)


VIEWS = [
    f"run={DCGAN}&kind=grid&seed=5&n=7",
    f"run={DCGAN}&checkpoint=0.016&kind=grid&seed=5&n=64",
    f"run={TOLD}&kind=grid&n=20",
    f"run={TOLD}&kind=grid&n=4&class=1",
    f"run={DCGAN}&kind=one&seed=2&index=70",
    f"run={TOLD}&kind=seeds&seeds=3,9,1",
    f"run={DCGAN}&kind=walk&seeds=1,2&frames=70&frame=66",
    f"run={TOLD}&kind=walk&seeds=1,2,3&frames=9&frame=8&once=1",
    f"run={DCGAN}&kind=pad&seeds=1,2,3,4&x=0.25&y=0.5",
    f"run={STYLES}&kind=grid&seed=1&n=5&c.truncation=0.6&c.noise=0",
    f"run={STYLES}&kind=mix&seeds=1,2&others=3,4,5&low=1&high=3&c.truncation=0.7",
]


@pytest.mark.parametrize("view", VIEWS)
def test_the_command_below_the_picture_gives_the_same_bytes(shelf, view, tmp_path, monkeypatch):
    lines = told(shelf, f"/api/lines?{view}")
    picture = get(shelf, f"/picture.png?{view}").body
    assert get(shelf, f"/picture.png?{lines['address']}").body == picture
    monkeypatch.chdir(tmp_path)
    (tmp_path / "latents.npy").write_bytes(get(shelf, f"/save/latents.npy?{view}").body)
    words = gantools_words(lines["command"])
    with pytest.raises(SystemExit) as ended:
        main([*words, "--device", "cpu"])
    assert ended.value.code == 0
    if "kind=mix" in view:
        files = sorted((tmp_path / "samples").glob("0*.png"))
        images = np.stack([_native.decode(file.read_bytes()) for file in files])
        assert _native.encode_png(make_grid(images, 3)) == picture
    else:
        assert (tmp_path / lines["file"]).read_bytes() == picture


def gantools_words(command):
    first, *words = shlex.split(command)
    assert first == "gantools"
    return words


@pytest.mark.parametrize("view", VIEWS)
def test_the_lines_of_python_give_the_same_images(shelf, view):
    lines = told(shelf, f"/api/lines?{view}")
    load, made = lines["python"].split("\n")
    names = {"gantools": gantools}
    exec(f"{load[:-1]}, device='cpu')\n{made}", names)
    images = np.asarray(names["images"])
    shown = _native.decode(get(shelf, f"/picture.png?{view}").body)
    if images.ndim == 3:  # a frame
        images = images[None]
    if any(kind in view for kind in ("kind=one", "kind=walk", "kind=pad")):
        np.testing.assert_array_equal(images[0], shown)
    else:
        count = {len(image.reshape(-1)) for image in images}
        assert len(count) == 1
        tiles = {image.tobytes() for image in images}
        (h, w), cells = images.shape[1:3], set()
        for top in range(2, shown.shape[0] - h, h + 2):
            for left in range(2, shown.shape[1] - w, w + 2):
                cells.add(np.ascontiguousarray(shown[top : top + h, left : left + w]).tobytes())
        blank = bytes(images[0].size)
        assert cells - {blank} <= tiles - {blank} and len(cells) > 1


@pytest.mark.parametrize("view", VIEWS)
def test_a_quick_picture_is_off_by_one_level_at_most(shelf, view):
    settled, fast = (_native.decode(get(shelf, f"/picture.png?{view}{end}").body) for end in ("", "&fast=1"))
    assert np.abs(settled.astype(int) - fast).max() <= 1


def test_the_latents_that_are_saved_make_the_picture(shelf):
    view = f"run={DCGAN}&kind=grid&seed=5&n=7"
    z = np.load(io.BytesIO(get(shelf, f"/save/latents.npy?{view}").body))
    generator = shelf.generator(shelf.run(DCGAN), "last")
    assert z.dtype == np.float32 and z.shape == (7, 6)
    made = _native.encode_png(make_grid(generator.from_latents(z)))
    assert made == get(shelf, f"/picture.png?{view}").body


def test_a_film_is_that_of_walk(shelf, tmp_path):
    view = f"run={TOLD}&kind=walk&seeds=1,2&frames=5&fps=12"
    gantools.walk(
        shelf.run(TOLD), seeds=[1, 2], frames=5, fps=12, film=tmp_path / "a.png", out=tmp_path / "w", device="cpu"
    )
    assert get(shelf, f"/save/film.png?{view}").body == (tmp_path / "a.png").read_bytes()


def test_a_saved_picture_comes_back(shelf):
    view = f"run={STYLES}&checkpoint=0.032&kind=grid&seed=4&n=2&c.truncation=0.5"
    kept = get(shelf, f"/save/picture.png?{view}&stamp=1")
    assert kept.headers["content-disposition"] == f'attachment; filename="{STYLES}-grid.png"'
    found = told(shelf, "/restore", kept.body)
    assert found == {"address": view, "note": None}
    plain = get(shelf, f"/save/picture.png?{view}").body
    assert plain == get(shelf, f"/picture.png?{view}").body
    with pytest.raises(DataError, match="does not say"):
        told(shelf, "/restore", plain)


def test_a_picture_of_other_weights_says_so(studio_runs, tmp_path):
    runs = tmp_path / "runs"
    shutil.copytree(studio_runs / DCGAN, runs / DCGAN)
    kept = get(Shelf([runs], "cpu"), f"/save/picture.png?run={DCGAN}&checkpoint=0.048&stamp=1").body
    first, last = (runs / DCGAN / "checkpoints" / f"kimg-000000.0{at}" for at in (16, 48))
    shutil.rmtree(last)
    shutil.copytree(first, last)
    assert "other weights" in told(Shelf([runs], "cpu"), "/restore", kept)["note"]
    shutil.rmtree(runs / DCGAN / "checkpoints")
    with pytest.raises(NotThere):
        told(Shelf([runs], "cpu"), "/restore", kept)


def test_the_nearest_training_image_is_found_and_shown_below(shelf):
    view = f"run={DCGAN}&kind=grid&seed=5&n=12"
    found = told(shelf, f"/api/nearest?{view}")
    assert found["images"] == 12 and found["searched"] == 48 and len(found["pairs"]) == 8
    apart = [pair["apart"] for pair in found["pairs"]]
    assert apart == sorted(apart)
    first = found["pairs"][0]
    shown = _native.decode(
        get(
            shelf,
            f"/picture/pair.png?{view}&image={first['image']}&place={first['place']}&mirrored={int(first['mirrored'])}",
        ).body
    )
    data = trained_on(shelf.run(DCGAN))
    made = shelf.generator(shelf.run(DCGAN), "last").sample(12, seed=5)[first["image"]]
    real = data[first["place"]]
    real = real[:, ::-1] if first["mirrored"] else real
    np.testing.assert_array_equal(shown[20:36, 2:18], real)
    assert np.abs(shown[2:18, 2:18].astype(int) - made).max() <= 1
    rms = np.sqrt(((made.astype(float) - real) ** 2).mean())
    assert first["apart"] == pytest.approx(rms, abs=1)
    for wrong in ("image=12&place=0", "image=0&place=48"):
        with pytest.raises(ConfigError):
            get(shelf, f"/picture/pair.png?{view}&{wrong}")


def test_a_set_that_is_gone_is_said(studio_runs, tmp_path):
    shutil.copytree(studio_runs / DCGAN, tmp_path / DCGAN)
    file = tmp_path / DCGAN / "config.yaml"
    text = file.read_text()
    file.write_text(text.replace("/data/blobs", "/data/gone"))
    with pytest.raises(NotThere, match="not there"):
        get(Shelf([tmp_path], "cpu"), f"/api/nearest?run={DCGAN}")
    other = write_prepared(tmp_path / "data" / "blobs", blobs(8, 16, 3, 1))
    file.write_text(text.replace(str(studio_runs.parent / "data" / "blobs"), str(other)))
    with pytest.raises(NotThere, match="another set"):
        get(Shelf([tmp_path], "cpu"), f"/api/nearest?run={DCGAN}")


def test_what_is_known_of_runs(shelf):
    runs = told(shelf, "/api/runs")
    assert [run["run"] for run in runs] == [CYCLE, STYLES, TOLD, DCGAN]
    assert runs[3] == {
        "run": DCGAN,
        "recipe": "dcgan",
        "model": "dcgan",
        "takes": "latents",
        "data": "blobs",
        "checkpoints": 3,
        "last": "0.048",
        "trained": True,
    }
    assert told(shelf, f"/api/run?run={TOLD}")["classes"] == ["0", "1", "2"]
    styled = told(shelf, f"/api/run?run={STYLES}&checkpoint=0.016")
    assert styled["checkpoint"] == "0.016" and styled["styles"] == 6
    assert {control["name"] for control in styled["controls"]} >= {"truncation", "noise", "mixing"}
    assert told(shelf, f"/api/run?run={CYCLE}")["takes"] == "images"


@pytest.mark.parametrize(
    ("address", "error", "words"),
    [
        ("/picture.png?run=nothing", NotThere, "'nothing'"),
        ("/picture.png?run=../../etc", NotThere, "is not there"),
        (f"/picture.png?run={DCGAN}&checkpoint=7", NotThere, "no checkpoint '7'"),
        (f"/picture.png?run={DCGAN}&c.truncation=1", ConfigError, "nothing to turn"),
        (f"/picture.png?run={STYLES}&c.truncation=9", ConfigError, "must be in"),
        (f"/picture.png?run={DCGAN}&class=1", ConfigError, "without classes"),
        (f"/picture.png?run={TOLD}&class=shoe", ConfigError, "shoe"),
        (f"/picture.png?run={DCGAN}&d.pca0=1", ConfigError, "no directions"),
        (f"/picture.png?run={DCGAN}&kind=mix", ConfigError, "no mapping network"),
        (f"/picture.png?run={STYLES}&kind=mix&low=3&high=2", ConfigError, "layers"),
        (f"/picture.png?run={STYLES}&kind=mix&high=99", ConfigError, "layers"),
        (f"/picture.png?run={DCGAN}&kind=walk&seeds=1", ConfigError, "at least"),
        (f"/picture.png?run={CYCLE}", ConfigError, "makes images from images"),
        (f"/save/film.png?run={DCGAN}", ConfigError, "of a walk"),
        (f"/picture.png?run={DCGAN}&sede=1", ConfigError, "sede"),
    ],
)
def test_what_cannot_be_shown_is_said(shelf, address, error, words):
    with pytest.raises(error, match=words):
        get(shelf, address)


def test_places_that_hold_nothing_are_refused(tmp_path):
    with pytest.raises(CheckpointError, match="no such folder"):
        Shelf([tmp_path / "runs"])
    with pytest.raises(CheckpointError, match="no run"):
        Shelf([tmp_path])


def test_a_run_that_begins_and_one_that_goes_are_seen(studio_runs, tmp_path):
    runs = tmp_path / "runs"
    shutil.copytree(studio_runs / DCGAN, runs / DCGAN)
    shelf = Shelf([runs], "cpu")
    assert list(shelf.runs()) == [DCGAN]
    get(shelf, f"/picture.png?run={DCGAN}")
    shutil.copytree(studio_runs / TOLD, runs / TOLD)
    assert list(shelf.runs()) == [DCGAN, TOLD]
    shutil.rmtree(runs / DCGAN)
    with pytest.raises(NotThere):
        get(shelf, f"/picture.png?run={DCGAN}")


def test_an_exported_model_is_shown_too(studio_runs, tmp_path):
    model = tmp_path / "models" / "mine"
    gantools.export_hub(studio_runs / TOLD, model)
    shelf = Shelf([tmp_path / "models"], "cpu")
    assert [run["last"] for run in told(shelf, "/api/runs")] == ["model"]
    shown = get(shelf, "/picture.png?run=mine&kind=one&seed=1&index=2").body
    assert shown == _native.encode_png(Generator.load(model, device="cpu").numbered(2, 1, seed=1)[0])
    assert "--checkpoint" not in told(shelf, "/api/lines?run=mine")["command"]


def test_two_runs_of_one_name_are_told_apart(studio_runs, tmp_path):
    shutil.copytree(studio_runs / DCGAN, tmp_path / "more" / DCGAN)
    shelf = Shelf([studio_runs, tmp_path / "more"], "cpu")
    assert list(shelf.runs())[-1] == f"{DCGAN}~2"
    assert shelf.run(f"{DCGAN}~2") == tmp_path / "more" / DCGAN


def test_names_of_any_letters_go_through_an_address(studio_runs, tmp_path):
    name = "00000-ünï & c=d#?"
    shutil.copytree(studio_runs / DCGAN, tmp_path / name)
    shelf = Shelf([tmp_path], "cpu")
    lines = told(shelf, f"/api/lines?run={quote(name)}")
    assert get(shelf, f"/picture.png?{lines['address']}").kind == "image/png"
