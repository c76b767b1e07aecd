"""Who is let in: every way in which a foreign page or a foreign machine could ask is refused, by a real server."""

from __future__ import annotations

import http.client
import socket
import subprocess

import pytest
from tests.studios import Studio

from gantools.studio.guard import host_name


@pytest.fixture(scope="module")
def studio(studio_runs):
    started = Studio([studio_runs])
    yield started
    status, said = started.end()
    assert status == 0 and "Traceback" not in said, said


def ask(studio, path, method="GET", body=None, **headers):
    """Status, headers and body of a request with exactly these headers; `Host_2` is a second one."""
    connection = http.client.HTTPConnection("127.0.0.1", studio.port, timeout=20)
    connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
    for name, value in ({"Host": f"127.0.0.1:{studio.port}"} | headers).items():
        if value is not None:
            connection.putheader(name.removesuffix("_2").replace("_", "-"), value)
    if body is not None:
        connection.putheader("Content-Length", str(len(body)))
    connection.endheaders(body)
    answer = connection.getresponse()
    found = answer.status, dict(answer.getheaders()), answer.read()
    connection.close()
    return found


def key(studio):
    return f"gantools-studio-{studio.port}={studio.token}"


def test_the_link_answers_with_the_page_and_the_cookie_and_the_cookie_opens_the_rest(studio):
    status, headers, body = ask(studio, f"/?token={studio.token}")
    assert status == 200 and b"<h1>Sample</h1>" in body
    assert headers["set-cookie"] == f"{key(studio)}; Path=/; HttpOnly; SameSite=Strict"
    assert (
        "default-src 'none'" in headers["content-security-policy"]
        and "unsafe" not in headers["content-security-policy"]
    )
    assert headers["x-content-type-options"] == "nosniff" and headers["cache-control"] == "no-store"
    assert "server" not in headers and not any("access-control" in name for name in headers)
    for path in ("/api/runs", "/sample", "/static/studio.css", "/static/sample.js"):
        assert ask(studio, path, Cookie=key(studio))[0] == 200, path


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:{port}",
        "127.0.0.1.evil.example:{port}",
        "localhost.evil.example",
        "",
        ":{port}",
        "127.0.0.1:x",
        "127.0.0.1:{port}:1",
        "[::1",
        "[::1]x:{port}",
        "0.0.0.0:{port}",
        "evil.example@127.0.0.1:{port}",
        "127.1",
        "2130706433",
        None,
    ],
)
def test_another_host_is_refused(studio, host):
    host = None if host is None else host.format(port=studio.port)
    status, headers, _ = ask(studio, "/api/runs", Host=host, Cookie=key(studio))
    assert status in (400, 421), status
    assert "set-cookie" not in headers


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:1", "127.0.0.1:8000", "[::1]", "[::1]:9"])
def test_a_name_of_this_machine_is_taken_with_any_port_as_of_a_tunnel(studio, host):
    assert ask(studio, "/api/runs", Host=host, Cookie=key(studio))[0] == 200


def test_two_hosts_are_refused(studio):
    assert ask(studio, "/api/runs", Host_2="localhost", Cookie=key(studio))[0] in (400, 421)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "https://127.0.0.1:{port}"}, 403),
        ({"Origin": "http://127.0.0.1"}, 403),
        ({"Origin": ""}, 403),
        ({"Origin": "http://127.0.0.1:{port}"}, 200),
        ({"Sec_Fetch_Site": "cross-site"}, 403),
        ({"Sec_Fetch_Site": "same-site"}, 403),
        ({"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "navigate"}, 403),
        ({"Sec_Fetch_Site": "same-origin"}, 200),
        ({"Sec_Fetch_Site": "none"}, 200),
    ],
)
def test_another_origin_is_refused(studio, headers, status):
    headers = {name: value.format(port=studio.port) for name, value in headers.items()}
    assert ask(studio, "/api/runs", Cookie=key(studio), **headers)[0] == status


