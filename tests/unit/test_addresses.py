"""Addresses of git are shown without what may be a token, wherever a program shows one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tools.addresses import place, text_without_secrets, without_secrets

# What a secret is recognised by here: it is in no other part of an address.
SECRET = "glpat7SECRET"  # noqa: S105
# What git takes in a login: of ASCII all that does not end it, or end the address where it stands in a text.
AROUND = st.text(st.sampled_from("aZ9:@%&=+-._~!$*();,[]|^\\{}é"), max_size=6)
HOSTS = st.sampled_from(["gitlab.example.org", "gitlab.example.org:8443", "127.0.0.1", "[::1]", "[::1]:8080", "h"])
PATHS = st.sampled_from(["", "/", "/org/t.git", "/a/b/c", "/org/t@main"])


@st.composite
def secrets(draw: st.DrawFn) -> tuple[str, str, str]:
    """Return an address with a secret in each place that may hold one, its host and its path."""
    scheme = draw(st.sampled_from(["https", "http", "ssh", "git+ssh", "SSH", "git+https", "ftp", "file"]))
    host, path, around = draw(HOSTS), draw(PATHS), draw(AROUND) + SECRET + draw(AROUND)
    user = draw(st.sampled_from(["", "git", "oauth2"]))
    separator = draw(st.sampled_from([":", "%3A", "%3a"]) if "ssh" in scheme.lower() else st.just(":"))
    at = draw(st.sampled_from(["@", "%40"]) if "ssh" in scheme.lower() else st.just("@"))
    # A token may be the user; that of SSH is not one.
    login = draw(
        st.sampled_from([f"{user}{separator}{around}{at}", f"{around}{at}" * ("ssh" not in scheme.lower()), ""])
    )
    if scheme == "file":
        return f"{scheme}://{login}{host}{path}", host, path
    query = draw(st.sampled_from(["", f"?private_token={around}", f"?a=b&t={around}", f"#{around}", f"?x#{around}"]))
    return f"{scheme}://{login}{host}{path}{query}", host, path


@given(secrets())
def test_no_part_of_an_address_that_may_be_a_token_is_shown(case: tuple[str, str, str]) -> None:
    address, host, path = case
    clean = without_secrets(address)
    assert clean is not None
    assert SECRET not in clean
    assert clean.endswith(host + path)
    assert without_secrets(clean) == clean


@given(secrets(), st.sampled_from(["fatal: unable to access '{}': no", "{}", "remote:   {}\nhint", "url={} (403)"]))
def test_no_text_shows_a_token_that_an_address_has(case: tuple[str, str, str], text: str) -> None:
    address, host, _ = case
    shown = text_without_secrets(text.format(address))
    assert SECRET not in shown
    assert host in shown
    before, after = text.split("{}")
    assert shown.startswith(before)
    assert shown.endswith(after)


@given(st.text() | st.text(st.sampled_from("a:/@?#%40[]. \n")))
def test_any_text_can_be_shown(text: str) -> None:
    shown = text_without_secrets(text)
    assert text_without_secrets(shown) == shown
    if "://" not in text:
        assert shown == text


def test_an_address_that_is_none_is_not_shown() -> None:
    assert without_secrets("https://u:p/w@gitlab.example.org/t.git") is None
    assert text_without_secrets("at 'https://u:p/w@gitlab.example.org/t.git'") == "at 'https://[MASKED]'"


def test_the_page_for_a_new_merge_request_stays_whole() -> None:
    line = (
        "remote:   https://gitlab.example.org/a/b/-/merge_requests/new?merge_request%5Bsource_branch%5D=py-ci-template"
    )
    assert text_without_secrets(line) == line


@pytest.mark.parametrize(
    "address",
    [
        "https://gitlab.example.org/org/py-ci-template",
        "https://oauth2:token@gitlab.example.org/org/py-ci-template.git/",
        "ssh://git@gitlab.example.org/org/py-ci-template.git",
        "git@gitlab.example.org:org/py-ci-template.git",
    ],
)
def test_addresses_of_one_template_name_one_place(address: str) -> None:
    assert place(address) == "gitlab.example.org/org/py-ci-template"


@pytest.mark.parametrize(
    "address",
    [
        "https://gitlab.example.org.evil.example/org/py-ci-template.git",
        "https://evil.example/gitlab.example.org/org/py-ci-template.git",
        "https://evil.example/it@gitlab.example.org/org/py-ci-template.git",
        "https://evil.example/://gitlab.example.org/org/py-ci-template.git",
        "ext::sh -c evil gitlab.example.org/org/py-ci-template.git",
        "https://gitlab.example.org/evil/py-ci-template.git",
    ],
)
def test_another_template_is_at_another_place(address: str) -> None:
    assert place(address) != "gitlab.example.org/org/py-ci-template"


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("https://oauth2:glpat-t@gitlab.example.org:8443/org/t.git", "https://gitlab.example.org:8443/org/t.git"),
        ("https://glpat-t@gitlab.example.org/org/t.git?private_token=glpat-t", "https://gitlab.example.org/org/t.git"),
        ("ssh://git:glpat-t@gitlab.example.org/org/t.git", "ssh://git@gitlab.example.org/org/t.git"),
        ("git@gitlab.example.org:org/t.git", "git@gitlab.example.org:org/t.git"),
        ("/srv/a@b/t.git", "/srv/a@b/t.git"),
    ],
)
def test_an_address_is_shown_without_what_may_be_a_token(address: str, shown: str) -> None:
    assert without_secrets(address) == shown
