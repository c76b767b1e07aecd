import io

import numpy as np
import pytest
import torch
from PIL import Image
from tests.conftest import blobs

from gantools.detect import disturb
from gantools.detect.disturb import blurring, by_chance, by_noise, jpeg, quantisation, scaling


def levels(images):
    return torch.from_numpy(images).permute(0, 3, 1, 2).float()


def saved(image, quality, halved):
    file = io.BytesIO()
    Image.fromarray(image.squeeze()).save(file, "JPEG", quality=quality, subsampling=2 if halved else 0)
    return Image.open(file)


def textured(n, size, channels):
    rng = np.random.default_rng(1)
    noise = rng.normal(0, 14, (n, size, size, channels))
    return np.clip(blobs(n, size, channels) * 0.7 + 40 + noise, 0, 255).astype(np.uint8)


@pytest.mark.parametrize("quality", [1, 10, 30, 49, 50, 75, 95, 100])
def test_tables_are_those_of_libjpeg(quality):
    picture = saved(textured(1, 16, 3)[0], quality, halved=False)
    for number, table in ((0, disturb._LUMINANCE), (1, disturb._CHROMINANCE)):
        ours = quantisation(torch.tensor([float(quality)]), torch.tensor(table, dtype=torch.float32))
        assert ours.flatten().tolist() == list(picture.quantization[number])


@pytest.mark.parametrize("halved", [False, True])
@pytest.mark.parametrize("size", [32, 20])  # 20: blocks that the image does not fill
@pytest.mark.parametrize("channels", [1, 3])
def test_jpegs_are_those_of_a_library(channels, size, halved):
    images = textured(6, size, channels)
    for quality in (60, 75, 95):
        wanted = np.stack([np.asarray(saved(i, quality, halved)).reshape(i.shape) for i in images]).astype(float)
        ours = jpeg(levels(images), torch.full((6,), float(quality)), torch.full((6,), halved))
        off = np.abs(ours.permute(0, 2, 3, 1).numpy() - wanted)
        # Where a coefficient lies in the middle of two steps, rounding within the library decides.
        assert off.mean() < 0.3 * np.abs(images - wanted).mean() + 0.1, (quality, off.mean())
        # A table of another quality is another picture.
        other = jpeg(levels(images), torch.full((6,), quality - 15.0), torch.full((6,), halved))
        assert np.abs(other.permute(0, 2, 3, 1).numpy() - wanted).mean() > 1.8 * off.mean()


def test_a_picture_does_not_depend_on_its_neighbours():
    x = levels(textured(4, 16, 3))
    random = torch.rand(4, 7, generator=torch.Generator().manual_seed(5))
    random[:, [0, 2, 4]] = 0  # all of it is done to all
    whole = disturb.disturb(x, random)
    alone = torch.cat([disturb.disturb(x[i : i + 1], random[i : i + 1]) for i in range(4)])
    assert (whole - alone).abs().max() <= 1  # sums in another order, rounded
    assert (whole - x).abs().mean() > 1


def test_nothing_is_done_where_nothing_is_drawn():
    x = levels(textured(3, 16, 3))
    assert torch.equal(disturb.disturb(x, torch.full((3, 7), 0.999)), x)


def test_scaling_and_blurring_of_lines():
    same = torch.eye(9)
    assert torch.allclose(scaling(9, torch.ones(1))[0], same)
    assert torch.allclose(blurring(9, torch.zeros(1))[0], same)
    rows = blurring(31, torch.tensor([1.5]))[0]
    assert torch.allclose(rows.sum(1), torch.ones(31), atol=1e-6)
    at = torch.arange(31.0)
    assert (rows[15] * (at - 15).square()).sum().sqrt().item() == pytest.approx(1.5, rel=0.01)
    ramp = scaling(31, torch.tensor([1.1]))[0] @ at
    assert ramp[15] == 15 and ramp[16].item() == pytest.approx(15 + 1 / 1.1, abs=1e-5)
    assert torch.allclose(scaling(31, torch.tensor([0.9])).sum(2), torch.ones(1, 31))


def test_about_half_of_the_pictures_are_changed_by_each():
    x = levels(textured(1, 16, 3)).expand(400, -1, -1, -1)
    changed = (by_chance(x, torch.Generator().manual_seed(0)) != x).flatten(1).any(1).float().mean().item()
    assert changed == pytest.approx(1 - 0.5**3, abs=0.06)
    y = by_noise(torch.full((1, 3, 64, 64), 128.0), torch.Generator().manual_seed(0))
    assert y.std().item() == pytest.approx(disturb.NOISE, rel=0.05)
