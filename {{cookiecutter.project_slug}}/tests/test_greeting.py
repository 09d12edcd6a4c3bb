{% if cookiecutter.test_runner == "pytest" %}
"""Tests of greetings."""

import pytest

from {{ cookiecutter.package_name }}.greeting import greet


@pytest.mark.parametrize("name", ["Ada", " Ada "])
def test_greets_by_name(name: str) -> None:
    assert greet(name) == "Hello, Ada!"


def test_refuses_a_blank_name() -> None:
    with pytest.raises(ValueError, match="blank"):
        greet(" ")
{% else %}
"""Tests of greetings."""

import unittest

from {{ cookiecutter.package_name }}.greeting import greet


class GreetTest(unittest.TestCase):
    def test_greets_by_name(self) -> None:
        for name in ("Ada", " Ada "):
            with self.subTest(name=name):
                self.assertEqual(greet(name), "Hello, Ada!")

    def test_refuses_a_blank_name(self) -> None:
        with self.assertRaisesRegex(ValueError, "blank"):
            greet(" ")
{% endif %}
