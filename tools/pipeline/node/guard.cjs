// Loaded into gitlab-ci-local before it reads a pipeline. It pastes what a pipeline says into JavaScript and into commands
// of a shell; this takes only what has the form that it means to write.
"use strict";
const childProcess = require("node:child_process");
const { syncBuiltinESMExports } = require("node:module");

// Jobs have what the person has set.
const reading = process.env.PY_CI_GUARD === "reading";
process.env.NODE_OPTIONS = process.env.PY_CI_NODE_OPTIONS ?? "";
if (!process.env.NODE_OPTIONS) delete process.env.NODE_OPTIONS;
delete process.env.PY_CI_GUARD;
delete process.env.PY_CI_NODE_OPTIONS;

// A condition of `rules`, whose variables are texts: https://docs.gitlab.com/ci/jobs/job_rules/#cicd-variable-expressions
const text = String.raw`"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'`;
const match = String.raw`\.matchRE2JS\(RE2JS\.compile\((?:${text}), \d+\)\)`;
const condition = new RegExp(String.raw`^(?:\s|null\b|true\b|false\b|[=!]=|&&|\|\||[()]|${text}|${match})*$`);
const evaluate = globalThis.eval;
globalThis.eval = (code) => {
  if (!condition.test(code)) stop("a condition has something else than variables, texts and patterns", code);
  return evaluate(code);
};

// In a line of its own: gitlab-ci-local says something else of an error.
function stop(why, what) {
  const shown = String(what).replace(/[^\x20-\x7e]/g, "?").slice(0, 200);
  process.stderr.write(`\nThis pipeline is not read: ${why}: ${shown}\n`);
  throw new Error(why);
}

// How it lists the files of the repository, and fetches what a pipeline includes: each place takes one word, which is no option and leads nowhere above.
const word = String.raw`(?!-)[\w./:@+~%-]+`;
const fetching = new RegExp(
  `^(?:cd ${word}|git clone (?:--branch ${word} )?-n --depth=1 --filter=tree:0 ${word} ${word}` +
    `|git fetch --depth=1 --filter=tree:0 origin ${word}|git sparse-checkout set --no-cone ${word}(?: ${word})?` +
    `|git checkout(?: FETCH_HEAD)?|git ls-files (?:--deduplicate|-o --directory)|mkdir -p ${word}|cp (?:-r )?${word} ${word})$`,
);
function refuse(command, options) {
  if (!options?.shell) return;
  const odd = String(command).split(" && \\").find((part) => part.includes("..") || !fetching.test(part.trim()));
  if (odd !== undefined) stop("an include names something else than a project, a version and a file", odd);
}
if (reading) {
  for (const name of ["spawn", "spawnSync"]) {
    const start = childProcess[name];
    childProcess[name] = (command, ...more) => {
      refuse(command, Array.isArray(more[0]) ? more[1] : more[0]);
      return start(command, ...more);
    };
  }
  for (const name of ["exec", "execSync"])
    childProcess[name] = (command) => stop("it would run something", command);
  syncBuiltinESMExports();
}
