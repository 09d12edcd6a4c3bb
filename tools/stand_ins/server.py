"""A server on the loopback interface for the jobs of a test: a log of requests, and faults on demand."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from ssl import SSLSocket
from threading import Event, Lock, Thread
from typing import Any, Self
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

import pypiserver
from werkzeug.serving import WSGIRequestHandler, make_server
from werkzeug.wrappers import Request, Response

# How many requests fail until faults are healed.
ALWAYS = sys.maxsize


def index_of(folder: Path) -> WSGIApplication:
    """Return a real PyPI server for the distributions in a folder, which lets everybody do everything."""
    application: WSGIApplication = pypiserver.app(
        roots=[folder],
        authenticate=[],
        password_file=".",  # noqa: S106
        backend_arg="simple-dir",
        disable_fallback=True,
        hash_algo="sha256",
    )
    return application


@dataclass
class LoggedRequest:
    """A request as it arrived; `status` is None until it is answered.

    `authenticated` says how it proved to be a job: "basic", "JOB-TOKEN", or "" where it did not.
    """

    method: str
    path: str
    query: str
    user_agent: str
    authenticated: str = ""
    status: int | None = None


@dataclass
class Fault:
    """What goes wrong with the next requests to a path."""

    left: int
    method: str
    path: str
    status: int | None
    timeout: float
    cut: bool

    def applies_to(self, method: str, path: str) -> bool:
        """Tell whether a request is one of those."""
        return self.left > 0 and self.method in ("", method) and re.search(self.path, path) is not None


class SilentHandler(WSGIRequestHandler):
    """Keeps requests out of the output of tests; `GitLab.requests` has them."""

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Print nothing."""

    def connection_dropped(self, error: BaseException, environ: WSGIEnvironment | None = None) -> None:
        """Close a connection on which no answer came; werkzeug would wait for the next request."""
        self.close_connection = True


class Server:
    """The server, which runs within a `with` block; what it answers is up to its kind.

    `root` is the path under which it has everything.
    """

    def __init__(self, root: str = "") -> None:
        self.root = root
        self._log: list[LoggedRequest] = []
        self._faults: list[Fault] = []
        self._lock = Lock()
        self._stopping = Event()

    def __enter__(self) -> Self:
        self._server = make_server(
            "127.0.0.1",
            0,
            self._answer,
            threaded=True,
            request_handler=SilentHandler,
            ssl_context=self.certificate(),
        )
        if isinstance(self._server.socket, SSLSocket):
            # Else a client that connects and says nothing would keep all others waiting: the handshake is its thread's.
            self._server.socket.do_handshake_on_connect = False  # type: ignore[attr-defined]
        self._thread = Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @property
    def port(self) -> int:
        """The port that it listens to."""
        return self._server.port

    def certificate(self) -> tuple[str, str] | None:
        """Return the files of a certificate and its key, if the server talks TLS."""
        return None

    def identify(self, request: Request) -> str:
        """Return how a request proved who makes it, or nothing."""
        return ""

    def respond(self, request: Request, path: str) -> Response:
        """Return the answer to a request; `path` is its path as it was encoded."""
        raise NotImplementedError

    def refuse(self, status: int) -> Response:
        """Return an answer that says no more than a status."""
        return Response(HTTPStatus(status).phrase, status)

    def requests(self, path: str = "", *, method: str = "", status: int | None = None) -> list[LoggedRequest]:
        """Return the requests so far in the order of their arrival; `path` is a regular expression to search for."""
        with self._lock:
            return [
                request
                for request in self._log
                if re.search(path, request.path) and method in ("", request.method) and status in (None, request.status)
            ]

    def fail_next(
        self,
        count: int,
        *,
        method: str = "",
        path: str = "",
        status: int | None = None,
        timeout: float = 0,
        cut: bool = False,
    ) -> None:
        """Make the next requests fail in whose path a regular expression is found.

        With a `status` they are refused and change nothing; 200 is a page where people sign in. With a
        `timeout`, in seconds, or `cut` they are carried out, but the answer comes so much later, or breaks off in
        the middle; one without a body does not come at all, but that to a HEAD, which never has one, is left whole.
        """
        assert [status is not None, timeout > 0, cut].count(True) == 1, "a fault is a status, a timeout or a cut"
        with self._lock:
            self._faults.append(Fault(count, method, path, status, timeout, cut))

    def heal(self) -> None:
        """End the faults that are still to come."""
        with self._lock:
            self._faults.clear()

    def _answer(self, environ: WSGIEnvironment, start_response: StartResponse) -> Any:
        """Log a request and answer it, or fail as a test asked for."""
        environ["SCRIPT_NAME"] = self.root
        request = Request(environ)
        # Still encoded: a slash in a name is none of the address.
        path, _, query = environ["RAW_URI"].removeprefix(self.root).partition("?")
        logged = LoggedRequest(request.method, path, query, request.headers.get("User-Agent", ""))
        with self._lock:
            self._log.append(logged)
            fault = next((fault for fault in self._faults if fault.applies_to(request.method, path)), None)
            if fault:
                fault.left -= 1
        # A client that is refused while it still sends would see a broken connection instead.
        request.get_data()
        logged.authenticated = self.identify(request)
        if fault and fault.status == HTTPStatus.OK:
            response = Response("<!DOCTYPE html><title>Sign in</title>", content_type="text/html")
        elif fault and fault.status:
            response = self.refuse(fault.status)
        else:
            with self._lock:
                response = self.respond(request, path)
        if fault and fault.timeout:
            self._stopping.wait(fault.timeout)
        if fault and fault.cut and request.method != "HEAD":
            whole = response.get_data()
            if not whole:
                raise ConnectionAbortedError
            response.set_data(whole[: len(whole) // 2])
            response.content_length = len(whole)
        logged.status = response.status_code
        return response(environ, start_response)
