"""Images in `.npy` and `.npz`."""

from __future__ import annotations

import re

import numpy as np
import pytest

import gantools
from gantools.data.sources import Asked, array
from gantools.errors import ConfigError, DataError

RNG = np.random.default_rng(0)
RGB = RNG.integers(0, 256, (5, 6, 6, 3), dtype=np.uint8)
GREY = RNG.integers(0, 256, (5, 6, 6), dtype=np.uint8)


@pytest.mark.parametrize("x", [RGB, GREY, GREY[..., None], np.asfortranarray(RGB)])
@pytest.mark.parametrize("how", ["npy", "npz", "compressed", "version 2"])
def test_pixels_and_labels_are_kept(tmp_path, x, how):
    path = tmp_path / "x.npz"
    labels = np.array([2, 0, 1, 1, 0])
    if how == "npy":
        path = tmp_path / "x.npy"
        np.save(path, x)
    elif how == "version 2":
        path = tmp_path / "x.npy"
        with path.open("wb") as f:
            np.lib.format.write_array(f, x, version=(2, 0))
    else:
        (np.savez if how == "npz" else np.savez_compressed)(path, arr_0=x, arr_1=labels)
    s = gantools.prep("array", source=path, out=tmp_path / "set", progress=False)
    np.testing.assert_array_equal(s.gather(np.arange(5)), x.reshape(5, 6, 6, -1))
    if path.suffix == ".npz":
        assert s.labels.tolist() == labels.tolist()
        assert s.classes == ["0", "1", "2"]
    else:
        assert s.labels is None


def test_other_names_and_class_names(tmp_path):
    np.savez(tmp_path / "x.npz", images=RGB, y=np.array(["b", "a", "b", "a", "a"]))
    source = array.open_source(tmp_path / "x.npz")
    assert (source.classes, source.labels.tolist()) == (["a", "b"], [1, 0, 1, 0, 0])
    np.savez(tmp_path / "x.npz", x=RGB, labels=np.arange(5), classes=np.array(list("vwxyz")))
    assert array.open_source(tmp_path / "x.npz").classes == list("vwxyz")


def test_two_files_of_one_shape_have_two_fingerprints(tmp_path):
    np.save(tmp_path / "a.npy", RGB)
    np.save(tmp_path / "b.npy", RGB[::-1].copy())
    prints = [array.open_source(tmp_path / name).reader.fingerprint() for name in ("a.npy", "b.npy", "a.npy")]
    assert prints[0] == prints[2] != prints[1]


def test_the_arrays_may_be_named(tmp_path):
    path = tmp_path / "x.npz"
    np.savez(path, x_train=RGB, y_train=np.arange(5), faces=RGB[::-1], who=np.array(list("abcde")), y=np.zeros(5, int))
    source = array.open_source(path, None, Asked(key="faces", label_column="who"))
    assert source.reader.read(0) == RGB[4].tobytes()
    assert (source.split, source.classes) == (None, list("abcde"))
    assert array.open_source(path, None, Asked(key="faces")).labels.tolist() == [0] * 5
    assert array.open_source(path, None, Asked(key="x_train")).labels.tolist() == list(range(5))
    with pytest.raises(ConfigError, match="Did you mean 'faces'"):
        array.open_source(path, None, Asked(key="face"))
    with pytest.raises(ConfigError, match="Add --key"):
        array.open_source(path, None, Asked(label_column="who"))
    np.savez(path, faces=RGB)
    with pytest.raises(DataError, match="--key"):
        array.open_source(path)


