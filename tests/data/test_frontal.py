"""`gantools prep frontal`: aligned faces, and what a turn makes of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from numpy.typing import NDArray
from PIL import Image

from gantools import _native
from gantools.cli.prep import command
from gantools.data import frontal
from gantools.data.inspect import verify
from gantools.data.prepare import merge, prep, prep_share
from gantools.errors import ConfigError, DataError

#: Eyes, nose and mouth of an aligned face in the square of 128.
FACE = np.array([[42.5, 40], [84.5, 40], [63.5, 64], [46.5, 88], [80.5, 88]])
HEAD = "image_id," + ",".join(frontal.COLUMNS)


def waves(side: int, channels: int = 3, seed: int = 0) -> NDArray[np.uint8]:
    y, x, c = np.meshgrid(np.arange(side), np.arange(side), np.arange(channels), indexing="ij")
    values = 127.5 + 60 * np.sin(0.21 * x + c + seed) + 50 * np.cos(0.17 * y + 0.05 * x * (c + 1))
    return np.round(values).astype(np.uint8)


def turned_by_numpy(image: NDArray[np.uint8], yaw: float, back: bool = False, near: bool = True) -> NDArray[np.uint8]:
    """The turn as it is described; `back` keeps spans that show their back, `near=False` lets the last one win."""
    side = image.shape[0]
    count, scale = 4 * side, 128 / (4 * side)
    cos, sin = np.cos(np.radians(yaw)), np.sin(np.radians(yaw))
    at = (np.arange(count) + 0.5) * scale - 0.5
    place = np.clip((np.arange(count) + 0.5) / 4 - 0.5, 0, side - 1)
    out = np.zeros(image.shape)
    for row in range(side):
        line = image[row].astype(float)
        samples = np.stack([np.interp(place, np.arange(side), line[:, k]) for k in range(line.shape[1])], 1)
        y = (row + 0.5) * 128 / side - 0.5
        square = 1 - ((at - 63.5) / 50) ** 2 - ((y - 61) / 68) ** 2
        nose = 14 * np.exp(-(((at - 63.5) / 7) ** 2) - ((y - 65) / 10) ** 2)
        face = square > 0
        z = np.where(face, 46 * np.sqrt(np.maximum(square, 0)) + nose, 0)
        there = (63.5 + (at - 63.5) * cos + z * sin + 0.5) / scale - 0.5
        depth = z * cos - (at - 63.5) * sin
        result, nearest = samples.copy(), np.where(face, -np.inf, -1e9)
        for i in np.flatnonzero(face[:-1] & face[1:]):
            (a, b), (da, db) = there[i : i + 2], depth[i : i + 2]
            first, last, low, high = (i, i + 1, a, b) if a <= b else (i + 1, i, b, a)
            if (a >= b and not back) or a == b:
                continue
            for j in range(max(0, int(np.ceil(low))), min(count - 1, int(np.floor(high))) + 1):
                t = (j - low) / (high - low)
                d = (da if first == i else db) * (1 - t) + (db if first == i else da) * t
                if d > nearest[j] or not near:
                    nearest[j], result[j] = d, samples[first] * (1 - t) + samples[last] * t
        seen = np.flatnonzero(nearest > -np.inf)
        for k in range(line.shape[1]):
            result[:, k] = np.interp(np.arange(count), seen, result[seen, k])
        out[row] = result.reshape(side, 4, -1).mean(1)
    return np.floor(out + 0.5).astype(np.uint8)


@pytest.mark.parametrize(("side", "yaw"), [(64, 15.0), (64, -60.0), (128, 45.0), (48, 30.0)])
def test_the_turn_in_rust_is_the_one_in_numpy(side, yaw):
    image = waves(side)
    ours, theirs = _native.turn(image, yaw), turned_by_numpy(image, yaw)
    assert np.abs(ours.astype(int) - theirs).max() <= 1
    assert np.abs(ours.astype(int) - image).max() > 30


def test_the_comparison_sees_a_face_through_which_the_back_is_seen():
    image = waves(64)
    wrong = turned_by_numpy(image, 60.0, back=True, near=False)
    assert np.abs(_native.turn(image, 60.0).astype(int) - wrong).max() > 20


def test_a_turn_of_nothing_and_of_the_mirror():
    image = waves(64)
    assert np.array_equal(_native.turn(image, 0.0), image)
    left = _native.turn(np.ascontiguousarray(image[:, ::-1]), -45.0)[:, ::-1]
    assert np.abs(_native.turn(image, 45.0).astype(int) - left).max() <= 1
    assert _native.turn(image[..., 0], 30.0).shape == (64, 64, 1)


def test_points_go_where_pixels_go():
    """A white spot on a black face is found where its point goes."""
    for x, y in ((63, 65), (45, 40), (70, 90)):
        image = np.zeros((128, 128, 1), np.uint8)
        image[y, x] = 255
        moved = _native.turn(image, 30.0)[y, :, 0].astype(float)
        ((found, same),) = _native.turned_points(np.array([[x, y]], float), np.array([30.0]), 128)
        assert abs((moved * np.arange(128)).sum() / moved.sum() - found) < 1 and same == y
        assert abs(found - x) > 5, "a point that stays where it was is none that was turned"
    with pytest.raises(ValueError, match="a yaw each"):
        _native.turned_points(np.zeros((2, 2)), np.zeros(3), 128)


def test_poses_of_the_template_as_measured():
    """-0.02, 0.11, 0.26, 0.47 and 0.84 of the mean face at 0 to 60 degrees."""
    for yaw, wanted in ((0, 0.0), (15, 0.12), (30, 0.26), (45, 0.48), (60, 0.84)):
        points = _native.turned_points(FACE, np.full(5, float(yaw)), 128)
        assert frontal.poses(points[None])[0] == pytest.approx(wanted, abs=0.05)


def test_alignment_makes_eyes_level_and_the_mouth_48_below():
    turn, shift = np.array([[0.9, -0.5], [0.5, 0.9]]) * 1.7, np.array([30.0, -12])
    points = (FACE @ turn.T + shift)[None]
    corners, found = frontal.aligned(points)
    assert np.allclose(found[0], FACE)
    wanted = np.array([[-0.5, -0.5], [-0.5, 127.5], [127.5, 127.5], [127.5, -0.5]]) @ turn.T + shift
    assert np.allclose(corners.reshape(4, 2), wanted)
    assert np.allclose(frontal.in_pixels(found[0], 64), (FACE + 0.5) / 2 - 0.5)
    upside_down = FACE[[0, 1, 2, 3, 4]] * [1, -1]
    assert np.isnan(frontal.aligned(upside_down[None])[0]).all()


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Four faces, one of which looks aside, one without landmarks."""
    folder = tmp_path / "photos"
    folder.mkdir()
    rows = [HEAD]
    for i, name in enumerate(("a", "b", "side", "none")):
        Image.fromarray(waves(160, seed=i)).save(folder / f"{name}.png")
        points = FACE + np.array([16, 10])
        if name == "side":
            points = points + np.array([[0, 0], [0, 0], [20, 0], [0, 0], [0, 0]])
        if name != "none":
            rows.append(f"{name}.png," + ",".join(f"{v:.2f}" for v in points.ravel()))
    (tmp_path / "points.csv").write_text("\n".join(rows) + "\n")
    return folder


