"""Preparation: pixels, shards, resume, rejects."""

from __future__ import annotations

import filecmp
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.conftest import run_on_full_disk

import gantools
from gantools import _native
from gantools.data import prepare
from gantools.errors import ConfigError, DataError, Interrupted


def jpeg(seed: int, size=(40, 30), **options) -> bytes:
    rng = np.random.default_rng(seed)
    h, w = size
    y, x = np.mgrid[0:h, 0:w]
    waves = [np.sin(x / rng.uniform(2, 9) + y / rng.uniform(2, 9)) * 100 + 128 for _ in range(3)]
    buffer = io.BytesIO()
    Image.fromarray(np.stack(waves, -1).astype(np.uint8)).save(buffer, "JPEG", **options)
    return buffer.getvalue()


@pytest.fixture
def photos(tmp_path) -> Path:
    """60 JPEGs of mixed sizes in three classes."""
    root = tmp_path / "photos"
    for i in range(60):
        place = root / "abc"[i % 3]
        place.mkdir(parents=True, exist_ok=True)
        (place / f"{i:03d}.jpg").write_bytes(jpeg(i, (30 + i % 7, 25 + i % 11)))
    return root


def run(photos, tmp_path, **options):
    options = {"size": 16, "out": tmp_path / "set", "shard_size": 16, "progress": False, **options}
    return gantools.prep("folder", source=photos, **options)


def same_tree(a: Path, b: Path) -> bool:
    names = sorted(p.name for p in a.iterdir())
    if names != sorted(p.name for p in b.iterdir()):
        return False
    return filecmp.cmpfiles(a, b, names, shallow=False)[0] == names


def test_pixels_labels_and_names_are_those_of_pillow(photos, tmp_path):
    s = run(photos, tmp_path)
    assert (len(s), s.shape, [x.count for x in s.shards]) == (60, (16, 16, 3), [16, 16, 16, 12])
    assert s.classes == ["a", "b", "c"]
    for i, name in enumerate(s.names):
        image = Image.open(photos / name)
        side = min(image.size)
        left, top = (image.width - side) // 2, (image.height - side) // 2
        image = image.crop((left, top, left + side, top + side)).resize((16, 16), Image.Resampling.LANCZOS)
        np.testing.assert_array_equal(s[i], np.asarray(image), err_msg=name)
        assert s.classes[s.labels[i]] == name[0]
    assert not (tmp_path / "set/rejects.jsonl").exists()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["photos", "set"]


def test_the_manifest_says_how_the_pixels_were_made_and_its_hashes_are_right(photos, tmp_path):
    s = run(photos, tmp_path, crop="none", filter="box", channels=1)
    m = s.manifest
    assert m["shape"] == [16, 16, 1]
    assert (m["policy"]["crop"], m["policy"]["filter"], m["policy"]["resize"]) == ("none", "box", "pillow-13")
    assert m["versions"]["gantools"] == gantools.__version__
    for entry in [*m["shards"], m["labels"]]:
        assert _native.hash_file(s.path / entry["file"]) == entry["xxh3"]
    image = Image.open(photos / s.names[7]).convert("L").resize((16, 16), Image.Resampling.BOX)
    np.testing.assert_array_equal(s[7][..., 0], np.asarray(image))


def test_zip_folder_and_any_number_of_threads_give_the_same_pixels(photos, tmp_path):
    with zipfile.ZipFile(tmp_path / "photos.zip", "w", zipfile.ZIP_DEFLATED) as z:
        for path in sorted(photos.rglob("*.jpg")):
            z.write(path, path.relative_to(photos).as_posix())
    sets = [run(photos, tmp_path, out=tmp_path / f"t{n}", threads=n) for n in (1, 2, 5)]
    sets.append(
        gantools.prep(
            "folder", source=tmp_path / "photos.zip", size=16, shard_size=16, progress=False, out=tmp_path / "z"
        )
    )
    assert len({s.fingerprint for s in sets}) == 1
    assert len({tuple(s.names) for s in sets}) == 1


def test_the_same_call_again_does_nothing_and_another_one_is_refused(photos, tmp_path, capsys):
    run(photos, tmp_path, progress=True)
    before = (tmp_path / "set/manifest.json").stat().st_mtime_ns
    run(photos, tmp_path, progress=True)
    assert "nothing to do" in capsys.readouterr().err
    assert (tmp_path / "set/manifest.json").stat().st_mtime_ns == before
    with pytest.raises(DataError, match="exists and is something else"):
        run(photos, tmp_path, size=8)
    assert run(photos, tmp_path, size=8, overwrite=True).shape == (8, 8, 3)


def test_overwrite_never_deletes_what_is_no_prepared_set(photos, tmp_path):
    with pytest.raises(DataError, match="is not a prepared set"):
        run(photos, tmp_path, out=photos, overwrite=True)
    assert len(list(photos.rglob("*.jpg"))) == 60