# What people keep of images, by the pixels they come from.
FORMS = {
    **{
        f"{t} of 0 to 255": lambda x, t=t: x.astype(t)
        for t in ("int16", "uint16", "int32", "uint32", "int64", "uint64")
    },
    **{f"{t} of 0 to 255": lambda x, t=t: x.astype(t) for t in ("float16", "float32", "float64", ">i8", ">f4")},
    **{f"{t} of 0 to 1": lambda x, t=t: (x / 255).astype(t) for t in ("float16", "float32", "float64")},
    **{f"{t} of -1 to 1": lambda x, t=t: (x / 127.5 - 1).astype(t) for t in ("float16", "float32", "float64")},
    **{f"{t} of 0 to 65535": lambda x, t=t: x.astype(t) * 257 for t in ("uint16", "int32", "uint64", "float32")},
    **{f"{t}, 128 taken off": lambda x, t=t: (x.astype(int) - 128).astype(t) for t in ("int8", "int16", "float32")},
    "float32, 127.5 taken off": lambda x: x.astype("float32") - 127.5,
    "uint16 of 10 bits if": lambda x: x.astype("uint16") * 4 + 3,
    "int16 of 12 bits if": lambda x: x.astype("int16") * 16 + 15,
    "int32 of 14 bits if": lambda x: x.astype("int32") * 64,
    "read as signed": lambda x: x.view("int8"),
    "standardised": lambda x: ((x / 255 - MEAN) / STD).astype("float32"),
    "standardised grey": lambda x: ((x / 255 - 0.1307) / 0.3081).astype("float32"),
}
MEAN, STD = 0.45, 0.225
SHAPES = {
    "(n, h, w, 3)": lambda x: x,
    "(n, 3, h, w)": lambda x: x.transpose(0, 3, 1, 2),
    "(n, h, w, 1)": lambda x: x[..., :1],
    "(n, 1, h, w)": lambda x: x[..., :1].transpose(0, 3, 1, 2),
    "(n, h, w)": lambda x: x[..., 0],
    "(1, n, h, w, 3)": lambda x: x[None],
    "(h, w, 3)": lambda x: x[0],
    "(h, w)": lambda x: x[0, ..., 0],
    "(3, h, w)": lambda x: x[0].transpose(2, 0, 1),
    "three grey": lambda x: x[:3, ..., 0],
    "grey, three pixels wide": lambda x: x[:, :, :3, 0],
}


def follow(hint: str, values: dict[str, object], meant: str = "") -> None:
    """Does what a hint says to type; of several, that for the case `meant`."""
    found = re.findall(r"([xy] = .+?)(?: if ([^,.]*)(?=[,.])|$|(?=\. ))", hint)
    assert found, hint
    chosen = next((code for code, case in found if case and all(word in case for word in meant.split())), found[0][0])
    exec(chosen, {"numpy": np}, values)


def read_by_hints(path, x, meant=""):
    """The pixels of what `x` becomes when every error's hint is followed, and how many there were."""
    values = {"x": x, "mean": MEAN, "std": STD}
    for hints in range(4):
        np.save(path, values["x"])
        try:
            source = array.open_source(path)
        except DataError as e:
            follow(e.hint, values, meant)
        else:
            shape = source.pixels
            return [np.frombuffer(source.reader.read(i), np.uint8).reshape(shape) for i in source.items.tolist()], hints
    raise AssertionError(f"{hints} hints lead nowhere")


def full_range():
    """uint8 (5, 7, 6, 3): every value from 0 to 255, both ends in the first image's red."""
    x = np.resize(np.arange(256), 5 * 7 * 6 * 3).astype(np.uint8).reshape(5, 7, 6, 3)
    x[0, 0, :2, 0] = 0, 255
    return x


