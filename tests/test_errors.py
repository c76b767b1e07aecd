from types import SimpleNamespace

import pytest

from gantools.errors import ConfigError, check_least, check_shares


def test_fields_below_the_least() -> None:
    config = SimpleNamespace(width=0, depth=3, other=None)
    check_least("network", config, "depth", "other")
    check_least("network", config, "width", least=0)
    with pytest.raises(ConfigError, match=r"^network\.width: must be at least 1, not 0\.$"):
        check_least("network", config, "depth", "width")


@pytest.mark.parametrize("value", [-0.1, 1.1, float("nan")])
def test_fields_that_are_no_shares(value: float) -> None:
    check_shares("game", SimpleNamespace(p=0.0, q=1.0), "p", "q")
    for whole in (True, False):
        with pytest.raises(ConfigError, match=r"^game\.q: must be in \[0, 1"):
            check_shares("game", SimpleNamespace(p=0.5, q=value), "p", "q", whole=whole)


def test_a_share_that_must_leave_something() -> None:
    check_shares("network", SimpleNamespace(dropout=0.0), "dropout", whole=False)
    with pytest.raises(ConfigError, match=r"^network\.dropout: must be in \[0, 1\), not 1\.0\.$"):
        check_shares("network", SimpleNamespace(dropout=1.0), "dropout", whole=False)
