import io

import numpy as np
import pytest
from PIL import Image

from gantools.grid import make_grid, write_grid


def test_images_stand_in_rows():
    images = np.stack([np.full((4, 6, 3), 10 * (i + 1), np.uint8) for i in range(5)])
    grid = make_grid(images, padding=1)
    assert grid.shape == (2 * 5 + 1, 3 * 7 + 1, 3)
    assert (grid[1:5, 1:7] == 10).all() and (grid[1:5, 15:21] == 30).all() and (grid[6:10, 8:14] == 50).all()
    assert not grid[0].any() and not grid[6:10, 15:].any()


@pytest.mark.parametrize("channels", [1, 3])
def test_written_file(tmp_path, channels):
    images = np.random.default_rng(0).integers(0, 256, (4, 8, 8, channels), np.uint8)
    write_grid(tmp_path / "g.png", images)
    read = np.asarray(Image.open(io.BytesIO((tmp_path / "g.png").read_bytes())))
    assert np.array_equal(read.reshape(22, 22, channels), make_grid(images))
