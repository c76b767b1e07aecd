"""Manifests changed at random: a set opens as it says, or is refused; never a crash, another exception or a hang."""

from __future__ import annotations

import contextlib
import json
import shutil

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

import gantools
from gantools.data.inspect import info, verify
from gantools.data.prepared import PreparedSet
from gantools.errors import GantoolsError

VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.sampled_from([0, 1, -1, 2**31, 2**63 - 1, 1.5, 1e308]),
    st.text(max_size=8),
    st.sampled_from(["../names.jsonl", "/etc/passwd", "manifest.json", "images-00001.npy", "pixels", "png", ""]),
    st.lists(st.integers(-3, 9), max_size=4),
    st.dictionaries(st.text(max_size=4), st.integers(-3, 9), max_size=2),
)


@pytest.fixture(scope="module", params=["pixels", "encoded"])
def made(request, tmp_path_factory):
    root = tmp_path_factory.mktemp(request.param)
    for i in range(12):
        place = root / "photos" / "ab"[i % 2]
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.random.default_rng(i).integers(0, 256, (9, 12, 3), dtype=np.uint8)).save(place / f"{i}.png")
    (root / "photos/a/bad.png").write_bytes(b"")
    return gantools.prep(
        "folder",
        source=root / "photos",
        size=6,
        shard_size=5,
        store=request.param,
        out=root / "set",
        progress=False,
    ).path


def places(value, path=()):
    """The paths of everything in a JSON value."""
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield from places(inner, (*path, key))


def changed(manifest, path, value, remove):
    """The manifest with another value, or nothing, at `path`."""
    manifest = json.loads(json.dumps(manifest))
    if not path:
        return value
    inner = manifest
    for key in path[:-1]:
        inner = inner[key]
    if remove:
        del inner[path[-1]]
    else:
        inner[path[-1]] = value
    return manifest


def use(path):
    """Everything that reads a manifest."""
    for read in (lambda: verify(path), lambda: info(path)):
        with contextlib.suppress(GantoolsError):
            read()
    try:
        s = PreparedSet(path)
    except GantoolsError:
        return
    try:
        assert s.gather(np.arange(len(s))).shape == (len(s), *s.shape)
        _ = s.labels, s.classes, s.names, s.sizes, s.annotations, repr(s), s.fingerprint
    except GantoolsError:
        pass


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_changed_manifest_is_read_or_refused(made, data, tmp_path_factory):
    manifest = json.loads((made / "manifest.json").read_text())
    copy = tmp_path_factory.getbasetemp() / f"manifest-{made.parent.name}"
    if not copy.exists():
        shutil.copytree(made, copy)
    for _ in range(data.draw(st.integers(1, 3))):
        if not isinstance(manifest, dict):
            break
        path = data.draw(st.sampled_from(list(places(manifest))))
        manifest = changed(manifest, path, data.draw(VALUES), data.draw(st.booleans()))
    (copy / "manifest.json").write_text(json.dumps(manifest))
    use(copy)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(at=st.integers(0, 10_000), bits=st.integers(1, 255), cut=st.integers(0, 10_000) | st.none())
def test_broken_bytes_are_read_or_refused(made, at, bits, cut, tmp_path_factory):
    whole = bytearray((made / "manifest.json").read_bytes())
    copy = tmp_path_factory.getbasetemp() / f"bytes-{made.parent.name}"
    if not copy.exists():
        shutil.copytree(made, copy)
    whole[at % len(whole)] ^= bits
    (copy / "manifest.json").write_bytes(whole[:cut])
    use(copy)
