"""Who may ask: this machine's own user, by a page of this server alone.

Before anything else is looked at, a request is refused whose Host is none of this machine (so a foreign name that is
made to point here is of no use), that comes from a page of another origin, or that does not carry the token that the
terminal printed. Answers say that nothing of them may be run, framed or kept elsewhere.
"""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable, Iterable, MutableMapping, Sequence
from http import cookies
from typing import Any
from urllib.parse import parse_qsl

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

#: Bytes of a body at most.
LARGEST = 32 << 20
#: Characters of a link that are looked at for a token.
LINK = 4096
#: Names of this machine for itself.
HOSTS = ("localhost", "127.0.0.1", "[::1]")
HEADERS = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' blob: data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}


def host_name(host: str) -> str:
    """The name in a Host header, without its port, in small letters; "" where it is none."""
    name, bracket, rest = host.partition("]")
    if bracket:
        name, rest = name + "]", rest
    else:
        name, colon, port = host.partition(":")
        rest = colon + port
    port = rest.removeprefix(":")
    well = name != "" and (rest == "" or (rest.startswith(":") and port.isdecimal() and port.isascii()))
    return name.lower() if well else ""


class Guard:
    """An ASGI application that hands on what it lets pass.

    Args:
        app: what is guarded.
        token: of the link that was printed.
        port: that is listened on.
        hosts: further names under which this server may be asked for.
    """

    def __init__(self, app: App, token: str, port: int, hosts: Iterable[str] = ()) -> None:
        self.app, self.token = app, token
        # Cookies know no ports: two studios on one machine would overwrite each other's.
        self.cookie = f"gantools-studio-{port}"
        self.hosts = {*HOSTS, *(name.lower() for name in hosts)}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse, or hand on with a counted body and with `HEADERS` on the answer."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})
            return
        headers = [(name.lower(), value.decode("latin-1")) for name, value in scope["headers"]]
        status, words = self.refuses(scope["method"], scope["path"], scope["query_string"].decode("latin-1"), headers)
        if status:
            await _answer(send, status, words)
            return
        login = scope["path"] == "/" and "token=" in scope["query_string"].decode("latin-1")

        async def sent(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                extra = [(name.encode(), value.encode()) for name, value in HEADERS.items()]
                if login:
                    value = f"{self.cookie}={self.token}; Path=/; HttpOnly; SameSite=Strict"
                    extra.append((b"set-cookie", value.encode()))
                message = {**message, "headers": [*message.get("headers", ()), *extra]}
            await send(message)

        await self.app(scope, receive, sent)

    def refuses(self, method: str, path: str, query: str, headers: Sequence[tuple[bytes, str]]) -> tuple[int, str]:
        """The status and words of a refusal, or (0, "").

        Args:
            method: of the request.
            path: without the query, percent-decoded.
            query: still encoded.
            headers: names in small letters, in the order they came.
        """

        def all_of(name: bytes) -> list[str]:
            return [value for found, value in headers if found == name]

        hosts = all_of(b"host")
        if len(hosts) != 1 or host_name(hosts[0]) not in self.hosts:
            return 421, "This is not a name of this machine. To reach it by another: gantools studio --allow-host NAME"
        if any(origin != f"http://{hosts[0]}" for origin in all_of(b"origin")):
            return 403, "Asked for by a page of another origin."
        # A link elsewhere may lead to the first page, which shows nothing without the token.
        arriving = path == "/" and method == "GET" and all_of(b"sec-fetch-mode") == ["navigate"]
        if not arriving and any(site not in ("same-origin", "none") for site in all_of(b"sec-fetch-site")):
            return 403, "Asked for by a page of another site."
        if method not in ("GET", "HEAD", "PUT"):
            return 405, "Only GET, HEAD and PUT."
        if not (path.startswith("/") and path.isascii() and path.isprintable()) or "//" in path or ".." in path:
            return 404, "There is no such address."
        given = [value for name, value in parse_qsl(query[:LINK]) if name == "token"] if path == "/" else []
        for header in all_of(b"cookie"):
            jar: cookies.SimpleCookie = cookies.SimpleCookie()
            try:
                jar.load(header)
            except cookies.CookieError:
                continue
            if self.cookie in jar:
                given.append(jar[self.cookie].value)
        if not any(hmac.compare_digest(value.encode(), self.token.encode()) for value in given):
            return 403, "Open the link that gantools studio printed in its terminal; it carries the key to this page."
        length = all_of(b"content-length")
        if length and not (length[0].isdecimal() and int(length[0]) <= LARGEST):
            return 413, f"At most {LARGEST >> 20} MiB are taken."
        return 0, ""


class TooLarge(Exception):
    """A body goes on beyond `LARGEST`."""


async def read_body(receive: Receive) -> bytes:
    """The body of a request, counted while it comes.

    Raises:
        TooLarge: it has more than `LARGEST` bytes.
    """
    parts, size = [], 0
    while True:
        message = await receive()
        part = message.get("body", b"")
        size += len(part)
        if size > LARGEST:
            raise TooLarge
        parts.append(part)
        if message["type"] != "http.request" or not message.get("more_body", False):
            return b"".join(parts)


async def _answer(send: Send, status: int, words: str) -> None:
    headers = {**HEADERS, "content-type": "text/plain; charset=utf-8", "connection": "close"}
    await send(
        {
            "type": "http.response.start",
            "status": status,
            "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
        }
    )
    await send({"type": "http.response.body", "body": words.encode()})