@pytest.mark.parametrize("shape", ["(n, h, w, 3)", "(n, 3, h, w)", "(n, h, w)", "(h, w, 3)", "(1, n, h, w, 3)"])
@pytest.mark.parametrize("form", FORMS)
def test_the_hint_for_other_numbers_gives_the_pixels(tmp_path, monkeypatch, form, shape):
    monkeypatch.setitem(globals(), "MEAN", 0.1307 if "grey" in form else 0.45)
    monkeypatch.setitem(globals(), "STD", 0.3081 if "grey" in form else 0.225)
    pixels = full_range()
    meant = {"read as signed": "signed", "int8, 128 taken off": "128"}.get(form, "")
    if " if" in form:
        meant = form.split(" of ")[1].removesuffix(" if")
    if shape == "(h, w, 3)":
        meant = meant or "one image"
    found, hints = read_by_hints(tmp_path / "x.npy", FORMS[form](SHAPES[shape](pixels)), meant)
    assert hints >= 1
    expected = {"(h, w, 3)": pixels[:1], "(n, h, w)": pixels[..., :1]}.get(shape, pixels)
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("order", "CF")
def test_shapes_are_taken_or_their_hint_gives_the_pixels(tmp_path, shape, order):
    pixels = full_range()
    meant = {"(3, h, w)": "one image", "three grey": "3 grey", "grey, three pixels wide": "grey"}.get(
        shape, "one image"
    )
    x = np.array(SHAPES[shape](pixels), order=order)
    found, hints = read_by_hints(tmp_path / "x.npy", x, meant)
    expected = {
        "(n, h, w, 1)": pixels[..., :1],
        "(n, 1, h, w)": pixels[..., :1],
        "(n, h, w)": pixels[..., :1],
        "(h, w, 3)": pixels[:1],
        "(h, w)": pixels[:1, ..., :1],
        "(3, h, w)": pixels[:1],
        "three grey": pixels[:3, ..., :1],
        "grey, three pixels wide": pixels[:, :, :3, :1],
    }.get(shape, pixels)
    np.testing.assert_array_equal(found, expected)
    assert (hints == 0) == shape.startswith("(n,")


def test_the_hint_for_masks(tmp_path):
    mask = GREY > 127
    for x, meant, expected in (
        (mask, "", mask * 255),
        (mask.astype("int64"), "white", mask * 255),
        (mask.astype("float32"), "", mask * 255),
        (mask.astype("int64"), "darkest", mask * 1),
    ):
        found, _ = read_by_hints(tmp_path / "x.npy", x, meant)
        np.testing.assert_array_equal(np.array(found)[..., 0], expected)


def test_the_hint_for_values_of_no_known_scale_spreads_them(tmp_path):
    for x in (np.arange(-300, 300).reshape(1, 20, 30), np.linspace(-1e6, 1e9, 600).reshape(1, 20, 30)):
        found, _ = read_by_hints(tmp_path / "x.npy", x)
        assert (found[0].min(), found[0].max()) == (0, 255)
        assert (np.diff(found[0].astype(int).ravel()) >= 0).all()


LABELS = {
    "(n,)": np.array([3, 1, 2, 0, 3]),
    "(n, 1)": np.array([[3], [1], [2], [0], [3]]),
    "(n, 1, 1)": np.array([3, 1, 2, 0, 3]).reshape(5, 1, 1),
    "uint8": np.array([3, 1, 2, 0, 3], np.uint8),
    "float": np.array([3.0, 1, 2, 0, 3]),
    "float (n, 1)": np.array([[3.0], [1], [2], [0], [3]], np.float32),
    "one-hot": np.eye(4)[[3, 1, 2, 0, 3]],
    "one-hot of integers": np.eye(4, dtype=np.int64)[[3, 1, 2, 0, 3]],
    "one-hot of truths": np.eye(4, dtype=bool)[[3, 1, 2, 0, 3]],
    "shares": np.eye(4)[[3, 1, 2, 0, 3]] * 0.7 + 0.075,
    "values": np.array([0.9, 0.3, 0.5, 0.1, 0.9]),
    "column": np.array([[9, 3], [9, 1], [9, 2], [9, 0], [9, 3]]),
}


@pytest.mark.parametrize("form", LABELS)
def test_labels_in_every_form(tmp_path, form):
    values = {"y": LABELS[form], "i": 1}
    path = tmp_path / "x.npz"
    np.savez(path, x_train=RGB, y_train=values["y"])
    if form in ("shares", "values", "column"):
        with pytest.raises(DataError) as error:
            array.open_source(path)
        follow(error.value.hint, values)
        np.savez(path, x_train=RGB, y_train=values["y"])
    source = array.open_source(path)
    assert source.labels.tolist() == [3, 1, 2, 0, 3]
    assert source.classes == ["0", "1", "2", "3"]


