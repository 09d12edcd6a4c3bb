"""What `release` does with a release on GitLab that it did not make."""

from __future__ import annotations

import json

import pytest
import requests

from tools.samples.package import Release, files_of
from tools.stand_ins.gitlab import GitLab
from tools.stand_ins.gitlab_project import Project

WHEEL, _ = files_of("1.0.0")


@pytest.mark.parametrize(
    "link",
    [
        {"name": "evil", "url": "https://example.com/evil"},
        {"name": WHEEL, "url": f"https://example.com/{WHEEL}"},
        {"name": "evil", "url": "OURS"},
    ],
    ids=["another link", "another address", "another name"],
)
def test_a_release_that_somebody_else_made_is_refused(
    link: dict[str, str], published: Release, here: Project, gitlab: GitLab
) -> None:
    ours = published.artifact("publish-gitlab", "links/packages").read_text(encoding="utf-8").split()[1]
    headers = {"JOB-TOKEN": here.token}
    planted = {**link, "url": link["url"].replace("OURS", ours)}
    assert published.retry("release").results == {"release": "passed"}
    added = requests.post(
        f"{gitlab.api}/projects/{here.id}/releases/v1.0.0/assets/links", json=planted, headers=headers, timeout=10
    )
    if added.status_code != 201:
        (page,) = here.folder.glob("releases/*.json")
        known = json.loads(page.read_text(encoding="utf-8"))
        (old,) = [
            each
            for each in known["assets"]["links"]
            if planted["name"] == each["name"] or planted["url"] == each["url"]
        ]
        old |= planted
        page.write_text(json.dumps(known), encoding="utf-8")
    done = published.retry("release")
    assert done.results == {"release": "failed"}, done.output
    assert "The release has other links than those to what was published:" in done.log("release")
    assert link["name"] in done.log("release")
