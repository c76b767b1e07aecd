"""Feeds: what stands at a position is a function of seed and position, and belongs together."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gantools.data.feeds import HELD_OUT, KINDS, open_feed
from gantools.errors import ConfigError, DataError

CPU = torch.device("cpu")
N, SIDE, SCALE, CROP = 23, 16, 4, 8


class Memory:
    """An image set in memory."""

    def __init__(self, images, labels=None, inputs=None):
        self.images, self.labels, self.inputs = images, labels, inputs
        self.shape = images.shape[1:]

    def __len__(self):
        return len(self.images)

    def gather(self, indices, out=None, flip=None):
        found = self.images[indices]
        if flip is not None:
            found[flip] = found[flip][:, :, ::-1]
        if out is None:
            return found
        out[...] = found
        return out

    def gather_float(self, indices, out=None, flip=None, *, layout="nchw"):
        found = self.gather(indices, None, flip).astype(np.float32) / np.float32(127.5) - np.float32(1)
        found = found.transpose(0, 3, 1, 2) if layout == "nchw" else found
        if out is None:
            return found
        out[...] = found
        return out


def noise(n, side, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (n, side, side, 3), dtype=np.uint8)


def enlarged(images, scale):
    """Each pixel as a block: what is cut out of both sides at one place can be compared exactly."""
    return images.repeat(scale, 1).repeat(scale, 2)


LABELS = np.arange(N, dtype=np.int64) % 3
LOW = noise(N, SIDE // SCALE)
PAIRS = Memory(enlarged(LOW, SCALE), LABELS, Memory(LOW))
# Films of six images in a row.
PAIRS.annotations = {"clip": np.arange(N, dtype=np.int32) // 6, "frame": np.arange(N, dtype=np.int32) % 6}
OTHERS = Memory(noise(N + 8, SIDE, 1))
RANKED = Memory(noise(30, 12, 2), inputs=Memory(255 - noise(30, 12, 2)))
OPTIONS = {
    "one": {"flip": True},
    "balanced": {"balance": True, "flip": True},
    "paired": {"flip": True},
    "unpaired": {"inputs": OTHERS, "flip": True},
    "crops": {"crop": CROP, "flip": True, "turn": True},
    "frames": {"crop": CROP, "flip": True, "turn": True, "frames": 3},
    "ranked": {"crop": CROP, "flip": True, "turn": True, "inputs": RANKED},
}


def feed(case, *, seed=5, device=CPU, largest=8, channels_last=True, resident=None, data=PAIRS, **options):
    kind = "one" if case == "balanced" else case
    return open_feed(
        kind,
        data,
        seed=seed,
        device=device,
        largest=largest,
        channels_last=channels_last,
        resident=resident,
        **OPTIONS[case] | options,
    )


def tensors(sample):
    return [part for part in (sample.images, sample.labels, sample.inputs, *sample.extras.values()) if part is not None]


def same(samples, others):
    return all(
        torch.equal(torch.cat(a), torch.cat(b))
        for a, b in zip(zip(*map(tensors, samples), strict=True), zip(*map(tensors, others), strict=True), strict=True)
    )


def pixels(images):
    """uint8 (n, h, w, c) of a sample's images."""
    return images.add(1).mul(127.5).round().byte().permute(0, 2, 3, 1).numpy()


def whose(images, data):
    """Number and mirroring of each image, and the number of those that are none of the set's."""
    found = {}
    for i, image in enumerate(data.images):
        found[image.tobytes()] = (i, False)
        found[np.ascontiguousarray(image[:, ::-1]).tobytes()] = (i, True)
    return [found[np.ascontiguousarray(image).tobytes()] for image in pixels(images)]


@pytest.mark.parametrize("case", OPTIONS)
@settings(max_examples=15, deadline=None)
@given(start=st.integers(0, 10**6), cuts=st.lists(st.integers(1, 19), min_size=1, max_size=5), ahead=st.booleans())
def test_any_cut_gives_the_same_rows(case, start, cuts, ahead):
    whole, parts = feed(case), feed(case)
    at, got = start, []
    for i, n in enumerate(cuts):
        following = (at + n, cuts[i + 1]) if ahead and i + 1 < len(cuts) else None
        got.append(parts.at(at, n, following))
        at += n
    assert same([whole.at(start, at - start)], got)
    whole.close()
    parts.close()