def test_a_link_from_another_site_may_lead_to_the_first_page_but_still_needs_the_key(studio):
    arriving = {"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "navigate"}
    assert ask(studio, f"/?token={studio.token}", **arriving)[0] == 200
    assert ask(studio, "/", **arriving)[0] == 403
    assert ask(studio, f"/?token={studio.token}", Sec_Fetch_Site="cross-site", Sec_Fetch_Mode="no-cors")[0] == 403


@pytest.mark.parametrize("cookie", [None, "", "gantools-studio-1={token}", "{name}=", "{name}={token}x", "{name}=%00"])
def test_without_the_key_nothing_is_told(studio, cookie):
    name = f"gantools-studio-{studio.port}"
    cookie = None if cookie is None else cookie.format(name=name, token=studio.token)
    for path in ("/", "/api/runs", "/sample", "/static/studio.css", "/picture.png", "/nothing"):
        status, headers, body = ask(studio, path, Cookie=cookie)
        assert status == 403 and "set-cookie" not in headers and studio.token.encode() not in body
        assert b"Open the link" in body


@pytest.mark.parametrize(
    "path", ["/?token=", "/?token=x", "/?tok=1", "/api/runs?token={token}", "/sample?token={token}"]
)
def test_a_key_that_is_none_or_elsewhere_is_none(studio, path):
    assert ask(studio, path.format(token=studio.token))[0] == 403


@pytest.mark.parametrize(
    "path",
    [
        "/..",
        "/static/../server.py",
        "/static/%2e%2e/server.py",
        "/static/..%2fserver.py",
        "//etc/passwd",
        "/static//studio.css",
        "/%00",
        "/static/studio.css%00",
        "/static/",
        "/static/server.py",
        "/%ff",
        "/api",
        "/api/runs/",
    ],
)
def test_an_address_that_is_none_is_not_found(studio, path):
    assert ask(studio, path, Cookie=key(studio))[0] == 404


@pytest.mark.parametrize("method", ["POST", "DELETE", "OPTIONS", "PATCH", "TRACE", "CONNECT"])
def test_other_methods_are_refused(studio, method):
    assert ask(studio, "/api/runs", method=method, Cookie=key(studio))[0] in (400, 404, 405)


def test_what_is_read_is_not_written_to(studio):
    assert ask(studio, "/api/runs", method="PUT", body=b"x", Cookie=key(studio))[0] == 405
    assert ask(studio, "/restore", Cookie=key(studio))[0] == 405


def test_a_body_that_is_too_large_is_refused_unread(studio):
    connection = http.client.HTTPConnection("127.0.0.1", studio.port, timeout=20)
    connection.putrequest("PUT", "/restore", skip_host=True)
    connection.putheader("Host", "localhost")
    connection.putheader("Cookie", key(studio))
    connection.putheader("Content-Length", str((32 << 20) + 1))
    connection.endheaders()
    assert connection.getresponse().status == 413
    connection.close()


def test_a_body_without_an_end_is_cut(studio):
    with socket.create_connection(("127.0.0.1", studio.port), timeout=30) as s:
        s.sendall(
            f"PUT /restore HTTP/1.1\r\nHost: localhost\r\nCookie: {key(studio)}\r\n"
            "Transfer-Encoding: chunked\r\n\r\n".encode()
        )
        chunk = b"100000\r\n" + bytes(1 << 20) + b"\r\n"
        answer = b""
        try:
            for _ in range(40):
                s.sendall(chunk)
        except (BrokenPipeError, ConnectionResetError):
            pass
        try:
            answer = s.recv(65536)
        except ConnectionResetError:
            pass
    assert answer == b"" or b" 400 " in answer.split(b"\r\n")[0]
    assert ask(studio, "/api/runs", Cookie=key(studio))[0] == 200


def test_it_listens_on_this_machine_alone(studio):
    table = subprocess.run(["cat", "/proc/net/tcp", "/proc/net/tcp6"], capture_output=True, text=True).stdout
    port = f":{studio.port:04X}"
    listening = [line.split()[1] for line in table.splitlines() if len(line.split()) > 3 and line.split()[3] == "0A"]
    assert [place for place in listening if place.endswith(port)] == [f"0100007F{port}"]


@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("localhost", "localhost"),
        ("LocalHost:80", "localhost"),
        ("[::1]:80", "[::1]"),
        ("a:b", ""),
        ("a:1:2", ""),
        ("", ""),
        ("a:", ""),
        ("a:²", ""),
    ],
)
def test_the_name_in_a_host_header(host, name):
    assert host_name(host) == name
