"""Settings of a project in the loopback GitLab, made and read with python-gitlab."""

from __future__ import annotations

from pathlib import Path

import pytest
from gitlab import Gitlab
from gitlab.exceptions import GitlabCreateError, GitlabListError

from tools.stand_ins.gitlab_rest.access import Level
from tools.stand_ins.gitlab_rest.server import SharedGitLab


def test_settings_are_refused_as_documented(tmp_path: Path) -> None:
    with SharedGitLab(tmp_path / "gitlab", "http://127.0.0.1:1") as shared:
        ada = shared.add_user("ada", {"org": Level.MAINTAINER})
        dan = shared.add_user("dan", {"org": Level.DEVELOPER})
        shared.share_project("org/a")
        project = Gitlab(shared.url, private_token=ada.token).projects.get("org/a")
        # A masked value is one line: https://docs.gitlab.com/ci/variables/#mask-a-cicd-variable
        with pytest.raises(GitlabCreateError, match="value"):
            project.variables.create({"key": "A", "value": "two\nlines of text", "masked": True})
        project.variables.create({"key": "A", "value": "one-line", "masked_and_hidden": True})
        (hidden,) = project.variables.list(get_all=True)
        assert (hidden.value, hidden.masked, hidden.hidden, hidden.environment_scope) == (None, True, True, "*")
        with pytest.raises(GitlabCreateError, match="has already been taken"):
            project.variables.create({"key": "A", "value": "another"})
        project.variables.create({"key": "A", "value": "another", "environment_scope": "signing"})
        project.protectedtags.create({"name": "v*", "create_access_level": 40})
        with pytest.raises(GitlabCreateError, match="already exists"):
            project.protectedtags.create({"name": "v*", "create_access_level": 40})
        with pytest.raises(GitlabCreateError, match="package_type does not have a valid value"):
            project.package_protection_rules.create(
                {"package_name_pattern": "a", "package_type": "deb", "minimum_access_level_for_push": "maintainer"}
            )
        with pytest.raises(GitlabListError, match="404"):
            project.protected_environments.list(get_all=True)
        theirs = Gitlab(shared.url, private_token=dan.token).projects.get("org/a")
        with pytest.raises(GitlabListError, match="403"):
            theirs.variables.list(get_all=True)