def test_rows_with_a_single_one_know_how_many_classes_there_are(tmp_path):
    np.savez(tmp_path / "x.npz", x=RGB, y=np.eye(9)[[3, 1, 2, 0, 3]])
    assert len(array.open_source(tmp_path / "x.npz").classes) == 9
    np.savez(tmp_path / "x.npz", x=RGB, y=np.array([b"cat", b"dog", b"cat", b"dog", b"cat"]))
    assert array.open_source(tmp_path / "x.npz").classes == ["cat", "dog"]
    np.savez(tmp_path / "x.npz", x=RGB, y=np.full(5, -1.0))
    assert array.open_source(tmp_path / "x.npz").labels is None


def test_splits_of_keras(tmp_path):
    path = tmp_path / "x.npz"
    np.savez(path, x_train=RGB, y_train=np.arange(5), x_test=RGB[:2] ^ 1, y_test=np.array([[1], [0]]))
    train, test = array.open_source(path), array.open_source(path, "test")
    assert (train.split, train.usual_split, len(train), train.labels.tolist()) == ("train", "train", 5, [0, 1, 2, 3, 4])
    assert (test.split, len(test), test.labels.tolist()) == ("test", 2, [1, 0])
    assert test.reader.read(0) == (RGB[0] ^ 1).tobytes()
    assert train.left_out == {"test": 2}
    both = array.open_source(path, "all")
    assert (len(both), both.labels.tolist(), both.left_out) == (7, [0, 1, 2, 3, 4, 1, 0], {})
    assert [both.reader.read(i) for i in (0, 6)] == [RGB[0].tobytes(), (RGB[1] ^ 1).tobytes()]
    with pytest.raises(ConfigError, match="no split 'val'"):
        array.open_source(path, "val")
    np.savez(path, x_train=RGB, x_test=GREY)
    with pytest.raises(DataError, match="several sizes"):
        array.open_source(path, "all")


def test_what_is_no_array_of_images_is_an_error(tmp_path):
    path = tmp_path / "x.npy"
    for x, words in (
        (RGB.astype(np.float32), "float32 of 0 to 255, not uint8"),
        (RGB[..., [0, 1]], r"2 channels"),
        (RGB[0, 0, 0], "holds no images"),
        (RGB[:0], "holds no images"),
        (RGB.astype(np.float32)[:0], "holds no images"),
        (np.full((2, 4, 4), np.nan), "not finite"),
        (RGB.astype(complex), "which are no pixels"),
        (np.array([{}], dtype=object), "holds objects"),
    ):
        np.save(path, x)
        with pytest.raises(DataError, match=words):
            array.open_source(path)
    np.save(path, RGB)
    whole = path.read_bytes()
    for data, words in ((whole[:-1], "cut off"), (whole[:20], "damaged"), (b"", "damaged")):
        path.write_bytes(data)
        with pytest.raises(DataError, match=words):
            array.open_source(path)
    np.savez(path.with_suffix(".npz"), arr_0=RGB, arr_1=np.ones((4, 1)))
    with pytest.raises(DataError, match=r"labels are float64 \(4, 1\) for 5 images"):
        array.open_source(path.with_suffix(".npz"))
    np.savez(path.with_suffix(".npz"), features=RGB)
    with pytest.raises(DataError, match="it has features"):
        array.open_source(path.with_suffix(".npz"))
    with pytest.raises(DataError, match="no such file"):
        array.open_source(tmp_path / "none.npy")
    with pytest.raises(ConfigError, match="no splits"):
        array.open_source(path, "train")


def test_which_names_are_those_of_images():
    assert all(array.holds_images(["y", name]) for name in ("arr_0", "x", "x_train", "x_test", "images", "samples"))
    assert not array.holds_images(["mu", "sigma", "y_train"])
