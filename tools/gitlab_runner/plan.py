"""What GitLab tells a runner of the jobs of a pipeline.

https://gitlab.com/gitlab-org/gitlab/-/blob/master/app/presenters/ci/build_runner_presenter.rb
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from fnmatch import fnmatch
from functools import cached_property
from typing import Any
from urllib.parse import urlsplit

import yaml

from tools.commands import run
from tools.components import Loader
from tools.expander import Expander
from tools.gitlab_ci_local import arguments_of
from tools.runner import Variable, divide
from tools.stand_ins.gitlab import GitLab
from tools.stand_ins.gitlab_project import Project
from tools.stand_ins.runner_api import Build

# What a job may have here. GitLab has more.
KEYWORDS = {
    *(
        "allow_failure",
        "artifacts",
        "before_script",
        "cache",
        "coverage",
        "dependencies",
        "environment",
        "id_tokens",
        "image",
        "interruptible",
    ),
    *("needs", "parallel", "resource_group", "retry", "rules", "script", "stage", "timeout", "variables", "when"),
}
# The names under which reports are uploaded: `DEFAULT_FILE_NAMES` in `app/models/enums/ci/job_artifact.rb`.
REPORTS = {
    "junit": "junit.xml",
    "cobertura": "cobertura-coverage.xml",
    "codequality": "gl-code-quality-report.json",
    "dotenv": ".env",
    "cyclonedx": "gl-sbom.cdx.json",
}
# How jobs may fail, to a runner that asks: `failure_reasons` in `lib/api/entities/ci/job_request/features.rb`.
FAILURES = [
    "image_pull_failure",
    "unknown_failure",
    "script_failure",
    "runner_system_failure",
    "job_execution_timeout",
    "job_canceled",
]
SECONDS = {"s": 1, "m": 60, "h": 3600}


def seconds(timeout: str | None) -> int:
    """Return how long a job may take: https://docs.gitlab.com/ci/yaml/#timeout; an hour is GitLab's default."""
    return sum(int(number) * SECONDS[unit] for number, unit in re.findall(r"(\d+) ?([hms])", timeout or "1h"))


def flat(lines: Any) -> Iterator[str]:
    """Return the lines of a script, some of which are lists: https://docs.gitlab.com/ci/yaml/script/"""
    for line in lines:
        if isinstance(line, list):
            yield from flat(line)
        else:
            yield line


