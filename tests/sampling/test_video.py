"""Films as MP4: what a player shows is what the frames are, as nearly as the eye can tell."""

from __future__ import annotations

import builtins

import av
import numpy as np
import pytest
from tests.conftest import blobs

from gantools._native import encode_png
from gantools.errors import ConfigError
from gantools.sampling.film import check_film, write_film
from gantools.sampling.write import walk


def shown(path):
    """The frames of a film, uint8 (n, h, w, 3), and how many a second."""
    with av.open(str(path)) as film:
        (stream,) = film.streams
        return np.stack([frame.to_ndarray(format="rgb24") for frame in film.decode(stream)]), float(stream.average_rate)


@pytest.mark.parametrize(("size", "channels", "factor"), [(300, 3, 1), (28, 1, 10), (129, 3, 2)])
def test_a_video_shows_the_frames(tmp_path, size, channels, factor):
    frames = blobs(7, size, channels)
    write_film(tmp_path / "a.mp4", map(encode_png, frames), 7, 12)
    found, fps = shown(tmp_path / "a.mp4")
    large = frames.repeat(factor, 1).repeat(factor, 2)
    side = large.shape[1]
    assert fps == 12 and found.shape == (7, side + side % 2, side + side % 2, 3)
    # Within a few levels in the mean; of another frame it would be far off.
    off = np.abs(found[:, :side, :side].astype(int) - large).mean((1, 2, 3))
    other = np.abs(found[:, :side, :side].astype(int) - np.roll(large, 1, 0)).mean((1, 2, 3))
    assert off.max() < 4 < other.min()


def test_mistakes_leave_nothing(tmp_path):
    frame = encode_png(np.zeros((40, 50, 3), np.uint8))
    with pytest.raises(ValueError, match="1 frames, not 2"):
        write_film(tmp_path / "b.mp4", [frame], 2, 24)
    with pytest.raises(ValueError, match="differ in size"):
        write_film(tmp_path / "b.mp4", [frame, encode_png(np.zeros((4, 4, 3), np.uint8))], 2, 24)
    with pytest.raises(ConfigError, match="fps"):
        write_film(tmp_path / "b.mp4", [frame], 1, 0)
    with pytest.raises(ConfigError, match="no frame"):
        write_film(tmp_path / "b.mp4", [], 0, 24)
    assert list(tmp_path.iterdir()) == []


def test_without_its_package_it_says_what_to_type(tmp_path, monkeypatch):
    load = builtins.__import__

    def blocked(name, *rest):
        if name == "av":
            raise ImportError(name)
        return load(name, *rest)

    monkeypatch.setattr(builtins, "__import__", blocked)
    with pytest.raises(ConfigError, match="PyAV") as refused:
        check_film(tmp_path / "a.mp4")
    assert refused.value.hint == "pip install 'gantools[film]'"
    check_film(tmp_path / "a.png")


def test_a_walk_as_a_video(run, tmp_path):
    walk(run, frames=6, seeds=[1, 2], film=tmp_path / "w.mp4", fps=12, out=tmp_path / "w", device="cpu")
    assert len(shown(tmp_path / "w.mp4")[0]) == 6
