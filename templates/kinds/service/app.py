"""The service: answers over HTTP until it is told to end."""

import argparse
import logging
import os
import signal
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import version
from typing import Self

PROGRAM = "{{ cookiecutter.project_slug }}"

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Settings:
    """What the environment sets."""

    address: str
    port: int
    log_level: str

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Self:
        """Read BIND_ADDRESS, PORT and LOG_LEVEL.

        Raises:
            ValueError: A value cannot be used.
        """
        port = environment.get("PORT", "8000")
        if not (port.isdecimal() and int(port) < 2**16):
            raise ValueError(f"PORT is {port!r}, but must be a number up to 65535")
        log_level = environment.get("LOG_LEVEL", "INFO").upper()
        if log_level not in logging.getLevelNamesMapping():
            raise ValueError(f"LOG_LEVEL is {log_level!r}, but must be one such as INFO")
        return cls(environment.get("BIND_ADDRESS", "127.0.0.1"), int(port), log_level)


class Handler(BaseHTTPRequestHandler):
    """Answers a request. Your framework takes the place of this class and of Server."""

    # A client that sends nothing would delay the end for ever.
    timeout = 5

    def do_GET(self) -> None:
        """Say under /health that the service works."""
        if self.path != "/health":
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Type", "text/plain")
        self.end_headers()
        self.wfile.write(b"ok\n")

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Log a request as all else is logged."""
        logger.info("%s %r", self.client_address[0], format % args)


class Server(ThreadingHTTPServer):
    """Answers each request in a thread."""

    # The end waits for the requests that have begun.
    daemon_threads = False

    def serve_until_told_to_end(self) -> None:
        """Serve until the process gets SIGINT or SIGTERM."""
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self.end)
        logger.info("Serving on http://%s:%s", *self.server_address)
        self.serve_forever(poll_interval=0.1)

    def end(self, number: int, frame: object) -> None:
        """End without waiting here, in the middle of the loop that has to end."""
        threading.Thread(target=self.shutdown).start()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the service until it is told to end, and return its exit code.

    0 is such an end; it exits with 1 if it cannot begin, and argparse with 2 on wrong usage.
    """
    about = "Serve HTTP as BIND_ADDRESS, PORT and LOG_LEVEL in the environment say."
    parser = argparse.ArgumentParser(prog=PROGRAM, description=about)
    parser.add_argument("--version", action="version", version=f"{PROGRAM} {version(PROGRAM)}")
    parser.parse_args(arguments)
    try:
        settings = Settings.from_environment(os.environ)
        server = Server((settings.address, settings.port), Handler)
    except ValueError as error:
        parser.exit(1, f"{PROGRAM}: {error}\n")
    except OSError as error:
        where = f"{settings.address}:{settings.port}"
        parser.exit(1, f"{PROGRAM}: cannot serve on {where}: {error.strerror}\n")
    logging.basicConfig(level=settings.log_level, format="%(asctime)s %(levelname)s %(message)s")
    with server:
        server.serve_until_told_to_end()
    logger.info("Ended")
    return 0