def made(photos: Path, out: str, **options):
    given = {"faces": "frontal", "landmarks": photos.parent / "points.csv", "size": 64, **options}
    return prep(photos, out=photos.parent / out, progress=False, **given)


def test_each_frontal_face_is_there_once_for_each_angle(photos):
    done = made(photos, "set", angles=(15.0, 45.0))
    assert done.inputs is not None and len(done) == len(done.inputs) == 4 and done.shape == (64, 64, 3)
    yaw, marks = done.annotations["yaw"], done.annotations["marks"].reshape(-1, 5, 2)
    assert np.abs(yaw).tolist() == [15, 45, 15, 45] and done.names[0] == f"a_{yaw[0]:+g}.png"
    assert done.manifest["source"]["left_out"] == {"without landmarks": 1, "of another pose": 1}
    assert done.labels is not None and done.labels.tolist() == [0, 0, 1, 1]
    for i in range(4):
        assert np.array_equal(done.inputs[i], _native.turn(done[i], float(yaw[i])))
        wanted = _native.turned_points(frontal.in_pixels(FACE, 64), np.full(5, float(yaw[i])), 64)
        assert np.allclose(marks[i], wanted, atol=1e-3)
    assert np.array_equal(done[0], done[1])
    assert verify(done.path) == []
    # The pixels are the image's: the square is upright and as large as 128.
    straight = np.asarray(Image.fromarray(waves(160)[10:138, 16:144]).resize((64, 64), Image.Resampling.LANCZOS))
    assert np.abs(done[0].astype(int) - straight).mean() < 2


def test_sides_depend_on_seed_and_name_alone(photos):
    first = made(photos, "one", seed=3)
    again = made(photos, "two", seed=3, where="width=160")
    assert np.array_equal(first.annotations["yaw"], again.annotations["yaw"])
    names, angles = [f"{i}.jpg" for i in range(400)], np.full(400, 30.0)
    found = [frontal.sides(names, angles, frontal.Faces("frontal", seed=seed)) for seed in (0, 1)]
    assert set(found[0]) == {1.0, -1.0} and abs(found[0].mean()) < 0.15 and not np.array_equal(*found)


def test_shares_and_threads_make_the_same_set(photos):
    whole = made(photos, "whole", shard_size=3)
    options = {"faces": "frontal", "landmarks": photos.parent / "points.csv", "size": 64, "shard_size": 3}
    place = photos.parent / "other" / "whole"
    for share in ("1/2", "2/2"):
        prep_share(photos, share, out=place, progress=False, threads=1, **options)
    put = merge(place, progress=False)
    assert put.inputs is not None and whole.inputs is not None
    assert (put.fingerprint, put.inputs.fingerprint) == (whole.fingerprint, whole.inputs.fingerprint)
    assert np.array_equal(put.annotations["marks"], whole.annotations["marks"])


