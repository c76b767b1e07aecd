import numpy as np
import pytest
from PIL import Image

from gantools._native import encode_png
from gantools.errors import ConfigError
from gantools.sampling.film import write_film


@pytest.mark.parametrize("channels", [1, 3])
def test_a_film_is_an_animated_png_of_the_frames(tmp_path, channels):
    frames = np.random.default_rng(0).integers(0, 256, (5, 200, 90, channels), np.uint8)
    write_film(tmp_path / "a.png", map(encode_png, frames), 5, 25)
    film = Image.open(tmp_path / "a.png")  # Pillow checks every chunk's checksum, and the order of the chunks
    assert (film.format, film.is_animated, film.n_frames, film.info["loop"]) == ("PNG", True, 5, 0)
    for i, frame in enumerate(frames):
        film.seek(i)
        shown = film.convert("RGB") if channels == 3 else film.convert("L")
        assert np.array_equal(np.asarray(shown).reshape(frame.shape), frame)
        assert film.info["duration"] == 40


def test_one_frame_and_mistakes(tmp_path):
    frame = encode_png(np.zeros((4, 5, 3), np.uint8))
    write_film(tmp_path / "a.png", [frame], 1, 24)
    assert Image.open(tmp_path / "a.png").size == (5, 4)
    for fps in (0, 1001):
        with pytest.raises(ConfigError, match="fps"):
            write_film(tmp_path / "b.png", [frame], 1, fps)
    with pytest.raises(ConfigError, match="no frame"):
        write_film(tmp_path / "b.png", [], 0, 24)
    with pytest.raises(ValueError, match="1 frames, not 2"):
        write_film(tmp_path / "b.png", [frame], 2, 24)
    with pytest.raises(ValueError, match="differ in size"):
        write_film(tmp_path / "b.png", [frame, encode_png(np.zeros((4, 4, 3), np.uint8))], 2, 24)
    # Nothing is left of what failed.
    assert [p.name for p in tmp_path.iterdir()] == ["a.png"]
