"""Answers as people and their opponents give them, for Hypothesis."""

from __future__ import annotations

from hypothesis import strategies as st

from answer_rules import one_line

# What breaks templates: the syntax of every language that an answer is written into, and of shells.
# fmt: off
HOSTILE = [
    "'", '"', "'''", '"""', "\\", "\\\\", "\\n", "\\u0041", "\\x", "`", "$", "$$", "${HOME}", "$[[ inputs.x ]]",
    "#", " #", "# ", ": ", ":", "- ", "? ", "!", "!!python/object", "&a", "*a", "|", ">", "%", "%s", "%(x)s", "@",
    "~", "=", "+", "{", "}", "}}", "%}", "#}", "{0}", "{ {", "[", "]", "[[", "<b>", "</script>", "<!--", "-->",
    "&amp;", "&#65;", "1. ", "1) ", "* ", "===", "---", "_a_", "**b**", "[a](b)", "![a](b)", "<https://x.y>",
    "$(touch pwned)", "`touch pwned`", "; touch pwned;", "&& touch pwned", "| touch pwned",
    "__import__('os').system('touch pwned')", "--help", "-x", "../x", "/etc/passwd", "\x00", "\x1b[31m",
    "yes", "no", "null", "true", "1e3", "0o7", "2026-01-01", "None", "NaN", "\n", "\r\n", "\t", " ",
    # Letters with accents, composed and not, CJK, emoji and their joiners.
    "\u00e9", "e\u0301", "\u00df", "\u4e2d\u6587", "\U0001f600", "\U0001f468\u200d\U0001f469",
    # Right-to-left text and its marks, odd spaces, separators.
    "\u05e9\u05dc\u05d5\u05dd", "\u0645\u0631\u062d\u0628\u0627", "\u200f", "\u202e", "\ufeff", "\u00a0", "\u2003",
    "\u2028", "\u0085",
]
# fmt: on
JINJA = ["{{ 1 }}", "{{ cookiecutter.x }}", "{% if", "{#", "{{", "{% raw %}"]

_PIECES = st.sampled_from(HOSTILE) | st.text(max_size=8)
TEXTS = st.lists(_PIECES, max_size=8).map("".join) | st.text(max_size=600)

# Texts that are no bad answers.
LINES = TEXTS.map(str.strip).filter(lambda text: one_line(text, 512) is None)
