"""Tests of the service."""

import io
import logging
import runpy
import signal
import socket
import unittest
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, redirect_stderr, redirect_stdout
from http.client import HTTPConnection
from importlib.metadata import version
from logging.handlers import QueueHandler
from queue import Queue
from unittest import mock

from {{ cookiecutter.package_name }}.app import PROGRAM, Settings, logger, main


class SettingsTest(unittest.TestCase):
    def test_has_settings_without_an_environment(self) -> None:
        self.assertEqual(Settings.from_environment({}), Settings("127.0.0.1", 8000, "INFO"))

    def test_takes_settings_from_the_environment(self) -> None:
        environment = {"BIND_ADDRESS": "::1", "PORT": "80", "LOG_LEVEL": "debug"}
        self.assertEqual(Settings.from_environment(environment), Settings("::1", 80, "DEBUG"))

    def test_refuses_a_setting(self) -> None:
        for name, value in (("PORT", "x"), ("PORT", "65536"), ("LOG_LEVEL", "LOUD")):
            with (
                self.subTest(name=name, value=value),
                self.assertRaisesRegex(ValueError, f"{name} is '{value}', but must be"),
            ):
                Settings.from_environment({name: value})


class ServeTest(unittest.TestCase):
    def setUp(self) -> None:
        self.enterContext(redirect_stderr(io.StringIO()))
        for number in (signal.SIGINT, signal.SIGTERM):
            self.addCleanup(signal.signal, number, signal.getsignal(number))
        self.log: Queue[logging.LogRecord] = Queue()
        handler = QueueHandler(self.log)
        logger.addHandler(handler)
        self.addCleanup(logger.removeHandler, handler)

    def visit(self, number: signal.Signals) -> list[int]:
        """Ask the service when it serves, then tell it to end; return the status of each answer."""
        address = self.log.get(timeout=10).getMessage().rpartition("/")[2]
        found = []
        try:
            for path in ("/health", "/nothing"):
                with closing(HTTPConnection(address, timeout=10)) as connection:
                    connection.request("GET", path)
                    found.append(connection.getresponse().status)
        finally:
            signal.raise_signal(number)
        return found

    def test_serves_until_it_is_told_to_end(self) -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            with self.subTest(number=number), ThreadPoolExecutor() as pool:
                visitor = pool.submit(self.visit, number)
                # On a port that the system chooses.
                with mock.patch.dict("os.environ", PORT="0"):
                    self.assertEqual(main([]), 0)
                self.assertEqual(visitor.result(), [200, 404])
                self.log.queue.clear()


class MainTest(unittest.TestCase):
    def setUp(self) -> None:
        self.out = self.enterContext(redirect_stdout(io.StringIO()))
        self.err = self.enterContext(redirect_stderr(io.StringIO()))

    def test_reports_a_setting_that_it_refuses(self) -> None:
        with mock.patch.dict("os.environ", PORT="x"), self.assertRaises(SystemExit) as stop:
            main([])
        self.assertEqual(stop.exception.code, 1)
        self.assertIn(f"{PROGRAM}: PORT is 'x', but", self.err.getvalue())

    def test_reports_a_port_that_is_taken(self) -> None:
        with (
            socket.create_server(("127.0.0.1", 0)) as taken,
            mock.patch.dict("os.environ", PORT=str(taken.getsockname()[1])),
            self.assertRaises(SystemExit) as stop,
        ):
            main([])
        self.assertEqual(stop.exception.code, 1)
        self.assertIn(f"{PROGRAM}: cannot serve on 127.0.0.1:", self.err.getvalue())

    def test_prints_its_version_as_a_module(self) -> None:
        argv = [PROGRAM, "--version"]
        with mock.patch("sys.argv", argv), self.assertRaises(SystemExit) as stop:
            runpy.run_module("{{ cookiecutter.package_name }}", run_name="__main__")
        self.assertEqual(stop.exception.code, 0)
        self.assertEqual(self.out.getvalue(), f"{PROGRAM} {version(PROGRAM)}\n")

    def test_refuses_wrong_usage(self) -> None:
        with self.assertRaises(SystemExit) as stop:
            main(["--no-such-option"])
        self.assertEqual(stop.exception.code, 2)
