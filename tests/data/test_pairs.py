"""`gantools prep pairs`: by two folders, side by side, or by an operation."""

from __future__ import annotations

import json

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

import gantools
from gantools.cli.info import command as info_command
from gantools.cli.prep import command
from gantools.data.inspect import info, verify
from gantools.data.prepare import prep
from gantools.data.show import show
from gantools.errors import ConfigError, DataError

N = 6


def save(path, seed, size=(24, 24)):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return pixels


@pytest.fixture
def photos(tmp_path):
    for i in range(N):
        save(tmp_path / f"photos/{i}.png", i)
        save(tmp_path / f"sketches/{i}.png", 100 + i)
    return tmp_path / "photos"


def make(photos, **options):
    return prep("folder", **{"source": photos, "size": 24, "out": photos.parent / "set", "progress": False} | options)


def test_two_folders_are_matched_by_name(photos):
    (photos.parent / "sketches/9.png").write_bytes((photos.parent / "sketches/0.png").read_bytes())
    made = make(photos, inputs=photos.parent / "sketches")
    assert made.names == made.inputs.names == [f"{i}.png" for i in range(N)]
    for i, name in enumerate(made.names):
        np.testing.assert_array_equal(made[i], np.asarray(Image.open(photos / name)))
        np.testing.assert_array_equal(made.inputs[i], np.asarray(Image.open(photos.parent / "sketches" / name)))
    assert made.manifest["inputs"]["operation"] == "files" and verify(made.path) == []


def test_what_is_rejected_on_one_side_is_missing_on_both(photos):
    (photos / "1.png").write_bytes(b"no image")
    (photos.parent / "sketches/3.png").write_bytes(b"no image either")
    made = make(photos, inputs=photos.parent / "sketches", shard_size=4)
    assert made.names == made.inputs.names == ["0.png", "2.png", "4.png", "5.png"]
    lines = [json.loads(line) for line in (made.path / "rejects.jsonl").read_text().splitlines()]
    assert [line["name"] for line in lines] == ["1.png", "3.png"]
    assert lines[1]["reason"].startswith("its input: not an image") and verify(made.path) == []
    np.testing.assert_array_equal(made.inputs[1], np.asarray(Image.open(photos.parent / "sketches/2.png")))
    np.testing.assert_array_equal(made[1], np.asarray(Image.open(photos / "2.png")))


@pytest.mark.parametrize(("direction", "target"), [("AtoB", 1), ("BtoA", 0)])
def test_two_images_side_by_side(tmp_path, direction, target):
    halves = [save(tmp_path / f"both/{i}.png", i, (48, 24)) for i in range(3)]
    save(tmp_path / "both/odd.png", 9, (47, 24))
    made = make(tmp_path / "both", direction=direction)
    for i, both in enumerate(halves):
        sides = both[:, :24], both[:, 24:]
        np.testing.assert_array_equal(made[i], sides[target])
        np.testing.assert_array_equal(made.inputs[i], sides[1 - target])
    assert "47x24: an odd width has no two halves" in (made.path / "rejects.jsonl").read_text()


@pytest.mark.parametrize("store", ["pixels", "encoded"])
def test_operations_are_done_to_the_prepared_targets(photos, store):
    def inputs(operation, **options):
        made = make(photos, operation=operation, store=store, size=16, out=photos.parent / operation, **options)
        assert verify(made.path) == []
        return made, made.inputs

    grey, luma = inputs("grey")
    images = grey.gather(np.arange(N))
    expected = np.stack([np.asarray(Image.fromarray(image).convert("L")) for image in images])
    np.testing.assert_array_equal(luma.gather(np.arange(N))[..., 0], expected)
    _, low = inputs("bicubic", scale=4)
    for i, image in enumerate(images):
        small = Image.fromarray(image).resize((4, 4), Image.Resampling.BICUBIC)
        np.testing.assert_array_equal(low[i], np.asarray(small))
    _, holes = inputs("hole")
    expected = images.copy()
    expected[:, 4:12, 4:12] = 128
    np.testing.assert_array_equal(holes.gather(np.arange(N)), expected)
    _, edges = inputs("edges")
    padded = np.pad(luma.gather(np.arange(N))[..., 0].astype(np.int64), ((0, 0), (1, 1), (1, 1)), mode="edge")
    smooth = [
        padded[:, :-2] + 2 * padded[:, 1:-1] + padded[:, 2:],
        padded[..., :-2] + 2 * padded[..., 1:-1] + padded[..., 2:],
    ]
    x, y = smooth[0][..., 2:] - smooth[0][..., :-2], smooth[1][:, 2:] - smooth[1][:, :-2]
    np.testing.assert_array_equal(
        edges.gather(np.arange(N))[..., 0], np.minimum(np.floor(np.hypot(x, y) / 4 + 0.5), 255)
    )


