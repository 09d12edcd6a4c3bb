"""What the tests ask of many pipelines: expanded, valid, and with which jobs; each distinct question once."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import yaml
from filelock import FileLock

from tools.commands import ROOT, run
from tools.components import Loader, load
from tools.gitlab_ci_local import INCLUDED, PROBE, arguments_of, as_on_gitlab, ask, names_of, probes
from tools.schema import check
from tools.shared import digest

# That of libyaml, where it is there, takes a tenth of the time.
Dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)

# `validate` asks the schema of GitLab in less time.
PREVIEW = ("--preview", "--no-json-schema-validation", "--evaluate-rule-changes=false")


@lru_cache(maxsize=8)
def with_own_components(pipeline: str) -> tuple[str, dict[str, Any]]:
    """Return a pipeline that includes components from the working tree, as text and as a document."""
    text = INCLUDED.sub(r"local: .gitlab/ci/\2.yml", pipeline)
    return text, yaml.load(text, Loader=Loader)  # noqa: S506


@lru_cache(maxsize=8)
def loaded(expanded: Path) -> dict[str, Any]:
    """Return the document of a file that does not change; the questions about one come one after the other."""
    return load(expanded)


@lru_cache(maxsize=8)
def digested_probes(expanded: Path) -> dict[str, tuple[str, dict[str, Any]]]:
    """Return the probes of such a file, each with a name of its own among those of all pipelines."""
    return {name: (digest([name, probe]), probe) for name, probe in probes(loaded(expanded)).items()}


@dataclass(frozen=True)
class Expander:
    """Asks gitlab-ci-local about pipelines, once for each distinct one, whichever worker asks first."""

    program: str
    template: Path
    cache: Path
    oldest_schema: Path

    def preview(self, pipeline: str) -> Path:
        """Return the file with the pipeline in which includes, inputs and references are resolved.

        Components are taken from the working tree, where they are the same files; to fetch each of them with git takes
        longer than all the rest. Comments and spaces make no other pipeline.
        """
        text, written = with_own_components(pipeline)
        return self._once(text, *PREVIEW, key=digest(written))

    def fetched(self, pipeline: str) -> Path:
        """Return the same file where components are fetched from the clone of the template, as from GitLab."""
        return self._once(pipeline, *PREVIEW, key=digest(pipeline))

    def jobs(self, pipeline: str, event: str) -> list[str]:
        """Return the names of the jobs that would run for an event, whatever it has changed.

        What pipelines have in common is asked once: whether a job runs depends on no other.
        """
        expanded = self.preview(pipeline)
        included = {
            name: probe for name, probe in digested_probes(self._by_rules(pipeline, event)).items() if name != PROBE
        }
        asked = {**digested_probes(expanded), **included}
        answers = self.cache / f"{digest(event)}.json"
        with FileLock(answers.with_suffix(".lock")):
            known: dict[str, list[str]] = json.loads(answers.read_text(encoding="utf-8")) if answers.exists() else {}
            new = {name: probe for name, (key, probe) in asked.items() if key not in known}
            if new:
                stages = loaded(expanded).get("stages", [])
                text = yaml.dump({"stages": stages, **new}, Dumper=Dumper, sort_keys=False)
                options = ("--no-json-schema-validation", "--evaluate-rule-changes=false")
                listed = self._once(text, "--list-json", *options, *arguments_of(event), key=digest([text, event]))
                running = names_of(listed.read_text(encoding="utf-8"))
                for name in new:
                    known[asked[name][0]] = [each for each in running if each.partition(": [")[0] == name]
                answers.write_text(json.dumps(known), encoding="utf-8")
        names = [each for key, _ in asked.values() for each in known[key]]
        return [name for name in names if name != PROBE] if PROBE in names else []

    def expanded(self, pipeline: str, event: str) -> dict[str, Any]:
        """Return the pipeline of an event with includes and inputs resolved."""
        pipeline_of_all = loaded(self.preview(pipeline))
        return {**pipeline_of_all, **loaded(self._by_rules(pipeline, event)), "stages": pipeline_of_all["stages"]}

    def _by_rules(self, pipeline: str, event: str) -> Path:
        """Return the file with what is included by rules alone, for an event: few pipelines differ in that.

        It takes the place of what was included before it, as on GitLab. Its stages have to be among GitLab's own: with
        those of the pipeline, many more would differ.
        """
        written = with_own_components(pipeline)[1]
        ruled = [each for each in written.get("include", []) if "rules" in each]
        workflow = {"workflow": written["workflow"]} if "workflow" in written else {}
        text = yaml.dump({**workflow, "include": ruled}, Dumper=Dumper, sort_keys=False)
        return self._once(text, *PREVIEW, *arguments_of(event), key=digest([text, event if ruled else ""]))

    def validate(self, pipeline: str) -> None:
        """Check the expanded pipeline by the newest and the oldest schema, and its scripts with shellcheck as POSIX sh.

        What pipelines have in common is checked once: neither looks from one job to another.
        """
        content = loaded(self.preview(pipeline))
        with FileLock(self.cache / "valid.lock"):
            marks = {name: self.cache / f"{digest([name, value])}.valid" for name, value in content.items()}
            new = {name: content[name] for name, mark in marks.items() if not mark.exists()}
            if not new:
                return
            checked = self.cache / "new.yml"
            checked.write_text(yaml.dump({"stages": content["stages"], **new}, Dumper=Dumper), encoding="utf-8")
            check(checked)
            check(checked, schema=self.oldest_schema)
            verify = ("gitlab-ci-verify", "--no-lint-api", "--gitlab-base-url", "https://gitlab.com")
            run(*verify, "--shellcheck-flags=-s sh", "--gitlab-ci-file", checked)
            for name in new:
                marks[name].touch()

    def _once(self, pipeline: str, *arguments: str, key: str) -> Path:
        answer = self.cache / f"{key}.yml"
        with FileLock(self.cache / f"{key}.lock"):
            if not answer.exists():
                folder = self._repository
                (folder / ".gitlab-ci.yml").write_text(pipeline, encoding="utf-8")
                status, printed = ask(self.program, *arguments, cwd=folder, env=as_on_gitlab(folder, self.template))
                assert status == 0, printed
                answer.write_text(printed, encoding="utf-8")
        return answer

    @cached_property
    def _repository(self) -> Path:
        """A repository with the components as a self-contained project has them, for this worker alone."""
        folder = Path(mkdtemp(dir=self.cache))
        shutil.copytree(ROOT / "templates", folder / ".gitlab" / "ci", ignore=shutil.ignore_patterns("licenses"))
        run("git", "-c", "init.defaultBranch=main", "init", "--quiet", cwd=folder)
        (folder / ".gitlab-ci.yml").touch()
        run("git", "add", "--all", cwd=folder)
        return folder
