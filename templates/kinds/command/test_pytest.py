"""Tests of the command line."""

import runpy
import sys
from importlib.metadata import version

import pytest

from {{ cookiecutter.package_name }}.app import PROGRAM, greet, main


@pytest.mark.parametrize("name", ["Ada", " Ada "])
def test_greets_by_name(name: str) -> None:
    assert greet(name) == "Hello, Ada!"


def test_refuses_a_blank_name() -> None:
    with pytest.raises(ValueError, match="blank"):
        greet(" ")


def test_prints_the_greeting(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["Ada"]) == 0
    assert capsys.readouterr().out == "Hello, Ada!\n"


def test_reports_a_blank_name_and_fails(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([""]) == 1
    assert capsys.readouterr().err == f"{PROGRAM}: the name is blank\n"


def test_prints_its_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["--version"])
    assert stop.value.code == 0
    assert capsys.readouterr().out == f"{PROGRAM} {version(PROGRAM)}\n"


def test_refuses_wrong_usage() -> None:
    with pytest.raises(SystemExit) as stop:
        main(["--no-such-option"])
    assert stop.value.code == 2


def test_runs_as_a_module(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", [PROGRAM])
    with pytest.raises(SystemExit) as stop:
        runpy.run_module("{{ cookiecutter.package_name }}", run_name="__main__")
    assert stop.value.code == 0
    assert capsys.readouterr().out == "Hello, world!\n"