def test_noise_is_a_function_of_seed_and_name(photos):
    plain = np.stack([np.asarray(Image.open(photos / f"{i}.png")) for i in range(N)]).astype(int)

    def noise(name, **options):
        made = make(photos, operation="noise", out=photos.parent / name, **options)
        assert verify(made.path) == []
        return made, made.inputs.gather(np.arange(len(made))).astype(int)

    made, usual = noise("usual")
    np.testing.assert_array_equal(made.gather(np.arange(N)), plain)
    entry = made.manifest["inputs"]
    assert (entry["operation"], entry["sigma"], entry["seed"]) == ("noise", 25, 0)
    inside = (plain > 100) & (plain < 155)  # where nothing is cut off
    assert (usual - plain)[inside].std() == pytest.approx(25, rel=0.1)
    # Neither threads nor shards nor the other images matter.
    np.testing.assert_array_equal(noise("threads", threads=3, shard_size=2)[1], usual)
    np.testing.assert_array_equal(noise("encoded", store="encoded")[1], usual)
    (photos / "1.png").rename(photos.parent / "kept.png")
    np.testing.assert_array_equal(noise("fewer")[1], usual[[0, 2, 3, 4, 5]])
    # The same pixels under another name have other noise: it is no pattern of the image.
    (photos / "9.png").write_bytes((photos / "0.png").read_bytes())
    more = noise("more")[1]
    np.testing.assert_array_equal(more[0], usual[0])
    assert (more[0] != more[-1]).mean() > 0.8
    (photos / "9.png").unlink()
    (photos.parent / "kept.png").rename(photos / "1.png")
    assert (noise("seed", seed=1)[1] != usual).mean() > 0.8
    weak = noise("weak", sigma=2.5)[1] - plain
    assert weak[inside].std() == pytest.approx(2.5, rel=0.1)
    assert noise("grey", channels=1)[1].shape == (N, 24, 24, 1)


def test_degraded_inputs_are_a_function_of_seed_and_name(photos):
    def degraded(name, **options):
        made = make(photos, operation="degrade", scale=4, out=photos.parent / name, **options)
        assert verify(made.path) == []
        return made.inputs.gather(np.arange(len(made))).astype(int)

    usual = degraded("usual")
    assert usual.shape == (N, 6, 6, 3)
    entry = gantools.open(photos.parent / "usual").manifest["inputs"]
    assert (entry["operation"], entry["degradation"], entry["seed"]) == ("degrade", "real-esrgan", 0)
    np.testing.assert_array_equal(degraded("threads", threads=3, shard_size=2), usual)
    np.testing.assert_array_equal(degraded("encoded", store="encoded"), usual)
    (photos / "1.png").rename(photos.parent / "kept.png")
    np.testing.assert_array_equal(degraded("fewer"), usual[[0, 2, 3, 4, 5]])
    (photos.parent / "kept.png").rename(photos / "1.png")
    assert (degraded("seed", seed=1) != usual).any((1, 2, 3)).all()
    plain = make(photos, scale=4, out=photos.parent / "plain").inputs.gather(np.arange(N)).astype(int)
    # Worse than made smaller, and still of the same image.
    assert 2 < np.abs(usual - plain).mean() < 60
    with pytest.raises(ConfigError, match="the operation degrade needs a scale"):
        make(photos, operation="degrade")


def test_info_show_and_verify_know_pairs(photos):
    made = make(photos, scale=4)
    assert info(made.path)["inputs"]["operation"] == "bicubic"
    printed = CliRunner().invoke(info_command, [str(made.path)])
    assert printed.exit_code == 0 and "6 x 6, RGB" in printed.output and "antialiased" in printed.output
    grid = np.asarray(Image.open(show(made.path, n=1, out=photos.parent / "grid.png")))
    at = next(x for x in range(9) if np.array_equal(grid[x : x + 24, x + 24 : x + 48], made[0]))
    np.testing.assert_array_equal(grid[at : at + 24, at : at + 24], made.inputs[0].repeat(4, 0).repeat(4, 1))
    shard = made.path / "inputs/images-00000.npy"
    shard.write_bytes(shard.read_bytes()[:-1] + b"x")
    assert [line.split(":")[0] for line in verify(made.path)] == ["inputs/images-00000.npy"]
    (made.path / "inputs/manifest.json").unlink()
    assert "inputs" in verify(made.path)[0]
    with pytest.raises(DataError):
        gantools.open(made.path).inputs  # noqa: B018