@pytest.mark.parametrize("case", OPTIONS)
def test_ranks_ask_for_their_own_rows(case):
    world, n = 3, 4
    whole = [feed(case).at(step * world * n, world * n) for step in range(4)]
    ranks = [feed(case) for _ in range(world)]
    for step, expected in enumerate(whole):
        positions = [step * world * n + rank * n for rank in range(world)]
        got = [ranks[r].at(at, n, (at + world * n, n)) for r, at in enumerate(positions)]
        assert same([expected], got)


@pytest.mark.parametrize("case", OPTIONS)
def test_a_wrong_guess_of_what_follows_changes_nothing(case):
    guess, plain = feed(case), feed(case)
    guess.at(0, 4, (4, 4))
    assert same([guess.at(8, 6, (0, 4)), guess.at(100, 2)], [plain.at(8, 6), plain.at(100, 2)])


@pytest.mark.parametrize("channels_last", [True, False])
@pytest.mark.parametrize("case", OPTIONS)
def test_resident_data_and_layout_change_no_bit(case, channels_last):
    resident, host = feed(case, resident=True, channels_last=channels_last), feed(case)
    assert resident.resident and not host.resident
    layout = torch.channels_last if channels_last else torch.contiguous_format
    for at, n in ((0, 8), (8, 8), (400, 30)):
        got = resident.at(at, n)
        assert same([got], [host.at(at, n)])
        for images in (got.images, got.inputs):
            # Of frames, each has the layout.
            flat = None if images is None else images.flatten(0, images.dim() - 4)
            assert flat is None or flat.is_contiguous(memory_format=layout)


@pytest.mark.parametrize("case", OPTIONS)
def test_another_seed_is_another_order_and_the_same_one_the_same(case):
    assert same([feed(case).at(0, 12)], [feed(case).at(0, 12)])
    assert not same([feed(case).at(0, 12)], [feed(case, seed=6).at(0, 12)])


@pytest.mark.parametrize("case", ["one", "paired", "unpaired"])
def test_an_epoch_has_each_image_once(case):
    opened = feed(case)
    assert opened.count == (len(OTHERS) if case == "unpaired" else N)
    for epoch in range(3):
        assert sorted(i for i, _ in whose(opened.at(epoch * N, N).images, PAIRS)) == list(range(N))
    if case == "unpaired":
        epochs = [[i for i, _ in whose(opened.at(e * len(OTHERS), len(OTHERS)).inputs, OTHERS)] for e in range(2)]
        assert all(sorted(epoch) == list(range(len(OTHERS))) for epoch in epochs) and epochs[0] != epochs[1]


def test_one_gives_labels_and_no_inputs():
    sample = feed("one", largest=4).at(3, 40)
    assert sample.inputs is None and sample.extras == {} and sample.labels.dtype == torch.int64
    seen = whose(sample.images, PAIRS)
    assert sample.labels.tolist() == [LABELS[i] for i, _ in seen] and 5 < sum(flipped for _, flipped in seen) < 35
    assert feed("one", data=Memory(LOW)).at(0, 4).labels is None
    assert not any(flipped for _, flipped in whose(feed("one", flip=False).at(0, 40).images, PAIRS))


def test_pairs_belong_together_and_are_mirrored_together():
    sample = feed("paired").at(0, 5 * N)
    images, inputs = whose(sample.images, PAIRS), whose(sample.inputs, PAIRS.inputs)
    assert images == inputs and {flipped for _, flipped in images} == {True, False}
    assert sample.labels.tolist() == [LABELS[i] for i, _ in images]


def test_what_is_unpaired_has_orders_and_mirrorings_of_its_own():
    sample = feed("unpaired", inputs=Memory(OTHERS.images[:N])).at(0, 4 * N)
    images, inputs = whose(sample.images, PAIRS), whose(sample.inputs, OTHERS)
    assert sum(a == b for (a, _), (b, _) in zip(images, inputs, strict=True)) < 4 * N / 4
    assert N < sum(a != b for (_, a), (_, b) in zip(images, inputs, strict=True)) < 3 * N


