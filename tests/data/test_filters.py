"""Filters of `gantools prep`: expressions, duplicates, equal numbers a class."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import gantools
from gantools.data.filters import Column, sample, where
from gantools.data.sources import Source
from gantools.errors import ConfigError, DataError

RNG = np.random.default_rng(0)
KNOWN = {
    "Smiling": Column(RNG.choice([-1, 1], 200)),
    "Male": Column(RNG.choice([-1, 1], 200)),
    "5_o_Clock_Shadow": Column(RNG.choice([-1, 1], 200)),
    "lefteye_x": Column(RNG.integers(50, 90, 200)),
    "partition": Column(RNG.integers(0, 3, 200), {"train": 0, "val": 1, "test": 2}, ordered=False),
    "class": Column(RNG.integers(0, 2, 200), {"Bag": 0, "Ankle boot": 1}, ordered=False),
    "aspect": Column(lambda: ASPECT),
}
ASPECT = RNG.choice([0.5, 0.75, 1, 1.25, 1.5, 4 / 3], 200)
S, M, X, P, C = (KNOWN[k].values for k in ("Smiling", "Male", "lefteye_x", "partition", "class"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Smiling=1", S == 1),
        ("Smiling = 1 & Male=-1", (S == 1) & (M == -1)),
        ("Smiling=1|Male=1&lefteye_x<60", (S == 1) | ((M == 1) & (X < 60))),
        ("(Smiling=1|Male=1)&lefteye_x>60", ((S == 1) | (M == 1)) & (X > 60)),
        ("((lefteye_x!=70))", X != 70),
        ("partition=test | partition=0", P != 1),
        ("class='Ankle boot'", C == 1),
        ("class!=Bag", C == 1),
        ("lefteye_x>=60 & lefteye_x<=70", (X >= 60) & (X <= 70)),
        ("aspect>=1.25", ASPECT >= 1.25),
        ("aspect<.75 | aspect=1", (ASPECT < 0.75) | (ASPECT == 1)),
        ("aspect <= 1.5 & aspect >= 0.75", (ASPECT <= 1.5) & (ASPECT >= 0.75)),
        ("lefteye_x>60.5", X > 60.5),
        ("5_o_Clock_Shadow=1", KNOWN["5_o_Clock_Shadow"].values == 1),
    ],
)
def test_an_expression_means_what_it_says(text, expected):
    np.testing.assert_array_equal(where(text, KNOWN), expected)


LEAF = st.tuples(
    st.sampled_from(["Smiling", "Male", "lefteye_x"]),
    st.sampled_from(["=", "!=", "<", ">", "<=", ">="]),
    st.integers(-2, 90),
)
TREE = st.recursive(LEAF, lambda t: st.tuples(t, st.sampled_from("&|"), t), max_leaves=8)


@given(TREE)
def test_any_expression_is_that_of_numpy(tree):
    def text(t):
        return f"{t[0]}{t[1]}{t[2]}" if isinstance(t[0], str) else f"({text(t[0])}) {t[1]} ({text(t[2])})"

    def numpy(t):
        if isinstance(t[0], str):
            name, op, value = t
            return eval(f"v {'==' if op == '=' else op} {value}", {"v": KNOWN[name].values})
        left, right = numpy(t[0]), numpy(t[2])
        return left & right if t[1] == "&" else left | right

    np.testing.assert_array_equal(where(text(tree), KNOWN), numpy(tree))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Smilin=1", "Did you mean 'Smiling'"),
        ("", "expected a name, found its end"),
        ("Smiling", "expected =, !=, <, >, <= or >= after Smiling"),
        ("Smiling=", "expected a value, found its end"),
        ("Smiling=1 &", "expected a name"),
        ("Smiling=1 Male=1", r"expected & or \|, found 'Male' at position 11"),
        ("(Smiling=1", r"expected \), found its end"),
        ("Smiling=1)", r"expected & or \|"),
        ("Smiling==1", "expected a value, found '='"),
        ("Smiling=yes", "numbers, not 'yes'"),
        ("Smiling=1.5.2", "numbers, not '1.5.2'"),
        ("aspect=1,5", "not understood"),
        ("class>=Bag", "no order"),
        ("partition=1.5", "unknown value"),
        ("Smiling+1", r"'\+' at position 8 is not understood"),
        ("class=Bog", "Did you mean 'Bag'"),
        ("class<Bag", "no order"),
        ("partition=training", "Did you mean 'train'"),
        ("__import__('os')=1", "unknown name"),
        ("(" * 1000 + "Male=1" + ")" * 1000, "parentheses"),
    ],
)
def test_a_wrong_expression_is_an_error_that_says_where(text, words):
    with pytest.raises(ConfigError, match=words):
        where(text, KNOWN)


@pytest.fixture
def photos(tmp_path):
    """Class a has 9 images, b has 5, of which two are copies of images of a, c has 4 and a file that is no image."""
    for i in range(18):
        folder = tmp_path / "photos" / "abc"[(i >= 9) + (i >= 14)]
        folder.mkdir(parents=True, exist_ok=True)
        seed = {10: 2, 12: 5}.get(i, i)
        pixels = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{i:02d}.png")
    return tmp_path / "photos"


def prep(photos, tmp_path, **options):
    return gantools.prep("folder", source=photos, size=8, out=tmp_path / "set", progress=False, **options)


def test_where_dedupe_balance_and_limit_are_applied_in_this_order_and_recorded(photos, tmp_path):
    s = prep(photos, tmp_path, where="class!=c", dedupe=True, balance=True, limit=5)
    assert s.names == ["a/00.png", "a/01.png", "a/02.png", "b/09.png", "b/11.png"]
    source = s.manifest["source"]
    assert (source["where"], source["dedupe"], source["balance"], source["limit"]) == ("class!=c", 2, True, 5)


@pytest.mark.parametrize(
    ("options", "counts"),
    [({}, [9, 5, 4]), ({"dedupe": True}, [9, 3, 4]), ({"balance": True}, [4, 4, 4])],
)
def test_counts_of_classes(photos, tmp_path, options, counts):
    assert np.bincount(prep(photos, tmp_path, **options).labels).tolist() == counts


def test_size_and_aspect_are_those_of_the_image_as_it_is_seen(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    sizes = {"a": (8, 8), "b": (16, 8), "c": (8, 16), "d": (12, 8)}
    for name, size in sizes.items():
        Image.new("RGB", size).save(folder / f"{name}.png")
    lying = Image.Exif()
    lying[0x112] = 6
    Image.new("RGB", (16, 8)).save(folder / "e.jpg", exif=lying)
    (folder / "f.png").write_bytes(b"no image")

    def names(where, **options):
        return prep(folder, tmp_path, where=where, overwrite=True, **options).names

    assert names("width>=12") == ["b.png", "d.png"]
    assert names("height>8") == ["c.png", "e.jpg"]
    assert names("aspect=1.5 | aspect<1") == ["c.png", "d.png", "e.jpg"]
    assert names("width=16", orientation="ignore") == ["b.png", "e.jpg"]
    # The size of what is no image is not known, so it is not left out without a word.
    assert prep(folder, tmp_path, where="width>=12", overwrite=True).manifest["source"]["rejected"] == 1


def test_size_of_pixels_without_a_file(tmp_path):
    np.save(tmp_path / "x.npy", np.zeros((4, 8, 12), np.uint8))
    options = {"source": tmp_path / "x.npy", "size": 8, "out": tmp_path / "s", "progress": False}
    assert len(gantools.prep("array", where="aspect=1.5 & width=12 & height=8", **options)) == 4


def test_a_sample_is_drawn_after_the_filters_and_recorded(photos, tmp_path):
    s = prep(photos, tmp_path, where="class!=c", sample=6, seed=3)
    assert len(s) == 6 and s.names == sorted(s.names) and not any(name.startswith("c/") for name in s.names)
    assert (s.manifest["source"]["sample"], s.manifest["source"]["seed"]) == (6, 3)
    assert prep(photos, tmp_path, where="class!=c", sample=6, seed=3).manifest == s.manifest
    assert prep(photos, tmp_path, where="class!=c", sample=6, overwrite=True).names != s.names
    assert len(prep(photos, tmp_path, where="class!=c", sample=99, overwrite=True)) == 14
    with pytest.raises(ConfigError, match="Give --sample or --limit"):
        prep(photos, tmp_path, sample=6, limit=3)
    with pytest.raises(ConfigError, match="Add --sample N"):
        prep(photos, tmp_path, seed=3)


NAMES = st.lists(st.text(max_size=3), max_size=30)


@given(NAMES, st.integers(0, 20), st.integers(0, 3), st.randoms())
def test_a_sample_depends_on_seed_and_names_alone(names, count, seed, random):
    def drawn(names, seed=seed):
        images = Source("folder", "x", None, np.arange(len(names)), list(names), 3, None)
        rows = sample(images, count, seed)
        assert (np.diff(rows) > 0).all() and len(rows) == min(count, len(names))
        return [names[i] for i in rows]

    chosen = drawn(names)
    mixed = random.sample(names, len(names))
    assert sorted(drawn(mixed)) == sorted(chosen)
    # Without an image that was not drawn the same ones are.
    left = list(names)
    for name in chosen:
        left.remove(name)
    if left:
        names.remove(left[0])
        assert sorted(drawn(names)) == sorted(chosen)


def test_samples_of_all_seeds_are_even():
    images = Source("folder", "x", None, np.arange(40), [f"{i}.png" for i in range(40)], 3, None)
    counts = np.bincount(np.concatenate([sample(images, 10, seed) for seed in range(2000)]))
    # Binomial, 2000 draws of 1 in 4: 500 with a deviation of 19.
    assert counts.min() > 400 and counts.max() < 600


def test_another_filter_is_another_plan(photos, tmp_path):
    first = prep(photos, tmp_path, where="class=a")
    with pytest.raises(DataError, match="is something else"):
        # The same images, but another description of them.
        prep(photos, tmp_path, where="class=a | class=a")
    assert prep(photos, tmp_path, where="class=a").manifest == first.manifest


def test_what_cannot_be_read_is_no_duplicate_but_a_reject(photos, tmp_path):
    for i in range(2):
        (photos / f"c/gone{i}.png").symlink_to("nowhere")
    assert prep(photos, tmp_path, dedupe=True).manifest["source"]["rejected"] == 2


def test_no_image_left_or_no_classes_is_an_error(photos, tmp_path):
    with pytest.raises(DataError, match=r"no image of 18 is as .*\nclass is a or b or c\."):
        prep(photos, tmp_path, where="class=a & class=b")
    with pytest.raises(DataError, match=r"width is 8\. aspect is 1\."):
        prep(photos, tmp_path, where="width>8 & aspect=1")
    with pytest.raises(DataError, match="no classes"):
        prep(photos / "a", tmp_path, balance=True)
    with pytest.raises(ConfigError, match="unknown name in the filter 'Smiling'"):
        prep(photos / "a", tmp_path, where="Smiling=1")


def test_attributes_of_celeba(test_data, tmp_path):
    source = test_data / "data/celeba"
    options = {"source": source, "size": 8, "progress": False, "limit": 200}
    s = gantools.prep("celeba", where="Smiling=1 & Male=-1 & partition=train", out=tmp_path / "c", **options)
    columns = s.manifest["annotations"]["attributes"]["columns"]
    attributes = s.annotations["attributes"]
    assert (attributes[:, columns.index("Smiling")] == 1).all()
    assert (attributes[:, columns.index("Male")] == -1).all()
    assert (s.annotations["partition"] == 0).all()
    assert 0 < len(s) <= 200
    with pytest.raises(ConfigError, match="Did you mean 'Smiling'"):
        gantools.prep("celeba", where="Smilling=1", out=tmp_path / "d", **options)
