"""Films are read frame by frame, whole or with a word of what is missing, and split where they are cut."""

from __future__ import annotations

import builtins

import av
import numpy as np
import pytest
from PIL import Image
from tests.conftest import blobs

from gantools import _native
from gantools.data.clips import EndsEarly, cuts, find_clips, is_video, luma
from gantools.errors import ConfigError, DataError
from gantools.sampling.video import write_video


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    """A video of 12 frames of 48 x 48, and the frames."""
    frames = blobs(12, 48, 3)
    place = tmp_path_factory.mktemp("film") / "film.mp4"
    write_video(place, map(_native.encode_png, frames), 12, 25, least=1)
    return place, frames


def test_a_video_is_its_frames(film):
    place, frames = film
    (clip,) = find_clips(place)
    assert (clip.name, clip.fps, clip.declared, is_video(place)) == ("film", 25, 12, True)
    found = np.stack(list(clip.read()))
    assert found.shape == frames.shape
    off = np.abs(found.astype(int) - frames).mean((1, 2, 3))
    assert off.max() < 4 < np.abs(np.roll(found, 1, 0).astype(int) - frames).mean((1, 2, 3)).min()


def test_frames_of_a_folder_are_in_the_order_of_their_numbers(tmp_path):
    frames = blobs(12, 20, 3)
    for i, frame in enumerate(frames):
        Image.fromarray(frame).save(tmp_path / f"f{i}.png")  # f10 comes before f2 in the order of names
    (tmp_path / "notes.txt").write_text("of the film")
    (clip,) = find_clips(tmp_path)
    assert clip.frames == tuple(f"f{i}.png" for i in range(12)) and clip.fps is None
    np.testing.assert_array_equal(np.stack(list(clip.read())), frames)


def test_folders_of_films(tmp_path, film):
    for name in ("b", "a"):
        (tmp_path / "folders" / name).mkdir(parents=True)
        Image.fromarray(blobs(1, 8, 3)[0]).save(tmp_path / "folders" / name / "0.png")
    assert [clip.name for clip in find_clips(tmp_path / "folders")] == ["a", "b"]
    (tmp_path / "videos").mkdir()
    (tmp_path / "videos" / "one.mp4").write_bytes(film[0].read_bytes())
    assert [clip.name for clip in find_clips(tmp_path / "videos")] == ["one"]
    (tmp_path / "videos" / "0.png").write_bytes(b"")
    with pytest.raises(DataError, match="has frames and video files side by side"):
        find_clips(tmp_path / "videos")


@pytest.mark.parametrize("container", ["mkv", "ts"])
def test_a_video_that_is_cut_off_gives_what_it_has_and_says_so(tmp_path, container):
    """Of containers that can be read from their beginning; an .mp4 has its table at the end and is refused."""
    place = tmp_path / f"film.{container}"
    with av.open(str(place), "w", format={"mkv": "matroska", "ts": "mpegts"}[container]) as out:
        stream = out.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        stream.options = {"crf": "4", "bf": "0", "g": "4"}
        for frame in np.random.default_rng(0).integers(0, 256, (40, 64, 64, 3), dtype=np.uint8):
            out.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        out.mux(stream.encode(None))
    (clip,) = find_clips(place)
    whole = list(clip.read())
    assert len(whole) == 40
    data = place.read_bytes()
    place.write_bytes(data[: len(data) // 2])
    had = []
    (clip,) = find_clips(place)
    try:
        for frame in clip.read():
            had.append(frame)
    except EndsEarly as e:
        assert e.had == len(had) and f"{len(had)} " in e.message and "\n" not in e.message
    # A stream that does not say how long it is ends where it ends.
    assert 10 < len(had) < 30
    for ours, theirs in zip(had, whole, strict=False):
        np.testing.assert_array_equal(ours, theirs)


def test_a_cut_off_mp4_whose_table_comes_first(tmp_path):
    place = tmp_path / "film.mp4"
    with av.open(str(place), "w", options={"movflags": "faststart"}) as out:
        stream = out.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        stream.options = {"bf": "0", "g": "4"}
        for frame in np.random.default_rng(0).integers(0, 256, (40, 64, 64, 3), dtype=np.uint8):
            out.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        out.mux(stream.encode(None))
    data = place.read_bytes()
    place.write_bytes(data[: len(data) // 2])
    (clip,) = find_clips(place)
    had = []
    with pytest.raises(EndsEarly, match=r"damaged or cut off, \d+ of 40 frames could be read") as found:
        for frame in clip.read():
            had.append(frame)
    assert found.value.had == len(had) and 10 < len(had) < 30


def test_mistakes_are_one_line(tmp_path, film):
    (tmp_path / "empty").mkdir()
    (tmp_path / "no.mp4").write_bytes(b"not a video")
    (tmp_path / "half.mp4").write_bytes(film[0].read_bytes()[:900])
    (tmp_path / "one.png").write_bytes(_native.encode_png(blobs(1, 8, 3)[0]))
    for name, words in (
        ("gone", "no such file or folder"),
        ("empty", "neither frames nor video files"),
        ("no.mp4", "no video that can be read"),
        ("half.mp4", "no video that can be read"),
        ("one.png", "is one image, no film"),
    ):
        with pytest.raises(DataError, match=words) as refused:
            find_clips(tmp_path / name)
        assert "\n" not in refused.value.message and refused.value.hint


def test_frames_of_two_sizes_and_broken_ones_are_refused(tmp_path):
    for i, side in enumerate((8, 9)):
        Image.fromarray(blobs(1, side, 3)[0]).save(tmp_path / f"{i}.png")
    with pytest.raises(DataError, match="frame 1 is 9 x 9, the first is 8 x 8"):
        list(find_clips(tmp_path)[0].read())
    (tmp_path / "1.png").write_bytes(b"x")
    with pytest.raises(DataError, match=r"1\.png: "):
        list(find_clips(tmp_path)[0].read())


def test_without_its_package_it_says_what_to_type(tmp_path, monkeypatch):
    load = builtins.__import__

    def blocked(name, *rest):
        if name == "av":
            raise ImportError(name)
        return load(name, *rest)

    (tmp_path / "a.mp4").write_bytes(b"x")
    monkeypatch.setattr(builtins, "__import__", blocked)
    with pytest.raises(ConfigError, match="PyAV") as refused:
        find_clips(tmp_path / "a.mp4")
    assert refused.value.hint == "pip install 'gantools[film]'"


@pytest.mark.parametrize(
    ("differences", "expected"),
    [
        ([], [0]),
        ([2.0] * 9, [0]),
        ([2.0, 2.0, 11.0, 2.0, 2.0], [0, 3]),
        ([2.0, 2.0, 9.9, 2.0, 2.0], [0]),
        ([0.0, 0.0, 3.0, 0.0], [0]),  # of a film that stands still every difference is many times the median
        ([0.0, 0.0, 80.0, 0.0, 60.0], [0, 3, 5]),
    ],
)
def test_cuts_are_where_frames_differ_by_more_than_five_times_the_median(differences, expected):
    assert cuts(differences) == expected


def test_luma_is_pillows():
    rgb = np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8)
    np.testing.assert_array_equal(luma(rgb)[..., 0], np.asarray(Image.fromarray(rgb).convert("L")))
