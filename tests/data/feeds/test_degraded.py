"""The feed that degrades its crops: rows are functions of seed and position, and inputs belong to their images."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.data.feeds.test_feeds import CPU, Memory, noise, same

from gantools.data.feeds import open_feed
from gantools.degradation import Degradation, Round, SecondRound
from gantools.errors import ConfigError

N, SIDE, CROP, SCALE = 9, 40, 16, 4
SMALL = Degradation(around=8, first=Round(sides=(3, 7)), second=SecondRound(sides=(3, 5)))
NOTHING = Degradation(
    sharpen=False,
    around=8,
    first=Round(blur=0.0, resize=(0, 0, 1), gaussian=1.0, noise=(0, 0), jpeg=(100, 100)),
    second=SecondRound(blur=0.0, resize=(0, 0, 1), gaussian=1.0, noise=(0, 0), jpeg=(100, 100)),
    sinc=0.0,
)


def smooth(n=N, side=SIDE):
    """Images whose places can be told from each other after all of it."""
    y, x = np.mgrid[:side, :side]
    return (
        np.stack([np.stack((5 * x + i, 5 * y + 2 * i, 3 * (x + y)), 2) for i in range(n)]).clip(0, 255).astype(np.uint8)
    )


DATA = Memory(smooth(), np.arange(N, dtype=np.int64))


def feed(degrade=SMALL, *, seed=5, data=DATA, crop=CROP, scale=SCALE, kind="crops", device=CPU, **options):
    return open_feed(
        kind,
        data,
        seed=seed,
        device=device,
        largest=8,
        channels_last=True,
        flip=True,
        turn=True,
        crop=crop,
        degrade=degrade,
        scale=scale,
        **options,
    )


@settings(max_examples=10, deadline=None)
@given(start=st.integers(0, 10**6), cuts=st.lists(st.integers(1, 7), min_size=1, max_size=4), ahead=st.booleans())
def test_any_cut_gives_the_same_rows(start, cuts, ahead):
    whole, parts = feed(), feed()
    at, got = start, []
    for i, n in enumerate(cuts):
        got.append(parts.at(at, n, (at + n, cuts[i + 1]) if ahead and i + 1 < len(cuts) else None))
        at += n
    assert same([whole.at(start, at - start)], got)
    whole.close()
    parts.close()


def test_rows_are_of_their_seed_and_of_no_other_row():
    rows = feed().at(40, 6)
    assert rows.images.shape == (6, 3, CROP, CROP) and rows.inputs.shape == (6, 3, CROP // SCALE, CROP // SCALE)
    assert rows.labels.tolist() == [int(i) for i in feed().at(40, 6).labels]
    assert not torch.equal(feed(seed=6).at(40, 6).inputs, rows.inputs)
    again = feed()
    again.at(0, 3, (3, 3))  # what was asked for before does not matter
    assert same([again.at(40, 6)], [rows])
    # An image that comes again, an epoch later, is degraded otherwise.
    one = feed(data=Memory(smooth(1, CROP + SMALL.around)), crop=CROP)
    assert not torch.equal(one.at(0, 1).inputs, one.at(1, 1).inputs)


def test_inputs_belong_to_their_images():
    """With next to nothing done to them they are the means of the same places."""
    for position in (0, 100):
        rows = feed(NOTHING).at(position, 8)
        means = torch.nn.functional.avg_pool2d(rows.images, SCALE)
        assert (means - rows.inputs).abs().max() * 127.5 < 14
        shifted = torch.roll(means, 1, 3)
        assert (shifted - rows.inputs).abs().max() * 127.5 > 25  # a crop of another place would be seen


def test_all_places_of_what_is_around_come():
    columns = np.zeros((4, CROP + 8, CROP + 8, 3), np.uint8) + np.arange(CROP + 8, dtype=np.uint8)[None, None, :, None]
    plain = open_feed(
        "crops", Memory(columns), seed=1, device=CPU, largest=8, channels_last=True, crop=CROP, degrade=NOTHING, scale=4
    )
    left = {round(float(row[0, 0, 0].add(1).mul(127.5))) for row in plain.at(0, 60).images}
    assert left == {0, 4, 8}


@pytest.mark.gpu
def test_a_gpu_gets_the_same_rows():
    plain, cuda = feed(), feed(device=torch.device("cuda"))
    for position in (0, 6, 12):
        rows = cuda.at(position, 6, (position + 6, 6))
        assert rows.inputs.is_cuda and rows.inputs.is_contiguous(memory_format=torch.channels_last)
        expected = plain.at(position, 6)
        torch.testing.assert_close(rows.inputs.cpu(), expected.inputs, rtol=0, atol=1e-6)
        torch.testing.assert_close(rows.images.cpu(), expected.images, rtol=0, atol=1e-6)
        assert torch.equal(rows.labels.cpu(), expected.labels)
    cuda.close()
    plain.close()


def test_what_cannot_be_degraded():
    cases = [
        ({"data": Memory(noise(4, 40), inputs=Memory(noise(4, 10)))}, "has inputs of its own"),
        ({"crop": 18}, "no multiples of the scale 4"),
        ({"degrade": Degradation(around=6)}, "no multiples of the scale 4"),
        ({"degrade": Degradation()}, "160 together"),
        ({"crop": None}, "data.crop is None"),
    ]
    for options, words in cases:
        with pytest.raises(ConfigError, match=words) as error:
            feed(**options)
        assert error.value.hint
    with pytest.raises(ConfigError, match=r"data\.degrade is an option of the feed 'crops'"):
        open_feed("one", DATA, seed=0, device=CPU, largest=1, channels_last=True, degrade=SMALL)