def test_a_stopped_run_goes_on_and_is_byte_identical(photos, tmp_path, monkeypatch):
    whole = run(photos, tmp_path, out=tmp_path / "whole/set")
    calls = []
    original = _native.prepare_shard

    def stop_at_third(*args, **options):
        calls.append(args[3].name)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return original(*args, **options)

    monkeypatch.setattr(_native, "prepare_shard", stop_at_third)
    with pytest.raises(Interrupted, match="32 of 60 images are prepared and kept"):
        run(photos, tmp_path)
    assert not (tmp_path / "set").exists()
    again = run(photos, tmp_path)
    assert calls[3:] == ["images-00002.npy", "images-00003.npy"]
    assert same_tree(again.path, whole.path)
    assert not (tmp_path / "set.partial").exists()


def stopped_in(step: str, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a run leaves that is interrupted where `prepare` comes to `step`."""
    with monkeypatch.context() as patch:
        patch.setattr(prepare, step, lambda *a: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            run(photos, tmp_path)


def test_a_damaged_shard_of_a_stopped_run_is_made_again(photos, tmp_path, monkeypatch):
    whole = run(photos, tmp_path, out=tmp_path / "whole/set")
    stopped_in("finish", photos, tmp_path, monkeypatch)
    partial = tmp_path / "set.partial"
    (partial / "images-00001.npy").write_bytes((partial / "images-00001.npy").read_bytes()[:-7])
    (partial / "images-00002.json").write_text("{")
    (partial / "images-00003.npy.tmp").write_bytes(b"half")
    assert same_tree(run(photos, tmp_path).path, whole.path)


def test_a_run_killed_just_before_the_end_is_only_renamed(photos, tmp_path, monkeypatch):
    whole = run(photos, tmp_path, out=tmp_path / "whole/set")
    stopped_in("publish", photos, tmp_path, monkeypatch)
    (tmp_path / "set.partial/plan.json").unlink()
    monkeypatch.setattr(_native, "prepare_shard", None)
    assert same_tree(run(photos, tmp_path).path, whole.path)


def test_what_a_stopped_run_of_another_kind_left_is_refused(photos, tmp_path, monkeypatch):
    stopped_in("finish", photos, tmp_path, monkeypatch)
    with pytest.raises(DataError, match="stopped run of another source"):
        run(photos, tmp_path, filter="box")
    assert run(photos, tmp_path, filter="box", overwrite=True).manifest["policy"]["filter"] == "box"


def prep_process(photos: Path, out: Path, *more: str) -> subprocess.Popen[str]:
    command = [
        sys.executable,
        "-m",
        "gantools",
        "prep",
        "folder",
        "--source",
        str(photos),
        "--size",
        "64",
        "--shard-size",
        "24",
        "--threads",
        "1",
        "--out",
        str(out),
        *more,
    ]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.fixture(scope="module")
def large_photos(tmp_path_factory) -> Path:
    """Enough work for a signal to arrive in the middle of it."""
    root = tmp_path_factory.mktemp("large")
    data = [jpeg(i, (900, 900), quality=95) for i in range(4)]
    for i in range(240):
        (root / f"{i:03d}.jpg").write_bytes(data[i % 4])
    return root


@pytest.fixture(scope="module")
def uninterrupted(large_photos, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("whole") / "set"
    assert prep_process(large_photos, out).wait() == 0
    return out


def wait_for_shard(process: subprocess.Popen[str], out: Path, number: int) -> None:
    partial = out.with_name("set.partial")
    deadline = time.monotonic() + 60
    while not (partial / f"images-{number:05d}.json").exists() and process.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_ctrl_c_keeps_what_is_done_and_the_same_command_goes_on(large_photos, uninterrupted, tmp_path):
    out = tmp_path / "set"
    process = prep_process(large_photos, out)
    wait_for_shard(process, out, 1)
    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Run the same command again to go on" in stderr
    assert "Traceback" not in stderr
    assert stdout == ""
    assert not out.exists()
    second = prep_process(large_photos, out)
    _, stderr = second.communicate(timeout=120)
    assert second.returncode == 0
    assert "Going on after" in stderr
    assert same_tree(out, uninterrupted)


@pytest.mark.parametrize("shard", [0, 3, 6])
def test_a_killed_run_goes_on(large_photos, uninterrupted, tmp_path, shard):
    out = tmp_path / "set"
    process = prep_process(large_photos, out)
    wait_for_shard(process, out, shard)
    process.kill()
    process.communicate()
    assert prep_process(large_photos, out).wait() == 0
    assert same_tree(out, uninterrupted)


def test_a_run_killed_at_many_moments_ends_in_the_same_bytes(large_photos, uninterrupted, tmp_path):
    # One run after the other goes on where the one before was killed; begun anew when one got to the end.
    rng = np.random.default_rng(0)
    out = tmp_path / "set"
    killed = 0
    for _ in range(20):
        process = prep_process(large_photos, out)
        partial = out.with_name("set.partial")
        while not partial.exists() and process.poll() is None:
            time.sleep(0.002)
        time.sleep(rng.uniform(0, 0.3))
        process.kill()
        process.communicate()
        killed += process.returncode == -signal.SIGKILL
        if out.exists():
            assert same_tree(out, uninterrupted)
            shutil.rmtree(out)
    assert killed >= 10
    assert prep_process(large_photos, out).wait() == 0
    assert same_tree(out, uninterrupted)


def test_two_runs_at_once_do_not_mix(large_photos, uninterrupted, tmp_path):
    out = tmp_path / "set"
    first = prep_process(large_photos, out)
    wait_for_shard(first, out, 0)
    second = prep_process(large_photos, out)
    _, stderr = second.communicate(timeout=60)
    assert second.returncode == 1
    assert "another gantools prep is at work" in stderr
    assert first.wait() == 0
    assert same_tree(out, uninterrupted)


def test_a_full_disk_is_said_plainly_and_leaves_no_half_file(photos, tmp_path):
    out = tmp_path / "set"
    done = run_on_full_disk(30_000, "prep", "folder", "--source", str(photos), "--size", "32", "--out", str(out))
    assert done.returncode == 1
    assert "images-00000.npy" in done.stderr
    assert "disk is full" in done.stderr
    assert "Traceback" not in done.stderr
    assert not out.exists()
    assert sorted(p.name for p in (tmp_path / "set.partial").iterdir()) == ["plan.json"]
    assert len(run(photos, tmp_path, size=32, shard_size=None)) == 60


@pytest.fixture
def with_bad_files(photos) -> Path:
    good = jpeg(1)
    (photos / "a/bad-truncated.jpg").write_bytes(good[: len(good) // 2])
    (photos / "a/bad-text.jpg").write_text("I am a text file")
    (photos / "b/bad-empty.png").write_bytes(b"")
    rgba = np.zeros((9, 9, 4), np.uint8)
    rgba[..., 3] = np.arange(9) * 20
    Image.fromarray(rgba).quantize().save(photos / "b/bad-palette-alpha.png", transparency=bytes(range(200)))
    (photos / "c/dangling.jpg").symlink_to("nowhere")
    # And some that are unusual, but images.
    Image.open(io.BytesIO(good)).convert("CMYK").save(photos / "c/cmyk.jpg")
    Image.fromarray(np.full((20, 20), 40_000, np.uint16)).save(photos / "c/sixteen.png")
    return photos


def test_unreadable_files_are_listed_with_their_reasons_and_counted(with_bad_files, tmp_path, capsys):
    s = run(with_bad_files, tmp_path, progress=True)
    rejects = [json.loads(line) for line in (s.path / "rejects.jsonl").read_text().splitlines()]
    reasons = {r["name"]: r["reason"] for r in rejects}
    assert list(reasons) == sorted(reasons)
    assert set(reasons) == {
        "a/bad-text.jpg",
        "a/bad-truncated.jpg",
        "b/bad-empty.png",
        "b/bad-palette-alpha.png",
        "c/dangling.jpg",
    }
    assert "begins with the text" in reasons["a/bad-text.jpg"]
    assert "damaged JPEG" in reasons["a/bad-truncated.jpg"]
    assert "empty" in reasons["b/bad-empty.png"]
    assert "transparency; choose --alpha" in reasons["b/bad-palette-alpha.png"]
    assert "cannot be read" in reasons["c/dangling.jpg"]
    assert "5 rejected" in capsys.readouterr().err
    assert len(s) == 62 == s.manifest["count"]
    assert s.manifest["source"]["rejected"] == 5
    # No gap, and labels still belong to their images.
    assert [s.classes[i] for i in s.labels] == [name[0] for name in s.names]
    assert (s[s.names.index("c/sixteen.png")] == 40_000 >> 8).all()
    expected = Image.open(with_bad_files / "c/cmyk.jpg").convert("RGB").crop((0, 5, 30, 35)).resize((16, 16), 1)
    np.testing.assert_array_equal(s[s.names.index("c/cmyk.jpg")], np.asarray(expected))


def test_strict_makes_an_unreadable_file_an_error_that_loses_nothing(with_bad_files, tmp_path):
    with pytest.raises(DataError, match=r"a/bad-text.jpg: not an image"):
        run(with_bad_files, tmp_path, strict=True)
    assert not (tmp_path / "set").exists()
    assert len(run(with_bad_files, tmp_path)) == 62


def test_a_set_of_only_unreadable_files_is_an_error(tmp_path):
    (tmp_path / "x").mkdir()
    (tmp_path / "x/1.jpg").write_bytes(b"nothing")
    with pytest.raises(DataError, match=r"none of the 1 images could be read; the first: 1.jpg"):
        run(tmp_path / "x", tmp_path)
    assert not (tmp_path / "set").exists()


def test_limit_and_split_choose_images(test_data, tmp_path):
    source = test_data / "data/celeba"
    s = gantools.prep("celeba", source=source, size=32, split="val", limit=50, out=tmp_path / "v", progress=False)
    assert (len(s), s.shape) == (50, (32, 32, 3))
    assert (s.annotations["partition"] == 1).all()
    assert s.annotations["attributes"].shape == (50, 40)
    assert "Smiling" in s.manifest["annotations"]["attributes"]["columns"]


def test_celeba_is_byte_equal_with_crop_and_resize_by_pillow(test_data, tmp_path):
    source = test_data / "data/celeba"
    for size, filter, resample in ((64, "lanczos", 1), (31, "bicubic", 3), (200, "bilinear", 2), (89, "box", 4)):
        s = gantools.prep(
            "celeba", source=source, size=size, filter=filter, limit=150, progress=False, out=tmp_path / f"{size}"
        )
        with zipfile.ZipFile(source / "img_align_celeba.zip") as z:
            for i in range(0, 150, 3):
                image = Image.open(io.BytesIO(z.read(s.names[i]))).convert("RGB").crop((0, 20, 178, 198))
                np.testing.assert_array_equal(s[i], np.asarray(image.resize((size, size), resample)))


def test_fashion_mnist_keeps_its_pixels(test_data, tmp_path):
    from gantools.data.sources.idx import read_idx

    source = test_data / "data/fashion"
    s = gantools.prep("fashion-mnist", source=source, split="test", out=tmp_path / "f", progress=False)
    pixels = read_idx(source / "t10k-images-idx3-ubyte.gz", 3)
    assert s.shape == (28, 28, 1)
    np.testing.assert_array_equal(s.gather(np.arange(10_000))[..., 0], pixels)
    larger = gantools.prep(
        "fashion-mnist", source=source, split="test", size=64, limit=20, channels=3, out=tmp_path / "g", progress=False
    )
    expected = np.asarray(Image.fromarray(pixels[11]).resize((64, 64), Image.Resampling.LANCZOS))
    np.testing.assert_array_equal(larger[11], np.repeat(expected[..., None], 3, -1))


def test_default_names_say_source_size_and_split(photos, tmp_path, monkeypatch, test_data):
    monkeypatch.chdir(tmp_path)
    source = test_data / "data/fashion"
    assert gantools.prep("folder", source=photos, size=8, progress=False).path == Path("data/photos-8")
    options = {"source": source, "limit": 10, "progress": False}
    assert gantools.prep("fashion-mnist", **options).path == Path("data/fashion-mnist-28")
    assert gantools.prep("fashion-mnist", split="test", **options).path == Path("data/fashion-mnist-28-test")


def test_wrong_arguments_name_the_right_ones(tmp_path):
    for options, words in (
        ({"kind": "celebra"}, "Did you mean 'celeba'"),
        ({"kind": "folder", "filter": "lancos"}, "Did you mean 'lanczos'"),
        ({"kind": "folder", "crop": "middle"}, "unknown crop"),
        ({"kind": "folder", "size": 0}, "size is 0"),
        ({"kind": "folder", "limit": -1}, "limit is -1"),
    ):
        with pytest.raises(ConfigError, match=words):
            gantools.prep(options.pop("kind"), source=tmp_path, **options)
    (tmp_path / "1.jpg").write_bytes(jpeg(0))
    with pytest.raises(ConfigError, match="which size"):
        gantools.prep("folder", source=tmp_path)


def test_a_place_that_cannot_be_written_is_a_plain_error(photos, tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("")
    arguments = ["prep", "folder", "--source", str(photos), "--size", "8", "--out", str(blocked / "set")]
    done = subprocess.run([sys.executable, "-m", "gantools", *arguments], capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert "not a directory" in done.stderr
    assert "Traceback" not in done.stderr


def test_peak_memory_does_not_grow_with_the_number_of_images(large_photos, tmp_path):
    def peak(limit: int) -> int:
        code = (
            "import gantools, resource, sys;"
            f"gantools.prep('folder', source={str(large_photos)!r}, size=512, shard_size=8, limit={limit},"
            f" out={str(tmp_path / str(limit))!r}, progress=False, threads=2);"
            "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
        )
        environment = {**os.environ, "MALLOC_ARENA_MAX": "2"}
        return int(
            subprocess.run([sys.executable, "-c", code], capture_output=True, env=environment, check=True).stdout
        )

    # 200 more images are 157 MB more output; the buffers of a shard are 6 MB.
    assert peak(240) - peak(40) < 40_000  # KiB
