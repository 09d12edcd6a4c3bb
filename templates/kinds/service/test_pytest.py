"""Tests of the service."""

import logging
import runpy
import signal
import socket
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from http.client import HTTPConnection
from importlib.metadata import version
from logging.handlers import QueueHandler
from queue import Queue

import pytest

from {{ cookiecutter.package_name }}.app import PROGRAM, Settings, logger, main

Log = Queue[logging.LogRecord]


def test_has_settings_without_an_environment() -> None:
    assert Settings.from_environment({}) == Settings("127.0.0.1", 8000, "INFO")


def test_takes_settings_from_the_environment() -> None:
    environment = {"BIND_ADDRESS": "::1", "PORT": "80", "LOG_LEVEL": "debug"}
    assert Settings.from_environment(environment) == Settings("::1", 80, "DEBUG")


@pytest.mark.parametrize(
    ("name", "value"), [("PORT", "x"), ("PORT", "65536"), ("LOG_LEVEL", "LOUD")]
)
def test_refuses_a_setting(name: str, value: str) -> None:
    with pytest.raises(ValueError, match=f"{name} is '{value}', but must be"):
        Settings.from_environment({name: value})


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> Iterator[Log]:
    """What a service logs on a port that the system chooses."""
    monkeypatch.setenv("PORT", "0")
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    records: Log = Queue()
    handler = QueueHandler(records)
    logger.addHandler(handler)
    yield records
    logger.removeHandler(handler)
    for number, action in before.items():
        signal.signal(number, action)


def visit(log: Log, number: signal.Signals) -> list[int]:
    """Ask the service when it serves, then tell it to end; return the status of each answer."""
    address = log.get(timeout=10).getMessage().rpartition("/")[2]
    found = []
    try:
        for path in ("/health", "/nothing"):
            with closing(HTTPConnection(address, timeout=10)) as connection:
                connection.request("GET", path)
                found.append(connection.getresponse().status)
    finally:
        signal.raise_signal(number)
    return found


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["SIGINT", "SIGTERM"])
def test_serves_until_it_is_told_to_end(number: signal.Signals, log: Log) -> None:
    with ThreadPoolExecutor() as pool:
        visitor = pool.submit(visit, log, number)
        assert main([]) == 0
    assert visitor.result() == [200, 404]


def test_reports_a_setting_that_it_refuses(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PORT", "x")
    with pytest.raises(SystemExit) as stop:
        main([])
    assert stop.value.code == 1
    assert capsys.readouterr().err.startswith(f"{PROGRAM}: PORT is 'x', but")


def test_reports_a_port_that_is_taken(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        monkeypatch.setenv("PORT", str(port))
        with pytest.raises(SystemExit) as stop:
            main([])
    assert stop.value.code == 1
    assert capsys.readouterr().err.startswith(f"{PROGRAM}: cannot serve on 127.0.0.1:{port}: ")


def test_prints_its_version_as_a_module(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", [PROGRAM, "--version"])
    with pytest.raises(SystemExit) as stop:
        runpy.run_module("{{ cookiecutter.package_name }}", run_name="__main__")
    assert stop.value.code == 0
    assert capsys.readouterr().out == f"{PROGRAM} {version(PROGRAM)}\n"


def test_refuses_wrong_usage() -> None:
    with pytest.raises(SystemExit) as stop:
        main(["--no-such-option"])
    assert stop.value.code == 2
