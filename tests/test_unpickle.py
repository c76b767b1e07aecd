"""The unpickler that runs nothing: what it reads, and what it refuses."""

from __future__ import annotations

import pickle
import pickletools
from typing import Any

import numpy as np
import pytest

from gantools import unpickle


def test_pickled_arrays_of_other_orders_and_types() -> None:
    value = {
        "x": {
            "f": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
            "b": np.arange(4.0).astype(">f8"),
            "s": np.arange(3, dtype=np.float32),
            "n": 3,
        }
    }
    for protocol in range(6):
        found = unpickle.load(pickle.dumps(value, protocol))
        for key, array in value["x"].items():
            np.testing.assert_array_equal(found["x"][key], array)


def test_random_damage_of_a_pickle_is_a_value_error_or_a_value() -> None:
    rng = np.random.default_rng(0)
    whole = pickle.dumps({"fid": {"mu": np.arange(4.0), "sigma": np.eye(4)}})
    refused = 0
    for _ in range(2000):
        data = bytearray(whole)
        for at in rng.integers(0, len(data), 3):
            data[at] = rng.integers(0, 256)
        try:
            unpickle.load(bytes(data))
        except ValueError:
            refused += 1
    assert 500 < refused < 2000


def test_the_pickles_that_are_read_have_no_more_opcodes_than_allowed() -> None:
    for protocol in range(6):
        ops = {op.name for op, _, _ in pickletools.genops(pickle.dumps({"a": {"mu": np.eye(3)}}, protocol))}
        assert ops <= unpickle._OPCODES


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("encoding", ["ASCII", "latin1", "bytes"])
def test_arrays_of_every_pickle_protocol_are_read(protocol: int, encoding: Any) -> None:
    x, y = np.random.default_rng(0).integers(0, 256, (4, 30), dtype=np.uint8), [3, 1, 4, 1]
    for array in (x, np.asfortranarray(x)):
        data = pickle.dumps({"data": array, "labels": y, "names": ["a.png"] * 4}, protocol=protocol)
        got = unpickle.load(data, allow=("u1",), encoding=encoding)
        np.testing.assert_array_equal(got["data"], x)
        assert got["data"].dtype == np.uint8 and got["labels"] == y and got["names"] == ["a.png"] * 4


def test_a_pickle_as_python_2_wrote_it() -> None:
    # Strings of Python 2 (S, U opcodes) and the module names of an old numpy.
    data = (
        b"(dp0\nS'data'\np1\ncnumpy.core.multiarray\n_reconstruct\np2\n(cnumpy\nndarray\np3\n(I0\ntp4\nS'b'\np5\ntp6\n"
        b"Rp7\n(I1\n(I1\nI3\ntp8\ncnumpy\ndtype\np9\n(S'u1'\np10\nI0\nI1\ntp11\nRp12\n(I3\nS'|'\np13\nNNNI-1\nI-1\nI0\n"
        b"tp14\nbI00\nS'abc'\np15\ntp16\nbsS'labels'\np17\n(lp18\nI7\nas."
    )
    got = unpickle.load(data, encoding="bytes")
    assert got["data"].tolist() == [[97, 98, 99]]
    assert got["labels"] == [7]


@pytest.mark.parametrize("dtype", sorted(unpickle.NUMBERS))
def test_only_the_allowed_dtypes_are_read(dtype: str) -> None:
    data = pickle.dumps({"x": np.zeros(3, dtype)})
    assert unpickle.load(data)["x"].dtype == np.dtype(dtype)
    for other in unpickle.NUMBERS - {dtype}:
        with pytest.raises(ValueError, match="an array of dtype"):
            unpickle.load(data, allow=(other,))


@pytest.mark.parametrize("encoding", ["ASCII", "latin1", "bytes"])
@pytest.mark.parametrize(
    "data",
    [
        b"cnumpy\nndarray\n(I1\ntR.",
        b"c_codecs\nencode\n(S'x'\nS'rot13'\ntR.",
        b"c_codecs\nencode\n(Vx\nVrot13\ntR.",
        b"cnumpy\ndtype\n(S'O'\nI0\nI1\ntR.",
        b"cos\nsystem\n(S'true'\ntR.",
        b"\x80\x05\x95",
        b"",
    ],
)
def test_what_the_stand_ins_can_be_made_to_do_is_an_error(data: bytes, encoding: Any) -> None:
    with pytest.raises(ValueError):
        unpickle.load(data, encoding=encoding)