def test_the_inputs_of_another_set_are_not_taken(photos):
    made = make(photos, operation="hole")
    other = make(photos, scale=4, out=photos.parent / "other")
    (made.path / "inputs/manifest.json").write_bytes((other.path / "inputs/manifest.json").read_bytes())
    (made.path / "inputs/images-00000.npy").write_bytes((other.path / "inputs/images-00000.npy").read_bytes())
    with pytest.raises(DataError, match="is not what belongs to"):
        gantools.open(made.path).inputs  # noqa: B018


def test_a_set_of_other_images_has_no_inputs(photos):
    assert make(photos).inputs is None


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"operation": "gray"}, ConfigError, "Did you mean 'grey'"),
        ({"operation": "bicubic"}, ConfigError, "needs a scale"),
        ({"operation": "grey", "scale": 2}, ConfigError, "grey has no scale"),
        ({"operation": "grey", "channels": 1}, ConfigError, "grey of grey images"),
        ({"operation": "grey", "sigma": 5}, ConfigError, "the sigma is that of noise"),
        ({"operation": "noise", "sigma": 0}, ConfigError, "the sigma is 0"),
        ({"operation": "noise", "scale": 2}, ConfigError, "noise has no scale"),
        ({"operation": "grey", "seed": 2}, ConfigError, "the seed is that of a random sample, or of noise"),
        ({"scale": 5}, ConfigError, "the size 24 is no multiple of the scale 5"),
        ({"scale": 1}, ConfigError, "the scale is 1"),
        ({"operation": "grey", "direction": "AtoB"}, ConfigError, "--operation and --side-by-side both say"),
        ({"direction": "AtoC"}, ConfigError, "unknown direction 'AtoC'"),
        ({"direction": "AtoB", "fast": True}, ConfigError, "no fast way"),
        ({"inputs": "nowhere"}, DataError, "nowhere: no such file"),
    ],
)
def test_mistakes_are_one_clear_line(photos, options, error, words):
    with pytest.raises(error) as e:
        make(photos, **options)
    assert words in e.value.message and "\n" not in e.value.message and e.value.hint


def test_names_that_do_not_match_are_named(photos):
    (photos.parent / "sketches/2.png").rename(photos.parent / "sketches/two.png")
    with pytest.raises(DataError, match=r"has no image for 1 of 6 targets: 2.png\."):
        make(photos, inputs=photos.parent / "sketches")
    save(photos.parent / "sketches/0.bmp", 7)
    with pytest.raises(DataError, match="several files have one name"):
        make(photos, inputs=photos.parent / "sketches")


def test_the_commands(photos):
    run = CliRunner().invoke
    out = str(photos.parent / "made")
    done = run(
        command, ["pairs", str(photos), "--inputs", str(photos.parent / "sketches"), "--size", "8", "--out", out]
    )
    assert done.exit_code == 0 and len(gantools.open(out).inputs) == N
    done = run(command, ["tiles", str(photos), "--size", "12", "--scale", "4", "--out", out + "t"])
    assert done.exit_code == 0 and gantools.open(out + "t").inputs.shape == (3, 3, 3)
    done = run(
        command, ["pairs", str(photos), "--operation", "noise", "--sigma", "9.5", "--seed", "3", "--out", out + "n"]
    )
    assert done.exit_code == 2 or "which size" in str(done.exception)
    done = run(
        command, ["pairs", str(photos), "--operation", "noise", "--sigma", "9.5", "--size", "8", "--out", out + "n"]
    )
    assert done.exit_code == 0 and gantools.open(out + "n").manifest["inputs"]["sigma"] == 9.5
    assert "where do the inputs come from" in run(command, ["pairs", str(photos), "--size", "8"]).output
    assert "goes with --side-by-side" in run(command, ["pairs", str(photos), "--direction", "AtoB"]).output
    assert "--stride" in run(command, ["tiles", "--help"]).output


def test_an_export_says_that_it_holds_the_targets(photos, capsys):
    made = make(photos, scale=4)
    gantools.export(made.path, to="npz", out=photos.parent / "set.npz")
    assert f"Its inputs are the set {made.path / 'inputs'}" in capsys.readouterr().err
    with np.load(photos.parent / "set.npz") as arrays:
        assert any(np.array_equal(arrays[name], made.gather(np.arange(N))) for name in arrays)
