"""Filters of `gantools prep`: expressions, duplicates, equal numbers a class."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import gantools
from gantools.data.filters import Column, where
from gantools.errors import ConfigError, DataError

RNG = np.random.default_rng(0)
KNOWN = {
    "Smiling": Column(RNG.choice([-1, 1], 200)),
    "Male": Column(RNG.choice([-1, 1], 200)),
    "5_o_Clock_Shadow": Column(RNG.choice([-1, 1], 200)),
    "lefteye_x": Column(RNG.integers(50, 90, 200)),
    "partition": Column(RNG.integers(0, 3, 200), {"train": 0, "val": 1, "test": 2}, ordered=False),
    "class": Column(RNG.integers(0, 2, 200), {"Bag": 0, "Ankle boot": 1}, ordered=False),
}
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
        ("5_o_Clock_Shadow=1", KNOWN["5_o_Clock_Shadow"].values == 1),
    ],
)
def test_an_expression_means_what_it_says(text, expected):
    np.testing.assert_array_equal(where(text, KNOWN), expected)


LEAF = st.tuples(
    st.sampled_from(["Smiling", "Male", "lefteye_x"]), st.sampled_from(["=", "!=", "<", ">"]), st.integers(-2, 90)
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
        ("Smiling", "expected =, !=, < or > after Smiling"),
        ("Smiling=", "expected a value, found its end"),
        ("Smiling=1 &", "expected a name"),
        ("Smiling=1 Male=1", r"expected & or \|, found 'Male' at position 11"),
        ("(Smiling=1", r"expected \), found its end"),
        ("Smiling=1)", r"expected & or \|"),
        ("Smiling==1", "expected a value, found '='"),
        ("Smiling=yes", "whole numbers, not 'yes'"),
        ("Smiling=1.5", "whole numbers"),
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
    with pytest.raises(DataError, match="no image is as"):
        prep(photos, tmp_path, where="class=a & class=b")
    with pytest.raises(DataError, match="no classes"):
        prep(photos / "a", tmp_path, balance=True)
    with pytest.raises(ConfigError, match="neither classes nor annotations"):
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
