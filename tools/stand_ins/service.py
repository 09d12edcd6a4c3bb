"""A program that serves, behind a server that passes requests on to it, and so can fail on demand."""

from __future__ import annotations

import contextlib
import random
import socket
import subprocess
import time
from collections.abc import Mapping
from http.client import HTTPConnection, HTTPException
from pathlib import Path

from werkzeug.datastructures import Headers
from werkzeug.http import remove_hop_by_hop_headers
from werkzeug.wrappers import Request, Response

from tools.stand_ins.server import Server

PATIENCE = 60


class Service(Server):
    """A service behind a server that passes requests on, and so can fail as `fail_next` says."""

    def __init__(self, folder: Path, name: str, program: Path, ready: str) -> None:
        super().__init__()
        self.folder = folder / name
        self.folder.mkdir(parents=True)
        self.log = self.folder / "log"
        self._behind = free_port()
        self._program = program
        self._ready = ready
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """The address of the service."""
        return f"http://127.0.0.1:{self.port}"

    def start(self, *options: str) -> None:
        """Start the service; PORT among the options is where it listens."""
        command = [str(self._program), *(option.replace("PORT", str(self._behind)) for option in options)]
        with self.log.open("wb") as log:
            # A folder of its own, as the address of a socket must be short.
            self._process = subprocess.Popen(
                command, cwd=self.folder, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT
            )

    def wait(self) -> None:
        """Wait until the service answers, or fail with its log."""
        assert self._process
        problem: object = None
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end and self._process.poll() is None:
            try:
                answer = self.ask("GET", self._ready, {}, b"")
            except (OSError, HTTPException) as error:
                problem = error
            else:
                if answer.status_code < 400:
                    return
                problem = answer.status_code
            time.sleep(0.05)
        state = self._process.poll()
        log = self.log.read_text(encoding="utf-8", errors="replace")
        raise AssertionError(f"{self._program.name} does not answer ({problem}, exit code {state}):\n{log}")

    def __exit__(self, *arguments: object) -> None:
        super().__exit__(*arguments)
        if self._process:
            # It would wait for connections that idle.
            self._process.kill()
            self._process.wait()

    def respond(self, request: Request, path: str) -> Response:
        """Return what the service answers."""
        # The path with the query.
        return self.ask(request.method, request.environ["RAW_URI"], to_pass_on(request), request.get_data())

    def ask(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> Response:
        """Return what the service answers, past all faults."""
        return ask(self._behind, method, path, headers, body)


def to_pass_on(request: Request) -> dict[str, str]:
    """Return the headers of a request that are for whom it is passed on to."""
    headers = Headers(request.headers.items())
    remove_hop_by_hop_headers(headers)
    return dict(headers)


def ask(port: int, method: str, path: str, headers: Mapping[str, str], body: bytes) -> Response:
    """Return what is answered at a port."""
    connection = HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    try:
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        response = Response(answer.read(), answer.status)
        # All of its own: the length of what a HEAD asks for is not that of the answer.
        response.headers = Headers(answer.getheaders())
        remove_hop_by_hop_headers(response.headers)
        return response
    finally:
        connection.close()


def free_port() -> int:
    """Return a port that nobody listens to now, and that the system gives to no connection in the meantime.

    Those are 32768 and above: https://docs.kernel.org/networking/ip-sysctl.html, `ip_local_port_range`.
    """
    while True:
        port = random.randrange(10_000, 30_000)  # noqa: S311
        with socket.socket() as found, contextlib.suppress(OSError):
            found.bind(("127.0.0.1", port))
            return port
