"""Fixtures of the tests of sources."""

from __future__ import annotations

import http.server
import threading

import pytest

from gantools.data import heif


@pytest.fixture
def file_server(tmp_path):
    """A local stand-in for the servers that the real download code talks to."""
    root = tmp_path / "server"
    root.mkdir()

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args):
            super().__init__(*args, directory=str(root))

        def log_message(self, *args):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield root, f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()


@pytest.fixture(autouse=True)
def without_further_formats(monkeypatch):
    """Which suffixes are images must not depend on the packages that happen to be installed."""
    monkeypatch.setattr(heif, "suffixes", lambda: ())
