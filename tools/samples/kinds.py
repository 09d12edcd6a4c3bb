"""What a project of each kind does for those who use it."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import time
from http.client import HTTPConnection

from tools.samples.baked import BakedProject


def check_use(project: BakedProject, env: dict[str, str]) -> None:
    """Use a project that is installed in the environment of these variables."""
    check = {"service": check_service, "command": check_command, "library": check_library}
    check[project.options["kind"]](project, env)


def exit_code(project: BakedProject, *command: str, env: dict[str, str]) -> int:
    """Run a command that may fail; return its exit code."""
    return subprocess.run(command, cwd=project.path, env=env, capture_output=True, check=False).returncode


def check_library(project: BakedProject, env: dict[str, str]) -> None:
    """A module of the library is imported as the README says."""
    (usage,) = re.findall(r"```python\n(.+?)```", project.read("README.md"), re.DOTALL)
    assert project.run("python", "-c", usage, env=env) == "Hello, Ada!\n"


def check_command(project: BakedProject, env: dict[str, str]) -> None:
    """The console script answers with the right words and exit codes."""
    assert project.run("my-service", "Ada", env=env) == "Hello, Ada!\n"
    assert project.run("python", "-m", "my_service", env=env) == "Hello, world!\n"
    assert project.run("my-service", "--version", env=env).startswith("my-service ")
    assert exit_code(project, "my-service", "  ", env=env) == 1
    assert exit_code(project, "my-service", "--no-such-option", env=env) == 2


def check_service(project: BakedProject, env: dict[str, str]) -> None:
    """The service answers, says what is wrong, and ends by a signal when a request that has begun is answered."""
    assert project.run("my-service", "--version", env=env).startswith("my-service ")
    assert exit_code(project, "my-service", "--no-such-option", env=env) == 2
    for number in (signal.SIGTERM, signal.SIGINT):
        service = subprocess.Popen(["my-service"], env={**env, "PORT": "0"}, stderr=subprocess.PIPE, encoding="utf-8")
        try:
            assert service.stderr
            (port,) = re.findall(r"INFO Serving on http://127\.0\.0\.1:(\d+)$", service.stderr.readline().strip())
            assert status("127.0.0.1", int(port)) == 200
            taken = subprocess.run(["my-service"], env={**env, "PORT": port}, capture_output=True, encoding="utf-8")
            said = f"my-service: cannot serve on 127.0.0.1:{port}: Address already in use\n"
            assert (taken.returncode, taken.stderr) == (1, said)
            with socket.create_connection(("127.0.0.1", int(port)), timeout=10) as slow:
                slow.sendall(b"GET /health HTTP/1.0\r\n")
                # Connections are taken in turn: when this one is answered, that one is.
                assert status("127.0.0.1", int(port)) == 200
                service.send_signal(number)
                wait_until_closed(int(port))
                slow.sendall(b"\r\n")
                assert slow.makefile().readline() == "HTTP/1.0 200 OK\n"
            assert service.wait(timeout=10) == 0
            assert service.stderr.read().endswith(" INFO Ended\n")
        finally:
            service.kill()
            service.communicate()


def status(host: str, port: int) -> int:
    """Ask a service for its health; return the status of the answer."""
    connection = HTTPConnection(host, port, timeout=10)
    try:
        connection.request("GET", "/health")
        return connection.getresponse().status
    finally:
        connection.close()


def wait_until_closed(port: int) -> None:
    """Wait until nobody listens on a port; fail where this takes long."""
    end = time.monotonic() + 10
    while time.monotonic() < end:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except ConnectionError:
            return
        time.sleep(0.05)
    raise AssertionError("it takes new connections")
