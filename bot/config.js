// What Renovate may do; preset.json, beside this, says how it sees a release of the template.
"use strict";

const { readFileSync } = require("node:fs");

const { CI_SERVER_URL, GITLAB_TOKEN, PLAN = "plan.json", SHARD = "1/1" } = process.env;
const { $schema, description, ...preset } = require("./preset.json");
const plan = JSON.parse(readFileSync(PLAN, "utf8"));
// "2/4" is the second of four jobs that share the projects.
const [shard, shards] = SHARD.split("/").map(Number);

// What a project has in its own renovate.json counts less: a group of it would mix a release with other updates.
const [{ description: _, matchDepNames, matchFileNames, ...update }] = preset.packageRules;
// Its components move with the files alone, also where renovate.json of a project does not say so.
const components = {
  matchManagers: ["gitlabci"],
  matchDepNames: [plan.template.replace(`${CI_SERVER_URL}/`, "").replace(/\.git$/, "")],
  force: { enabled: false },
};
// These run a program that the project brings, beside the token.
const programs = { matchManagers: ["hermit", "maven-wrapper"], force: { enabled: false } };

function repository(project) {
  // Renovate merges in a later run, if the pipeline has passed then. GitLab, told to merge when it passes, would merge files
  // with conflicts where a project does not ask for a pipeline.
  const merge = { automerge: project.automerge, automergeType: "pr", ignoreTests: false, platformAutomerge: false };
  const force = { ...update, ...merge };
  if (project.version === null) {
    force.enabled = false;
  } else {
    force.allowedVersions = `<=${project.version.replace(/^v/, "")}`;
  }
  // The link of a project may go there by SSH, or have the name of a user.
  const release = { matchDepNames, matchFileNames, overridePackageName: plan.template, force };
  return { repository: project.path, packageRules: [release, components, programs] };
}

module.exports = {
  platform: "gitlab",
  endpoint: `${CI_SERVER_URL}/api/v4/`,
  token: GITLAB_TOKEN,
  // git too: by itself Renovate gives it the token for the standard port only.
  hostRules: [{ hostType: "gitlab", matchHost: CI_SERVER_URL, token: GITLAB_TOKEN }],
  ...preset,
  repositories: plan.projects.filter((_, index) => index % shards === shard - 1).map(repository),
  allowedCommands: ["^py-ci-fleet update --to v?[0-9]+\\.[0-9]+\\.[0-9]+$"],
  // Of no other template does code run here, whatever a project names.
  customEnvVariables: { PY_CI_TEMPLATE: plan.template },
  // A program that Renovate installed would run code of a project beside the token.
  binarySource: "global",
  onboarding: false,
  requireConfig: "optional",
  reportType: "file",
  reportPath: `report-${shard}.json`,
};
