"""Each licence is the right text."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime

import pytest

from tools.options import IDENTITY
from tools.samples.baked import Bake

# Of https://www.apache.org/licenses/LICENSE-2.0.txt and https://www.gnu.org/licenses/gpl-3.0.txt.
OFFICIAL = {
    "Apache-2.0": "cfc7749b96f63bd31c3c42b5c471bf756814053e847c10f3eb003417bc523d30",
    "GPL-3.0-or-later": "3972dc9744f6499f0f9b2dbf76696f2ae7ad8af9b23dde66d6af86c9dfb36986",
}
WORDS = {
    "MIT": "Permission is hereby granted, free of charge, to any person obtaining a copy",
    "BSD-3-Clause": "3. Neither the name of the copyright holder nor the names of its",
    "Proprietary": "All rights reserved.",
}


def test_every_licence_is_known_here() -> None:
    assert {*OFFICIAL, *WORDS} == set(IDENTITY["license"])


@pytest.mark.parametrize("licence", OFFICIAL)
def test_a_long_licence_is_the_official_text(licence: str, bake: Bake) -> None:
    text = bake(license=licence).read("LICENSE")
    assert hashlib.sha256(text.encode()).hexdigest() == OFFICIAL[licence]


@pytest.mark.parametrize("licence", WORDS)
def test_a_short_licence_names_the_year_and_the_author(licence: str, bake: Bake) -> None:
    text = bake(license=licence, author_name="Zoë & Co").read("LICENSE")
    assert WORDS[licence] in text
    assert f"Copyright (c) {datetime.now(UTC).year}" in text
    assert "Zoë & Co" in text