def test_profiles_and_all_poses_are_plain_sets_with_marks(photos):
    side = made(photos, "side", faces="profiles")
    assert side.inputs is None and side.names == ["side.png"] and "yaw" not in side.annotations
    wanted = frontal.in_pixels(FACE + np.array([[0, 0], [0, 0], [20, 0], [0, 0], [0, 0]]), 64)
    assert np.allclose(side.annotations["marks"][0].reshape(5, 2), wanted, atol=0.01)
    assert made(photos, "all", faces="all").names == ["a.png", "b.png", "side.png"]


def test_people_are_those_of_labels_else_of_the_identity_file_else_each_image(photos):
    table = photos.parent / "who.csv"
    table.write_text("image,label\na.png,anna\nb.png,anna\nside.png,bert\n")
    done = made(photos, "who", labels=table, angles=(30.0,))
    assert done.classes is not None and done.labels is not None
    assert [done.classes[i] for i in done.labels] == ["anna", "anna"]


def test_celebas_own_table_of_landmarks(photos):
    rows = [line.split(",") for line in (photos.parent / "points.csv").read_text().splitlines()]
    text = f"3\n{' '.join(frontal.COLUMNS)}\n" + "\n".join("  ".join(row) for row in rows[1:]) + "\n"
    (photos.parent / "list_landmarks_align_celeba.txt").write_text(text)
    done = made(photos, "txt", landmarks=photos.parent / "list_landmarks_align_celeba.txt")
    assert len(done) == 8 and np.array_equal(done.annotations["marks"], made(photos, "csv").annotations["marks"])


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"landmarks": None}, ConfigError, "has no landmarks"),
        ({"landmarks": "nowhere.csv"}, DataError, "cannot be read"),
        ({"faces": "profiles", "pose": 3.0}, DataError, "no profile .* is left"),
        ({"angles": (30.0, 30.0)}, ConfigError, "different ones"),
        ({"angles": (80.0,)}, ConfigError, "at most 75"),
        ({"faces": "backs"}, ConfigError, "backs"),
        ({"faces": "all", "angles": (30.0,)}, ConfigError, "angles"),
        ({"operation": "grey"}, ConfigError, "neither tiles nor"),
        ({"crop": "pad"}, ConfigError, "crop of their own"),
        ({"faces": None}, ConfigError, "those of faces"),
        ({"store": "encoded", "encoding": "original"}, ConfigError, "original bytes"),
    ],
)
def test_what_is_wrong_is_said_in_a_line(photos, change, error, words):
    with pytest.raises(error, match=words) as e:
        made(photos, "set", **change)
    assert "\n" not in e.value.message and e.value.hint and not (photos.parent / "set").exists()


def test_tables_that_are_wrong(photos):
    other = photos.parent / "other.csv"
    for text, words in (
        (f"{HEAD}\nelse.png,{','.join(['1'] * 10)}\n", "landmarks of none of the images"),
        ("image_id,x\na.png,1\n", "no column lefteye_x"),
        (f"{HEAD}\na.png,{','.join(['one'] * 10)}\n", "row 2 is no name"),
        (f"{HEAD}\na.png,10,10,50,10,49,30,12,60,48,60\n", "no frontal face .* is left of 4 images"),
    ):
        other.write_text(text)
        with pytest.raises(DataError, match=words):
            made(photos, "set", landmarks=other)


def test_a_face_that_is_none_is_a_reject_with_a_reason(photos):
    table = photos.parent / "points.csv"
    points = ",".join(f"{v:.1f}" for v in (FACE * np.array([1, -1]) + np.array([16, 120])).ravel())
    table.write_text(f"{table.read_text()}none.png,{points}\n")
    done = made(photos, "set")
    rejects = (done.path / "rejects.jsonl").read_text()
    assert rejects.count("none_") == 4 and "landmarks" in rejects and len(done) == 8


def test_the_command(photos):
    points, out = str(photos.parent / "points.csv"), str(photos.parent / "cli")
    arguments = ["frontal", str(photos), "--landmarks", points, "--size", "32", "--angles", "20", "--out", out]
    found = CliRunner().invoke(command, arguments)
    assert found.exit_code == 0 and out in found.output and "of another pose (1)" in found.output
    for wrong, words in (
        (["--profiles", "--all-poses"], "give one of them"),
        (["--profile", "0.3"], "goes with --profiles"),
        (["--profiles", "--angles", "30"], "go with frontal"),
        (["--angles", "a,b"], "no angles"),
    ):
        found = CliRunner().invoke(command, ["frontal", str(photos), *wrong])
        assert found.exit_code == 2 and words in found.output
