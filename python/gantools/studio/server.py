"""The server: the guard, the addresses, the threads that answer. Everything it serves is a plain function elsewhere.

Pages and their files are there at once. What answers with something of a run or a set waits for torch, which is loaded
meanwhile.
"""

from __future__ import annotations

import asyncio
import importlib
import logging
import secrets
import socket
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from gantools.errors import ConfigError, GantoolsError, cause
from gantools.runs.folders import RUNS
from gantools.studio.answers import Answer, Route, refused
from gantools.studio.guard import Guard, TooLarge, read_body
from gantools.studio.pages import PAGES, page, static_files
from gantools.studio.query import Query
from gantools.studio.shelf import NotThere, Shelf

try:
    import uvicorn
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import Route as Address
except ImportError as e:
    raise ConfigError(
        f"the studio needs two small packages that are not here ({e.name}).", "pip install 'gantools[studio]'"
    ) from None

log = logging.getLogger(__name__)
#: Threads that read files. Networks have one of their own.
READERS = 4


def application(shelf: Shelf, token: str, port: int, hosts: Sequence[str] = ()) -> Guard:
    """The guarded application.

    Args:
        shelf: what is shown.
        token: that the first request must carry.
        port: that is listened on.
        hosts: further names under which it may be asked for.
    """
    networks = ThreadPoolExecutor(1, "networks")
    files = ThreadPoolExecutor(READERS, "files")

    async def asked(request: Request) -> Response:
        loop = asyncio.get_running_loop()
        route = (await loop.run_in_executor(files, _routes)).get(request.scope["path"])
        if route is None:
            return _response(refused(NotThere("there is no such address.")))
        if request.method not in (route.method, "HEAD" if route.method == "GET" else route.method):
            return Response("", 405, {"allow": route.method})
        body = await read_body(request.receive) if route.method == "PUT" else b""
        work = partial(_answer, route, shelf, request.scope["query_string"].decode("latin-1"), body)
        return _response(await loop.run_in_executor(networks if route.by == "networks" else files, work))

    def fixed(answer: Callable[[], Answer]) -> Callable[[Request], object]:
        async def give(request: Request) -> Response:
            return _response(answer())

        return give

    async def too_large(request: Request, error: Exception) -> Response:
        return _response(refused(ConfigError("the file is too large.", "At most 32 MiB are taken.")))

    addresses = [Address(path, fixed(partial(page, path))) for path in PAGES]
    addresses += [Address(path, fixed(partial(Answer.same, answer))) for path, answer in static_files().items()]
    addresses.append(Address("/", fixed(partial(page, next(iter(PAGES))))))
    addresses.append(Address("/{other:path}", asked, methods=["GET", "PUT"]))
    app = Starlette(routes=addresses, exception_handlers={TooLarge: too_large})
    app.router.redirect_slashes = False  # it would lead to what the Host header says
    return Guard(app, token, port, hosts)


def _routes() -> dict[str, Route]:
    """All addresses that answer with something of a run or a set; the first call waits for torch."""
    from gantools.studio.routes import ROUTES

    return ROUTES


def _answer(route: Route, shelf: Shelf, query: str, body: bytes) -> Answer:
    try:
        return route.answer(shelf, Query(query), body)
    except GantoolsError as e:
        return refused(e)
    except (OSError, MemoryError) as e:
        # A run may be deleted while it is looked at.
        return refused(GantoolsError(f"{cause(e)}.", "Look whether the run is still there, and reload the page."))


def _response(answer: Answer) -> Response:
    return Response(answer.body, answer.status, answer.headers, answer.kind)


def studio(
    runs: Sequence[str | Path] = (RUNS,),
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    hosts: Sequence[str] = (),
    device: str | None = None,
    ready: Callable[[str], None] = print,
) -> None:
    """Serve the studio until Ctrl-C.

    Args:
        runs: runs, folders of runs, and exported models.
        host: address to listen on.
        port: to listen on; 0: a free one.
        hosts: further names under which it may be asked for.
        device: where networks run.
        ready: called with the link, once it can be opened.

    Raises:
        CheckpointError: nothing there to show.
        ConfigError: the address cannot be listened on.
    """
    shelf = Shelf(runs, device)
    listening = _listen(host, port)
    port = listening.getsockname()[1]
    token = secrets.token_urlsafe(24)
    shown = f"[{host}]" if ":" in host else host
    if host not in ("localhost", "127.0.0.1", "::1"):
        log.warning(
            "%s can be reached from other machines; the link is a key, and what it opens is not encrypted.", host
        )
        hosts = [*hosts, shown]
    # The first page is there before torch is.
    threading.Thread(target=_load, daemon=True).start()
    config = uvicorn.Config(
        application(shelf, token, port, hosts),
        log_config=None,
        access_log=False,
        ws="none",
        lifespan="off",
        limit_concurrency=64,
        timeout_graceful_shutdown=1,
        server_header=False,
        h11_max_incomplete_event_size=32 << 10,
        http="h11",
    )
    ready(f"http://{shown}:{port}/?token={token}")
    uvicorn.Server(config).run(sockets=[listening])


def _load() -> None:
    """Load what answers, and what it will need at the first picture."""
    _routes()
    importlib.import_module("gantools.sampling.generator")


def _listen(host: str, port: int) -> socket.socket:
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        # By its protocol asyncio knows that it may send small packets at once; else each answer waits 40 ms for a word
        # from the other side.
        listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
        listening.listen(64)  # whoever has the link may come before the server is ready, and waits
    except (OSError, OverflowError) as e:
        raise ConfigError(
            f"cannot listen on {host}, port {port}: {cause(e)}.", "Without --port a free one is taken."
        ) from None
    return listening
