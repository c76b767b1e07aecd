"""Starting and ending: what is missing is said, nothing hangs, and nobody else pays for it."""

from __future__ import annotations

import http.client
import socket
import subprocess
import sys
import threading

import pytest
from tests.studios import Studio


def gantools(*words, cwd=None, before=""):
    """`gantools WORDS` in a process of its own, after a line of Python."""
    code = f"import sys\n{before}\nfrom gantools.cli import main\nmain(sys.argv[1:])"
    return subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, cwd=cwd, timeout=120)


BLOCKED = "for name in ('starlette', 'uvicorn'): sys.modules[name] = None"


def test_without_its_packages_it_says_what_to_type_and_the_rest_works(studio_runs, tmp_path):
    done = gantools("studio", str(studio_runs), before=BLOCKED)
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert "pip install 'gantools[studio]'" in done.stderr
    assert gantools("--help", before=BLOCKED).returncode == 0
    run = studio_runs / "00000-dcgan-blobs"
    done = gantools("report", str(run), "--out", str(tmp_path / "a.html"), before=BLOCKED)
    assert done.returncode == 0, done.stderr


def test_help_loads_nothing_of_it():
    after = "import atexit; atexit.register(lambda: print({'starlette', 'uvicorn', 'torch'} & set(sys.modules)))"
    done = gantools("studio", "--help", before=after)
    assert done.returncode == 0 and done.stdout.splitlines()[-1] == "set()"


def test_a_server_is_ready_before_torch_is_loaded():
    code = "import gantools.studio.server, sys; print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "False"


def test_a_wrong_place_is_said(tmp_path):
    done = gantools("studio", cwd=tmp_path)
    assert done.returncode == 1 and "runs: no such folder." in done.stderr and "Traceback" not in done.stderr
    done = gantools("studio", str(tmp_path))
    assert done.returncode == 1 and "no run" in done.stderr and "gantools quickstart" in done.stderr


def test_a_port_that_is_taken_is_said(studio_runs):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        done = gantools("studio", str(studio_runs), "--port", port)
    assert done.returncode == 2 and f"port {port}" in done.stderr and "Traceback" not in done.stderr


def test_an_address_of_all_machines_is_warned_of_and_needs_the_key_all_the_same(studio_runs):
    studio = Studio([studio_runs], "--host", "0.0.0.0", "--allow-host", "here.example")
    try:
        for host, key, status in (
            ("here.example", "", 403),
            ("here.example", f"?token={studio.token}", 200),
            ("there.example", f"?token={studio.token}", 421),
        ):
            connection = http.client.HTTPConnection("127.0.0.1", studio.port, timeout=20)
            connection.request("GET", f"/{key}", headers={"Host": host})
            assert connection.getresponse().status == status
            connection.close()
    finally:
        status, said = studio.end()
    assert status == 0 and "can be reached from other machines" in said


def test_ctrl_c_ends_it_in_the_midst_of_a_film(studio_runs):
    studio = Studio([studio_runs])
    asked = threading.Event()

    def ask():
        connection = http.client.HTTPConnection("127.0.0.1", studio.port, timeout=60)
        cookie = f"gantools-studio-{studio.port}={studio.token}"
        address = "/save/film.png?run=00000-dcgan-blobs&kind=walk&seeds=1,2&frames=1000"
        connection.request("GET", address, headers={"Cookie": cookie})
        asked.set()
        with pytest.raises((http.client.HTTPException, OSError)):
            connection.getresponse().read()

    film = threading.Thread(target=ask)
    film.start()
    assert asked.wait(20)
    status, said = studio.end()
    film.join(20)
    assert not film.is_alive()
    assert status == 0 and "Ended." in said and "Traceback" not in said
