"""Fixtures of the pipelines that GitLab's own runner runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools.gitlab_runner.program import find_gitlab_runner


@pytest.fixture(scope="session")
def gitlab_runner(request: pytest.FixtureRequest) -> Path:
    """GitLab's own runner, built once."""
    return find_gitlab_runner(request.config.cache.mkdir("gitlab-runner"))
