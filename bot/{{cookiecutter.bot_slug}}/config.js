// What Renovate may do, for all projects; the preset of the template says how it sees a release.
"use strict";

const { readFileSync } = require("node:fs");

const TEMPLATE = "py-ci-template";
const plan = JSON.parse(readFileSync(process.env.PLAN || "plan.json", "utf8"));
// "2/4" is the second of four jobs that share the projects.
const [shard, shards] = (process.env.SHARD || "1/1").split("/").map(Number);

function repository(project) {
  // It counts whatever a project has in its own renovate.json.
  const force = { automerge: project.automerge };
  if (project.version === null) {
    force.enabled = false;
  } else {
    force.allowedVersions = `<=${project.version.replace(/^v/, "")}`;
  }
  return { repository: project.path, packageRules: [{ matchDepNames: [TEMPLATE], matchFileNames: [".cruft.json"], force }] };
}

module.exports = {
  platform: "gitlab",
  endpoint: `${process.env.CI_SERVER_URL}/api/v4/`,
  token: process.env.GITLAB_TOKEN,
  // git too: by itself Renovate gives it the token for the standard port only.
  hostRules: [{ hostType: "gitlab", matchHost: process.env.CI_SERVER_URL, token: process.env.GITLAB_TOKEN }],
  extends: [`local>{{ cookiecutter.template_project }}//bot/preset#{{ cookiecutter.template_version }}`],
  repositories: plan.projects.filter((_, index) => index % shards === shard - 1).map(repository),
  allowedCommands: ["^py-ci-fleet update --to v?[0-9]+\\.[0-9]+\\.[0-9]+$"],
  // Of no other template does code run here, whatever a project names.
  customEnvVariables: { PY_CI_TEMPLATE: plan.template },
  onboarding: false,
  requireConfig: "optional",
  // GitLab merges when the pipeline has passed; without one, nothing is merged.
  platformAutomerge: true,
  reportType: "file",
  reportPath: "report.json",
};
