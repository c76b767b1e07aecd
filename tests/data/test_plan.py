"""The lists of arguments that are written twice are the same list; a policy survives its manifest."""

from __future__ import annotations

import dataclasses
import inspect
import typing

import click
import pytest

from gantools import _native
from gantools.cli.prep import command
from gantools.cli.prep_frontal import frontal
from gantools.cli.prep_pairs import pairs, tiles
from gantools.data.loader import Loader, LoaderOptions
from gantools.data.plan import PrepKeywords, PrepOptions
from gantools.data.policy import DHARIWAL_FILTERS, FIXED_POLICY, Policy
from gantools.data.prepare import prep
from gantools.errors import DataError


def test_keywords_are_those_of_the_classes_they_are_handed_to():
    assert typing.get_type_hints(PrepKeywords) == typing.get_type_hints(PrepOptions)
    named = {
        name: parameter
        for name, parameter in inspect.signature(Loader.__init__).parameters.items()
        if parameter.kind is parameter.KEYWORD_ONLY
    }
    hints = typing.get_type_hints(Loader.__init__)
    assert typing.get_type_hints(LoaderOptions) == {name: hints[name] for name in named}


def test_every_option_of_the_command_is_an_argument_of_prep_and_the_reverse():
    options = [p.name for c in (command, pairs, tiles, frontal) for p in c.params if isinstance(p, click.Option)]
    # The size of tiles is the argument `tile`; images side by side have a direction; faces are of a kind and a pose.
    switches = {"shards", "side_by_side", "frontal", "profiles", "profile", "all_poses"}
    offered = {*options, "tile", "faces", "pose"} - switches
    own = {name for name, p in inspect.signature(prep).parameters.items() if p.kind is p.KEYWORD_ONLY}
    assert offered == (own - {"progress"}) | {field.name for field in dataclasses.fields(PrepOptions)}


def test_every_argument_of_prep_is_documented():
    described = prep.__doc__ or ""
    for field in dataclasses.fields(PrepOptions):
        assert f"\n        {field.name}: " in described, field.name


PLAIN = Policy(64, 64, 3, "center", "lanczos", False, "error", "apply")


@pytest.mark.parametrize(
    "policy",
    [
        PLAIN,
        dataclasses.replace(PLAIN, fast=True, channels=1, filter="box", alpha="white", orientation="ignore"),
        dataclasses.replace(PLAIN, crop="pad", pad_color="#12ab34", store="jpeg"),
        dataclasses.replace(PLAIN, crop="center-wide", band=48),
        dataclasses.replace(PLAIN, crop="dhariwal", filter=DHARIWAL_FILTERS, store="original"),
    ],
)
def test_a_policy_survives_its_manifest(policy):
    written = policy.to_manifest()
    assert Policy.from_manifest(written) == policy
    assert FIXED_POLICY.items() <= written.items()
    assert isinstance(policy.native(), _native.PixelPolicy)


@pytest.mark.parametrize(
    "damage",
    [{"width": "64"}, {"height": -1}, {"crop": "middle"}, {"filter": None}, {"pad_color": "red"}, {"alpha": 3}],
)
def test_a_damaged_policy_is_refused(damage):
    with pytest.raises(DataError, match="damaged"):
        Policy.from_manifest({**PLAIN.to_manifest(), **damage})


@pytest.mark.parametrize("key", ["width", "height", "channels", "crop", "filter", "decode", "alpha", "orientation"])
def test_a_policy_without_one_of_its_keys_is_refused(key):
    written = PLAIN.to_manifest()
    del written[key]
    with pytest.raises(DataError, match=key):
        Policy.from_manifest(written)
