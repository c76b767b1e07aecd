"""Hundreds of real photographs through the whole of `prep`, byte for byte as Pillow makes them."""

from __future__ import annotations

import io
import tarfile
import zipfile

import numpy as np
import PIL
import pytest
from PIL import Image, ImageOps

import gantools

pytestmark = pytest.mark.skipif(int(PIL.__version__.split(".")[0]) < 13, reason="Pillow < 13 resizes otherwise")
COUNT = 520


@pytest.fixture(scope="module")
def photographs(test_data, tmp_path_factory):
    """Folders of 520 JPEGs of CelebA (178 x 218) and of CIFAR-10 (32 x 32)."""
    folders = {name: tmp_path_factory.mktemp(name) for name in ("celeba", "cifar10")}
    with zipfile.ZipFile(test_data / "data/celeba/img_align_celeba.zip") as z:
        names = sorted(name for name in z.namelist() if name.endswith(".jpg"))
        for name in names[:: len(names) // COUNT][:COUNT]:
            (folders["celeba"] / name.rsplit("/", 1)[-1]).write_bytes(z.read(name))
    with tarfile.open(test_data / "data/cifar10/cifar10_jpg.tar") as t:
        members = [m for m in t.getmembers() if m.name.endswith(".jpg")]
        for i, member in enumerate(members[:: len(members) // COUNT][:COUNT]):
            file = t.extractfile(member)
            assert file is not None
            (folders["cifar10"] / f"{i:04d}.jpg").write_bytes(file.read())
    return folders


def square(image: Image.Image) -> Image.Image:
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    return image.crop((left, top, left + side, top + side))


@pytest.mark.parametrize("data", ["celeba", "cifar10"])
@pytest.mark.parametrize(
    ("size", "filter", "crop", "channels"),
    [
        (64, "lanczos", "center", 3),
        (32, "bicubic", "none", 3),
        (48, "bilinear", "center", 1),
        (20, "box", "pad", 3),
        (100, "lanczos", "none", 1),
    ],
)
def test_prep_equals_pillow(photographs, tmp_path, data, size, filter, crop, channels):
    folder = photographs[data]
    s = gantools.prep(
        "folder",
        source=folder,
        size=size,
        filter=filter,
        crop=crop,
        channels=channels,
        out=tmp_path / "set",
        progress=False,
    )
    assert len(s) == COUNT
    resample = Image.Resampling[filter.upper()]
    for i, name in enumerate(s.names):
        image = Image.open(io.BytesIO((folder / name).read_bytes())).convert("L" if channels == 1 else "RGB")
        if crop == "pad":
            expected = ImageOps.pad(image, (size, size), resample)
        else:
            expected = (square(image) if crop == "center" else image).resize((size, size), resample)
        np.testing.assert_array_equal(s[i], np.asarray(expected).reshape(size, size, channels), err_msg=name)