@dataclass(frozen=True)
class Plan:
    """The jobs of a pipeline, and what GitLab tells a runner of each."""

    gitlab: GitLab
    project: Project
    expander: Expander
    event: str
    settings: Mapping[str, str | Variable]
    number: int
    builds: dict[str, Build]

    @cached_property
    def text(self) -> str:
        """The project's `.gitlab-ci.yml`."""
        assert self.project.repository
        return (self.project.repository / ".gitlab-ci.yml").read_text(encoding="utf-8")

    @cached_property
    def expanded(self) -> dict[str, Any]:
        """The pipeline with includes and inputs resolved."""
        return self.expander.expanded(self.text, self.event)

    @cached_property
    def stages(self) -> list[str]:
        """The stages in their order."""
        return [".pre", *self.expanded["stages"], ".post"]

    @cached_property
    def jobs(self) -> list[str]:
        """The names of the jobs that the rules let run, by stage."""
        return sorted(self.expander.jobs(self.text, self.event), key=lambda name: self.stages.index(self.stage(name)))

    @cached_property
    def default(self) -> dict[str, Any]:
        """What a job has that does not say otherwise: https://docs.gitlab.com/ci/yaml/#default

        gitlab-ci-local passes on some of it.
        """
        return dict(yaml.load(self.text, Loader=Loader).get("default", {}))  # noqa: S506

    def job(self, name: str) -> dict[str, Any]:
        """Return the job as the file has it; those of a matrix are one."""
        job: dict[str, Any] = {**self.default, **self.expanded[name.partition(": [")[0]]}
        assert not job.keys() - KEYWORDS, f"GitLab knows what this does not: {job.keys() - KEYWORDS}"
        return job

    def stage(self, name: str) -> str:
        """Return the stage of a job."""
        return str(self.job(name).get("stage", "test"))

    def matrix(self, name: str) -> dict[str, str]:
        """Return the variables that make this job of its matrix: https://docs.gitlab.com/ci/yaml/#parallelmatrix"""
        for row in self.job(name).get("parallel", {}).get("matrix", []):
            for values in itertools.product(*row.values()):
                if name.endswith(f": [{','.join(values)}]"):
                    return dict(zip(row, values, strict=True))
        return {}

    def written(self, name: str) -> dict[str, str]:
        """Return the variables that the file gives a job."""
        written = {**self.expanded.get("variables", {}), **self.job(name).get("variables", {}), **self.matrix(name)}
        return {key: str(value) for key, value in written.items()}

    def resource_group(self, name: str) -> str | None:
        """Return what a job shares with others, of which one runs at a time.

        `lib/gitlab/ci/pipeline/seed/processable/resource_group.rb`
        """
        known = {**self.predefined, **self.written(name)}
        group = self.job(name).get("resource_group")
        return group and re.sub(r"\$(?:(\w+)|{(\w+)})", lambda found: known.get(found[1] or found[2], ""), group)

    def before(self, name: str, artifacts: bool = False) -> list[str]:
        """Return the jobs that one waits for, or those whose `artifacts` it takes.

        https://docs.gitlab.com/ci/yaml/#needs, https://docs.gitlab.com/ci/yaml/#dependencies
        """
        job = self.job(name)
        if "needs" in job:
            needs = [{"job": need} if isinstance(need, str) else need for need in job["needs"]]
            wanted = [need["job"] for need in needs if need.get("artifacts", True) or not artifacts]
            found = [other for other in self.jobs if other.partition(": [")[0] in wanted]
        else:
            found = self.jobs[: next(i for i, other in enumerate(self.jobs) if self.stage(other) == self.stage(name))]
        if artifacts and "dependencies" in job:
            found = [other for other in found if other.partition(": [")[0] in job["dependencies"]]
        return found

    def allows_failure(self, name: str, build: Build) -> bool:
        """Tell whether the pipeline goes on though a job has failed: https://docs.gitlab.com/ci/yaml/#allow_failure"""
        allowed = self.job(name).get("allow_failure", False)
        if isinstance(allowed, dict):
            codes = allowed["exit_codes"]
            return build.exit_code in (codes if isinstance(codes, list) else [codes])
        return bool(allowed)

    def git(self, *command: str) -> str:
        """Return what git says in the repository of the project."""
        assert self.project.repository
        return run("git", *command, cwd=self.project.repository).strip()

    @cached_property
    def predefined(self) -> dict[str, str]:
        """What GitLab tells each job of the pipeline: https://docs.gitlab.com/ci/variables/predefined_variables/"""
        words = arguments_of(self.event)
        told = dict(word.split("=", 1) for word in words if "=" in word)
        tag = told.get("CI_COMMIT_TAG")
        if tag:
            self.git("tag", "--force", tag)
        sha = self.git("rev-parse", "HEAD")
        # What a runner fetches.
        self.git("update-ref", f"refs/pipelines/{self.number}", sha)
        return {
            "CI": "true",
            "GITLAB_CI": "true",
            "CI_COMMIT_SHA": sha,
            "CI_COMMIT_SHORT_SHA": sha[:8],
            "CI_COMMIT_REF_NAME": tag or "main",
            "CI_COMMIT_REF_PROTECTED": "false",
            "CI_COMMIT_TIMESTAMP": self.git("show", "--no-patch", "--format=%cI"),
            "CI_CONFIG_PATH": ".gitlab-ci.yml",
            "CI_DEFAULT_BRANCH": "main",
            "CI_PIPELINE_CREATED_AT": datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
            "CI_PIPELINE_ID": str(self.number),
            "CI_PIPELINE_URL": f"{self.gitlab.url}/{self.project.path}/-/pipelines/{self.number}",
            "GITLAB_USER_NAME": "Ada",
            **({} if "CI_COMMIT_BRANCH" in words else {"CI_COMMIT_BRANCH": "main"}),
            **told,
            **self.gitlab.variables(self.project),
        }

    def variables(self, name: str, number: int, token: str) -> list[dict[str, Any]]:
        """Return the variables of a job, of which the last of a name counts.

        https://docs.gitlab.com/ci/variables/#cicd-variable-precedence
        """
        gitlab = urlsplit(self.gitlab.url)
        own = {
            "CI_JOB_ID": str(number),
            "CI_JOB_NAME": name,
            "CI_JOB_STAGE": self.stage(name),
            "CI_JOB_URL": f"{self.gitlab.url}/{self.project.path}/-/jobs/{number}",
        }
        secret = {
            "CI_JOB_TOKEN": token,
            "CI_REPOSITORY_URL": gitlab._replace(
                netloc=f"gitlab-ci-token:{token}@{gitlab.netloc}", path=f"{gitlab.path}/{self.project.path}.git"
            ).geturl(),
        }
        if "CI_REGISTRY" in self.settings:
            secret["CI_REGISTRY_PASSWORD"] = token
        secret |= self.id_tokens(name, number)
        environment = self.job(name).get("environment")
        environment = environment["name"] if isinstance(environment, dict) else environment
        if environment:
            own["CI_ENVIRONMENT_NAME"] = environment
        settings, set_by_gitlab = divide(self.settings, self.predefined["CI_COMMIT_REF_PROTECTED"] == "true")
        given = {key: Variable(value) for key, value in {**self.predefined, **own, **set_by_gitlab}.items()}
        given |= {key: Variable(value, masked=True) for key, value in secret.items()}
        given |= {key: Variable(value) for key, value in self.written(name).items()}
        for other in self.providers(name):
            given |= {key: Variable(value) for key, value in self.builds[other].dotenv.items()}
        given |= {key: setting for key, setting in settings.items() if fnmatch(environment or "", setting.environment)}
        return [
            {
                "key": key,
                "value": each.value,
                "public": key not in settings,
                "masked": each.masked,
                "raw": each.raw,
                "file": each.file,
            }
            for key, each in given.items()
        ]

    def id_tokens(self, name: str, number: int) -> dict[str, str]:
        """Return the identity tokens that a job declares: https://docs.gitlab.com/ci/yaml/#id_tokens"""
        told = self.predefined
        kind = "tag" if "CI_COMMIT_TAG" in told else "branch"
        claims: dict[str, Any] = {
            "project_path": self.project.path,
            "ref": told["CI_COMMIT_REF_NAME"],
            "ref_type": kind,
            "ref_protected": told["CI_COMMIT_REF_PROTECTED"],
            "sha": told["CI_COMMIT_SHA"],
            "pipeline_id": str(self.number),
            "job_id": str(number),
        }
        declared = self.job(name).get("id_tokens", {})
        return {key: self.gitlab.issuer.token(**claims, aud=token["aud"]) for key, token in declared.items()}

    def providers(self, name: str) -> list[str]:
        """Return the jobs whose artifacts and dotenv reports a job takes."""
        return [other for other in self.before(name, artifacts=True) if other in self.builds]

    def described(self, name: str) -> Any:
        """Return a function that returns what a runner is told of a job, given the number and the token of its run."""
        return lambda number, token: self.payload(name, number, token)

    def payload(self, name: str, number: int, token: str) -> dict[str, Any]:
        """Return what a runner is told of a job: `common/spec/spec.go` in the source of GitLab Runner."""
        job = self.job(name)
        variables = self.variables(name, number, token)
        values = {variable["key"]: variable["value"] for variable in variables}
        ref, tag = values["CI_COMMIT_REF_NAME"], "CI_COMMIT_TAG" in values
        pipeline = f"refs/pipelines/{self.number}"
        commands = list(flat([*job.get("before_script", []), *job["script"]]))
        timeout = seconds(job.get("timeout"))
        return {
            "id": number,
            "token": token,
            "allow_git_fetch": True,
            "job_info": {
                "name": name,
                "stage": self.stage(name),
                "project_id": self.project.id,
                "project_name": self.project.name,
                "project_full_path": self.project.path,
                "pipeline_id": self.number,
            },
            "git_info": {
                "repo_url": values["CI_REPOSITORY_URL"],
                "repo_object_format": "sha1",
                "ref": ref,
                "sha": values["CI_COMMIT_SHA"],
                "before_sha": "0" * 40,
                "ref_type": "tag" if tag else "branch",
                "refspecs": [
                    f"+{pipeline}:{pipeline}",
                    f"+refs/tags/{ref}:refs/tags/{ref}" if tag else f"+refs/heads/{ref}:refs/remotes/origin/{ref}",
                ],
                # GitLab's default.
                "depth": 20,
                "protected": values["CI_COMMIT_REF_PROTECTED"] == "true",
            },
            "runner_info": {"timeout": timeout},
            "variables": variables,
            "steps": [{"name": "script", "script": commands, "timeout": timeout, "when": "on_success"}],
            "image": job["image"] if isinstance(job.get("image"), dict) else {"name": job.get("image", "")},
            "cache": list(self.caches(job.get("cache", []))),
            "artifacts": list(self.artifacts(job.get("artifacts", {}))),
            "dependencies": [
                {
                    "id": self.builds[other].number,
                    "name": other,
                    "token": token,
                    "artifacts_file": {
                        "filename": "artifacts.zip",
                        "size": len(self.builds[other].artifacts["archive"]),
                    },
                }
                for other in self.providers(name)
                if "archive" in self.builds[other].artifacts
            ],
            # Which tokens a runner masks wherever they come from.
            "features": {"trace_sections": True, "token_mask_prefixes": ["glcbt-"], "failure_reasons": FAILURES},
            # Not for the runner.
            "coverage": job.get("coverage"),
            "allow_failure": job.get("allow_failure"),
        }

    def caches(self, declared: Any) -> Iterator[dict[str, Any]]:
        """Return what a runner keeps for later pipelines: `cache` in `app/models/ci/build.rb`.

        Those of branches that are not protected have caches of their own.
        """
        suffix = "protected" if self.predefined["CI_COMMIT_REF_PROTECTED"] == "true" else "non_protected"
        for cache in declared if isinstance(declared, list) else [declared]:
            yield {
                "key": f"{cache.get('key', 'default')}-{suffix}",
                "untracked": cache.get("untracked", False),
                "paths": cache.get("paths", []),
                "policy": cache.get("policy", "pull-push"),
                "when": cache.get("when", "on_success"),
                "fallback_keys": [f"{key}-{suffix}" for key in cache.get("fallback_keys", [])],
            }

    def artifacts(self, artifacts: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """Return what a runner is to upload: an archive, and each report by itself."""
        if "paths" in artifacts:
            yield {
                "artifact_type": "archive",
                "artifact_format": "zip",
                "paths": artifacts["paths"],
                "when": artifacts.get("when", "on_success"),
                "expire_in": artifacts.get("expire_in"),
            }
        for kind, paths in artifacts.get("reports", {}).items():
            report = {"coverage_report": paths["coverage_format"]}.get(kind, kind) if isinstance(paths, dict) else kind
            path = paths["path"] if isinstance(paths, dict) else paths
            yield {
                "artifact_type": report,
                "artifact_format": "gzip",
                "name": REPORTS[report],
                "paths": path if isinstance(path, list) else [path],
                # Whatever happened: https://docs.gitlab.com/ci/yaml/artifacts_reports/
                "when": "always",
            }