@pytest.mark.parametrize("flip", [True, False])
@pytest.mark.parametrize("turn", [True, False])
@pytest.mark.parametrize("resident", [True, False])
def test_crops_of_both_sides_show_the_same(flip, turn, resident):
    opened = feed("crops", flip=flip, turn=turn, resident=resident)
    sample = opened.at(0, 40 * N)
    assert sample.images.shape == (40 * N, 3, CROP, CROP) and sample.inputs.shape == (40 * N, 3, 2, 2)
    low = pixels(sample.inputs)
    assert np.array_equal(enlarged(low, SCALE), pixels(sample.images))
    # Every place of every image, in each of the positions of a square that were asked for, and in no other.
    places = {}
    for i, image in enumerate(LOW):
        for y in range(3):
            for x in range(3):
                for k in range(8):
                    crop = image[y : y + 2, x : x + 2]
                    crop = crop[:, ::-1] if k & 1 else crop
                    crop = crop[::-1] if k & 2 else crop
                    crop = crop.swapaxes(0, 1) if k & 4 else crop
                    places[np.ascontiguousarray(crop).tobytes()] = (i, y, x, k)
    seen = [places[np.ascontiguousarray(crop).tobytes()] for crop in low]
    assert sorted(i for i, *_ in seen[:N]) == list(range(N))
    assert {(y, x) for _, y, x, _ in seen} == {(y, x) for y in range(3) for x in range(3)}
    assert {k for *_, k in seen} == {k for k in range(8) if (flip or not k & 1) and (turn or not k & 6)}
    assert sample.labels.tolist() == [LABELS[i] for i, *_ in seen]
    counts = np.unique([3 * y + x for _, y, x, _ in seen], return_counts=True)[1]
    assert counts.min() > 40 * N / 9 * 0.7 and counts.max() < 40 * N / 9 * 1.3


def test_crops_without_inputs_begin_anywhere():
    data = Memory(noise(2, 9, 3))
    sample = feed("crops", data=data, crop=7, turn=False, flip=False).at(0, 200)
    assert sample.inputs is None
    places = {
        np.ascontiguousarray(image[y : y + 7, x : x + 7]).tobytes(): (y, x)
        for image in data.images
        for y in range(3)
        for x in range(3)
    }
    assert len({places[crop.tobytes()] for crop in pixels(sample.images).copy()}) == 9


def test_a_crop_as_large_as_the_image_is_the_image():
    sample = feed("crops", crop=SIDE, turn=False).at(0, N)
    assert whose(sample.images, PAIRS) == whose(sample.inputs, PAIRS.inputs)


def test_balanced_classes_come_equally_often_and_so_do_their_images():
    labels = np.array([0] * 15 + [1] * 5 + [4] * 3, np.int64)
    opened = feed("one", data=Memory(PAIRS.images, labels), balance=True)
    assert opened.count == N
    sample = opened.at(0, 3 * 15 * 4)
    assert [sorted(run) for run in sample.labels.reshape(-1, 3).tolist()] == [[0, 1, 4]] * 60
    assert len({tuple(run) for run in sample.labels.reshape(-1, 3).tolist()}) == 6
    seen = whose(sample.images, PAIRS)
    assert sample.labels.tolist() == [labels[i] for i, _ in seen]
    assert np.array_equal(np.bincount([i for i, _ in seen]), [4] * 15 + [12] * 5 + [20] * 3)
    assert 60 < sum(flipped for _, flipped in seen) < 120


def test_many_classes_over_the_border_of_what_is_drawn_at_a_time():
    from gantools.data.feeds.orders import BLOCKS

    labels = np.arange(N, dtype=np.int64)
    border = BLOCKS * N
    sample = feed("balanced", data=Memory(PAIRS.images, labels)).at(border - 2 * N, 4 * N)
    assert [sorted(run) for run in sample.labels.reshape(-1, N).tolist()] == [list(range(N))] * 4


