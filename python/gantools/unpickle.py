"""Reading a pickle of plain values and numpy arrays, such as CIFAR's batches or EDM2's statistics, without running it.

A pickle is a program that may call any function. Here it may call none: its opcodes are compared with a list before it
is read, and the names by which numpy's arrays are pickled stand for stand-ins of this module, which take a dtype,
a shape and bytes and nothing else.
"""

from __future__ import annotations

import io
import math
import pickle
import pickletools
from collections.abc import Collection
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

# What plain values, dicts, lists, tuples, arrays and references between them are made of.
_NAMES = (
    "PROTO FRAME STOP MARK POP POP_MARK MEMOIZE PUT BINPUT LONG_BINPUT GET BINGET LONG_BINGET "
    "NONE NEWTRUE NEWFALSE INT BININT BININT1 BININT2 LONG1 FLOAT BINFLOAT "
    "STRING BINSTRING SHORT_BINSTRING LONG "
    "UNICODE BINUNICODE SHORT_BINUNICODE BINUNICODE8 BINBYTES SHORT_BINBYTES BINBYTES8 BYTEARRAY8 "
    "EMPTY_TUPLE TUPLE TUPLE1 TUPLE2 TUPLE3 EMPTY_LIST LIST APPEND APPENDS EMPTY_DICT DICT SETITEM SETITEMS "
    "GLOBAL STACK_GLOBAL REDUCE BUILD"
)
_OPCODES = frozenset(_NAMES.split())
# The stack of references has room for this many; CIFAR-100's files have one for each of 50,000 file names.
_MAX_MEMO = 1 << 17
#: The dtypes that arrays may have, of any byte order.
NUMBERS = frozenset({"f2", "f4", "f8", "i4", "i8", "u1"})
_RECONSTRUCT = {("numpy.core.multiarray", "_reconstruct"), ("numpy._core.multiarray", "_reconstruct")}
# The pickles of protocol 5.
_FROMBUFFER = {("numpy.core.numeric", "_frombuffer"), ("numpy._core.numeric", "_frombuffer")}
_ENCODE = ("_codecs", "encode")


def load(
    data: bytes, *, allow: Collection[str] = NUMBERS, encoding: Literal["ASCII", "latin1", "bytes"] = "ASCII"
) -> Any:
    """The value that `data` is a pickle of: dicts, lists, tuples, numbers, strings and numpy arrays of numbers.

    Args:
        data: the pickle, of any protocol.
        allow: the dtypes that its arrays may have, among `NUMBERS`.
        encoding: what the strings of Python 2 become, as for `pickle.loads`.

    Returns:
        The value. Of a dict, and of the dicts in it, what has a string for a key; a key that is bytes becomes one.

    Raises:
        ValueError: anything else in it, or it is damaged; nothing in it has been run then.
    """
    try:
        argument: Any
        for opcode, argument, _ in pickletools.genops(io.BytesIO(data)):
            if opcode.name not in _OPCODES:
                raise ValueError(f"it has the pickle opcode {opcode.name}, which no array needs")
            if opcode.name in ("PUT", "BINPUT", "LONG_BINPUT") and argument >= _MAX_MEMO:
                raise ValueError("its references are too many")
        return _finished(_Unpickler(data, allow, encoding).load())
    except ValueError:
        raise
    # A damaged pickle raises whatever its damage comes to.
    except Exception as e:
        raise ValueError(str(e) or type(e).__name__) from e


class _Name:
    """Stands for a name of the pickle; may only be called or passed on."""

    __slots__ = ("_allow", "_which")

    def __init__(self, which: str, allow: Collection[str]) -> None:
        self._which, self._allow = which, allow

    def __setstate__(self, state: object) -> None:
        raise pickle.UnpicklingError("a name is given a state")

    def __call__(self, *args: Any) -> Any:
        if self._which == "reconstruct" and len(args) == 3 and isinstance(args[0], _Name) and args[0].is_array:
            return _Array()
        if self._which == "frombuffer" and len(args) == 4 and args[3] in ("C", "F"):
            array, (data, dtype, shape, order) = _Array(), args
            array.__setstate__((1, shape, dtype, order == "F", bytes(data) if isinstance(data, bytearray) else data))
            return array
        if self._which == "dtype" and args and isinstance(args[0], str | bytes):
            return _DType(_text(args[0]), self._allow)
        if self._which == "encode" and len(args) == 2 and isinstance(args[0], str) and args[1] == "latin1":
            # How Python 3 writes bytes in the pickles of Python 2.
            return args[0].encode("latin1")
        raise pickle.UnpicklingError("a call that makes no array")

    @property
    def is_array(self) -> bool:
        return self._which == "ndarray"


class _DType:
    """Stands for a dtype of numbers."""

    def __init__(self, name: str, allow: Collection[str]) -> None:
        self.name, self.order = name.lstrip("<=|"), "<"
        if self.name not in allow:
            raise pickle.UnpicklingError(f"an array of dtype {name!r}")

    def __setstate__(self, state: Any) -> None:
        order = _text(state[1]) if isinstance(state, tuple) and len(state) > 1 else None
        if order not in ("<", ">", "|", "="):
            raise pickle.UnpicklingError("an array of a strange byte order")
        self.order = ">" if order == ">" else "<"


class _Array:
    """Stands for an array until its state comes."""

    def __init__(self) -> None:
        self.value: NDArray[Any] | None = None

    def __setstate__(self, state: Any) -> None:
        _, shape, dtype, fortran, data = state
        if not isinstance(dtype, _DType) or not isinstance(data, bytes) or not isinstance(shape, tuple):
            raise pickle.UnpicklingError("an array that is not made of numbers")
        plain = np.dtype(dtype.order + dtype.name)
        if not all(type(n) is int and n >= 0 for n in shape) or math.prod(shape) * plain.itemsize != len(data):
            raise pickle.UnpicklingError("an array whose bytes are not those of its shape")
        self.value = np.frombuffer(data, plain).reshape(shape, order="F" if fortran is True else "C")


class _Unpickler(pickle.Unpickler):
    def __init__(self, data: bytes, allow: Collection[str], encoding: str) -> None:
        super().__init__(io.BytesIO(data), encoding=encoding)
        self._allow = allow

    def find_class(self, module: str, name: str) -> _Name:
        if (module, name) in _RECONSTRUCT:
            return _Name("reconstruct", self._allow)
        if (module, name) in _FROMBUFFER:
            return _Name("frombuffer", self._allow)
        if module == "numpy" and name in ("ndarray", "dtype"):
            return _Name(name, self._allow)
        if (module, name) == _ENCODE:
            return _Name("encode", self._allow)
        raise pickle.UnpicklingError(f"it names {module}.{name}, which no array needs")


def _text(value: Any) -> Any:
    """Bytes, as Python 2 pickled its strings, as a string; any other value as it is."""
    return value.decode("latin1") if isinstance(value, bytes) else value


def _finished(value: Any) -> Any:
    """`value` with arrays in place of their stand-ins, in a dict of dicts, which is as deep as arrays lie."""
    if isinstance(value, _Array):
        return value.value
    if isinstance(value, dict):
        return {_text(k): _finished_below(v) for k, v in value.items() if isinstance(k, str | bytes)}
    if isinstance(value, _Name | _DType):
        raise ValueError("it holds no arrays")
    return value


def _finished_below(value: Any) -> Any:
    if not isinstance(value, dict):
        return value.value if isinstance(value, _Array) else value
    return {_text(k): v.value if isinstance(v, _Array) else v for k, v in value.items() if isinstance(k, str | bytes)}
