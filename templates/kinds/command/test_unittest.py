"""Tests of the command line."""

import io
import runpy
import unittest
from contextlib import redirect_stderr, redirect_stdout
from importlib.metadata import version
from unittest import mock

from {{ cookiecutter.package_name }}.app import PROGRAM, greet, main


class GreetTest(unittest.TestCase):
    def test_greets_by_name(self) -> None:
        for name in ("Ada", " Ada "):
            with self.subTest(name=name):
                self.assertEqual(greet(name), "Hello, Ada!")

    def test_refuses_a_blank_name(self) -> None:
        with self.assertRaisesRegex(ValueError, "blank"):
            greet(" ")


class MainTest(unittest.TestCase):
    def setUp(self) -> None:
        self.out = self.enterContext(redirect_stdout(io.StringIO()))
        self.err = self.enterContext(redirect_stderr(io.StringIO()))

    def test_prints_the_greeting(self) -> None:
        self.assertEqual(main(["Ada"]), 0)
        self.assertEqual(self.out.getvalue(), "Hello, Ada!\n")

    def test_reports_a_blank_name_and_fails(self) -> None:
        self.assertEqual(main([""]), 1)
        self.assertEqual(self.err.getvalue(), f"{PROGRAM}: the name is blank\n")

    def test_prints_its_version(self) -> None:
        with self.assertRaises(SystemExit) as stop:
            main(["--version"])
        self.assertEqual(stop.exception.code, 0)
        self.assertEqual(self.out.getvalue(), f"{PROGRAM} {version(PROGRAM)}\n")

    def test_refuses_wrong_usage(self) -> None:
        with self.assertRaises(SystemExit) as stop:
            main(["--no-such-option"])
        self.assertEqual(stop.exception.code, 2)

    def test_runs_as_a_module(self) -> None:
        with mock.patch("sys.argv", [PROGRAM]), self.assertRaises(SystemExit) as stop:
            runpy.run_module("{{ cookiecutter.package_name }}", run_name="__main__")
        self.assertEqual(stop.exception.code, 0)
        self.assertEqual(self.out.getvalue(), "Hello, world!\n")