@pytest.mark.parametrize(
    ("case", "options", "error", "words"),
    [
        ("one", {"balance": True, "data": Memory(LOW)}, DataError, "the set has no labels"),
        ("one", {"inputs": OTHERS}, ConfigError, "'one' has no inputs"),
        ("one", {"crop": 8}, ConfigError, "data.crop is an option of the feed 'crops', not of 'one'"),
        ("one", {"turn": True}, ConfigError, "data.turn is an option of the feed 'crops'"),
        ("paired", {"balance": True}, ConfigError, "data.balance is an option of the feed 'one', not of 'paired'"),
        ("paired", {"data": Memory(LOW)}, DataError, "no inputs, which the feed 'paired' needs"),
        ("unpaired", {"data": Memory(LOW), "inputs": None}, DataError, "no inputs, which the feed 'unpaired' needs"),
        ("paired", {"inputs": OTHERS}, DataError, "has 23 images, its inputs 31"),
        ("crops", {"inputs": OTHERS}, DataError, "has 23 images, its inputs 31"),
        ("crops", {"crop": None}, ConfigError, "needs the side of a crop"),
        ("crops", {"crop": 17}, ConfigError, "data.crop is 17; the images of the set are 16 x 16"),
        ("crops", {"crop": 0}, ConfigError, "data.crop is 0"),
        ("crops", {"crop": 6}, ConfigError, "data.crop is 6, no multiple of 4"),
        ("crops", {"inputs": Memory(noise(N, 5))}, DataError, "no whole multiple"),
        ("crops", {"inputs": Memory(noise(N, 32))}, DataError, "no whole multiple"),
        ("one", {"data": Memory(LOW[:0])}, DataError, "the set has no images"),
        ("crops", {"frames": 3}, ConfigError, "data.frames is an option of the feed 'frames', not of 'crops'"),
        ("frames", {"frames": 4}, ConfigError, "data.frames is 4; it has to be odd"),
        ("frames", {"frames": None}, ConfigError, "data.frames is 0"),
        ("frames", {"data": Memory(LOW)}, DataError, "no inputs, which the feed 'frames' needs"),
        ("frames", {"data": Memory(PAIRS.images, inputs=Memory(LOW))}, DataError, "does not say which films"),
    ],
)
def test_mistakes_are_one_clear_line(case, options, error, words):
    with pytest.raises(error) as e:
        feed(case, **options)
    assert words in e.value.message and "\n" not in e.value.message and e.value.hint


def test_a_misspelt_kind_is_named():
    with pytest.raises(ConfigError, match=r"unknown feed 'pared'. Did you mean 'paired'\?"):
        open_feed("pared", PAIRS, seed=0, device=CPU, largest=1, channels_last=True)
    assert set(KINDS) == {"one", "paired", "unpaired", "crops", "frames", "ranked"}


@pytest.mark.parametrize("span", [(-1, 4), (0, 0)])
def test_there_is_nothing_before_the_first_position(span):
    with pytest.raises(ValueError, match="position is at least 0"):
        feed("one").at(*span)


@pytest.mark.gpu
@pytest.mark.parametrize("resident", [False, True])
@pytest.mark.parametrize("case", OPTIONS)
def test_feeds_on_cuda_are_those_of_the_cpu_and_do_not_wait(case, resident):
    ours, host = feed(case, device=torch.device("cuda"), resident=resident), feed(case)
    for step in range(30):
        torch.cuda.set_sync_debug_mode("error")
        try:
            sample = ours.at(step * 8, 8, ((step + 1) * 8, 8))
        finally:
            torch.cuda.set_sync_debug_mode("default")
        assert same([type(sample)(*(None if t is None else t.cpu() for t in sample[:3]), {})], [host.at(step * 8, 8)])
    assert torch.equal(ours.at(4, 20).images.cpu(), host.at(4, 20).images)


def test_ranked_pairs_stand_beside_crops_and_are_cut_alike():
    crops, ranked = (feed(case).at(4, 60) for case in ("crops", "ranked"))
    assert same([crops], [ranked._replace(extras={})])
    assert set(ranked.extras) == {"better", "worse"} and ranked.extras["better"].shape == (60, 3, CROP, CROP)
    assert np.array_equal(pixels(ranked.extras["better"]), 255 - pixels(ranked.extras["worse"]))
    # Smaller ones than the crops are taken whole.
    small = Memory(noise(30, 6, 2), inputs=Memory(noise(30, 6, 3)))
    assert feed("ranked", inputs=small).at(0, 2).extras["worse"].shape == (2, 3, 6, 6)


def test_the_last_tenth_of_ranked_pairs_is_kept_from_the_training():
    numbered = np.broadcast_to(np.arange(30, dtype=np.uint8)[:, None, None, None], (30, 12, 12, 3)).copy()
    opened = feed("ranked", inputs=Memory(numbered, inputs=Memory(numbered)))

    def numbers(position):
        return set(pixels(opened.at(position, 120).extras["better"])[:, 0, 0, 0].tolist())

    assert numbers(0) == numbers(10**6) == set(range(27)) and numbers(HELD_OUT) == {27, 28, 29}


@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        (None, "no set of such pairs"),
        (OTHERS, "no set of such pairs"),
        (Memory(LOW[:1], inputs=Memory(LOW[:1])), "1 pair"),
    ],
)
def test_without_ranked_pairs_it_says_how_to_make_some(inputs, words):
    with pytest.raises(DataError, match=words) as error:
        feed("ranked", inputs=inputs)
    assert "gantools prep ranked" in error.value.hint
