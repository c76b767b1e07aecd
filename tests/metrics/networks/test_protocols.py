"""Protocols and inputs: what they say, and what is refused."""

from __future__ import annotations

import pytest

from gantools import _native
from gantools.errors import ConfigError
from gantools.metrics.networks import protocols
from gantools.metrics.networks.protocols import PROTOCOLS, Input


def test_the_five_protocols_are_five_different_rules() -> None:
    assert set(PROTOCOLS) == {"tf", "pytorch-fid", "clean", "torchmetrics", "studiogan"}
    assert all(name == p.name and p.input.size == 299 and p.words and p.source for name, p in PROTOCOLS.items())
    assert len({p.input for p in PROTOCOLS.values()}) == len(PROTOCOLS)
    assert protocols.DEFAULT == "tf"


def test_an_input_is_hashable_and_says_what_it_is() -> None:
    a = Input("tf1-bilinear", 299)
    assert a == Input("tf1-bilinear", 299, "none") and hash(a) == hash(Input("tf1-bilinear", 299))
    assert str(a) == "tf1-bilinear to 299x299"
    assert str(Input("pillow-bicubic", 336, "center")) == "centre square, pillow-bicubic to 336x336"
    assert {Input(rule, 8).resize for rule in _native.RESIZE_RULES} == set(_native.RESIZE_RULES)


def test_wrong_inputs_and_protocols_are_refused() -> None:
    with pytest.raises(ConfigError, match="Did you mean 'pillow-bicubic'"):
        Input("pilow-bicubic", 8)
    with pytest.raises(ConfigError, match="unknown crop 'centre'"):
        Input("tf1-bilinear", 8, "centre")
    with pytest.raises(ConfigError, match="at least 1, not 0"):
        Input("tf1-bilinear", 0)
    with pytest.raises(ConfigError, match="Did you mean 'clean'"):
        protocols.find("cleen")
