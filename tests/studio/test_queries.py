"""Addresses are read strictly: a value that is none is said, and nothing is left unread."""

from __future__ import annotations

import pytest

from gantools.errors import ConfigError
from gantools.studio.query import LONGEST, Query
from gantools.studio.view import View, read_view


@pytest.mark.parametrize(
    "text",
    [
        "seed=-1",
        f"seed={1 << 63}",
        "seed=nan",
        "seed=1.5",
        "seed=",
        "seed=%201",
        "seed=1_0",
        "seed=%D9%A1",  # an Arabic one
        "seed=1&seed=2",
        "n=0",
        "n=65",
        "kind=film",
        "frames=0",
        "frames=1001",
        "frame=120",
        "once=yes",
        "x=nan",
        "x=1.01",
        "x=inf",
        "seeds=",
        "seeds=1,,2",
        "seeds=1,x",
        "seeds=" + ",".join("1" * 65),
        "kind=pad&seeds=1,2,3",
        "kind=mix&seeds=1,2,3,4,5,6,7,8,9&others=1,2,3,4,5,6,7,8",
        "c.truncation=nan",
        "c.truncation=x",
        "d.pca0=inf",
        "run=%ff",
        "a" * (LONGEST + 1),
        "&".join(f"c.{i}=1" for i in range(101)),
    ],
)
def test_a_value_that_is_none_is_refused(text):
    with pytest.raises(ConfigError):
        read_view(Query(text))


def test_what_nobody_reads_is_refused():
    query = Query("run=a&sed=1")
    read_view(query)
    with pytest.raises(ConfigError, match="'sed'"):
        query.done()


VIEWS = [
    View("a"),
    View("a b&c=d", "20.5", "grid", seed=(1 << 63) - 1, n=64, class_="T-shirt/top"),
    View("a", kind="one", seed=7, index=12, controls={"truncation": 0.7, "noise": 1 / 3}),
    View("a", kind="seeds", seeds=(5, 9)),
    View("a", kind="walk", seeds=(5, 9), frames=48, frame=47, once=True, fps=12, directions={"pca0": -2.5}),
    View("a", kind="pad", seeds=(1, 2, 3, 4), x=0.25, y=1.0),
    View("a", kind="mix", seeds=(1,), others=(2, 3), low=1, high=3, class_="ä"),
]


@pytest.mark.parametrize("view", VIEWS, ids=lambda view: view.kind)
def test_an_address_read_back_is_the_same_view(view):
    query = Query(view.address())
    found = read_view(query)
    query.done()
    assert found == view and found.address() == view.address()
