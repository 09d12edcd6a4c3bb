"use strict";
const rows = JSON.parse(document.getElementById("rows").textContent);
const PAGE = 100;
const find = (id) => document.getElementById(id);
const compare = (a, b) => (a < b ? -1 : a > b ? 1 : 0);

function make(tag, text = "", kind = "") {
  const made = document.createElement(tag);
  made.textContent = text;
  if (kind) made.className = kind;
  return made;
}

// Only what is an address of the web becomes a link.
function link(text, url) {
  if (!/^https?:\/\//.test(url ?? "")) return make("span", text);
  const made = make("a", text);
  made.href = url;
  return made;
}

const KINDS = { success: "good", failed: "bad" };
const shown = (status) => ({ success: "✓ passed", failed: "✕ failed" })[status] ?? status;

function request(row) {
  const found = row.request;
  if (!found) return [];
  const state = found.state === "opened" && (found.conflicts || found.draft) ? "conflict or draft" : found.state;
  const made = [link(`!${found.iid}`, found.url), make("span", ` ${found.version ?? ""} ${state}`)];
  if (found.state === "opened" && found.pipeline) made.push(make("span", ` ${shown(found.pipeline.status)}`, KINDS[found.pipeline.status]));
  return made;
}

const pipeline = ({ pipeline: found }) => {
  if (!found) return [];
  const made = link(shown(found.status), found.url);
  made.className = KINDS[found.status] ?? "";
  return [made];
};

const VERIFIED = { yes: ["✓ verified", "good"], no: ["✕ not verified", "bad"], unknown: ["not checked", "muted"] };

function release(row) {
  const found = row.release;
  if (!found) return [];
  const made = make("span", ` ${(VERIFIED[found.verified] ?? VERIFIED.unknown)[0]}`, (VERIFIED[found.verified] ?? VERIFIED.unknown)[1]);
  made.title = found.why ?? "";
  return [link(found.tag, found.url), made];
}

function changes(row) {
  const count = row.changed.length + row.removed.length;
  if (row.of < 0) return row.uncompared ? [make("span", row.uncompared, "muted")] : [];
  return [make("span", count ? `${count} of ${row.of}` : "none")];
}

function details(row) {
  const made = make("details");
  made.append(make("summary", "Answers"));
  const list = make("dl");
  const entries = Object.entries(row.answers).map(([name, value]) => [name, String(value)]);
  if (row.changed.length) entries.push(["changed", row.changed.join(", ")]);
  if (row.removed.length) entries.push(["removed", row.removed.join(", ")]);
  if (row.release?.why) entries.push(["signature", row.release.why]);
  for (const [name, value] of entries) list.append(make("dt", name), make("dd", value));
  made.append(list);
  return made;
}

// Name, what it is sorted by, what is shown.
const COLUMNS = [
  ["Project", (row) => row.path, (row) => (row.state === "ok" ? [link(row.path, row.url), details(row)] : [link(row.path, row.url)])],
  ["Version", (row) => row.order.map((part) => String(part).padStart(9, "0")).join("."), (row) => [make("span", row.version || (row.state === "ok" ? "unknown" : row.state))]],
  ["Behind", (row) => row.behind, (row) => (row.behind < 0 ? [] : [make("span", String(row.behind))])],
  ["Wave", (row) => row.wave, (row) => [make("span", row.wave)]],
  ["May get", (row) => row.target, (row) => (row.target ? [make("span", row.target)] : [])],
  ["Merge request", (row) => (row.request ? `${row.request.state} ${row.request.created_at}` : ""), request],
  ["Pipeline", (row) => row.pipeline?.status ?? "", pipeline],
  ["Last release", (row) => (row.release ? `${row.release.verified} ${row.release.at}` : ""), release],
  ["Local changes", (row) => (row.of < 0 ? -1 : row.changed.length + row.removed.length), changes],
  ["Stuck, and why", (row) => row.stuck.join("; "), (row) => (row.stuck.length ? [make("span", row.stuck.join("; "))] : [])],
];
const SHOWN = {
  "": () => true,
  ok: (row) => row.state === "ok",
  blocked: (row) => row.blocked,
  behind: (row) => row.behind > 0,
  changed: (row) => row.changed.length + row.removed.length > 0,
  unreadable: (row) => ["forbidden", "broken", "empty", "archived"].includes(row.state),
};
for (const row of rows) {
  row.text = [row.path, row.version, row.wave, row.state, ...row.stuck, ...Object.values(row.answers)].join("\n").toLowerCase();
}

let sorted = 0;
let direction = 1;
let chosen = [];
let drawn = 0;

function draw() {
  const part = document.createDocumentFragment();
  for (const row of chosen.slice(drawn, drawn + PAGE)) {
    const line = make("tr");
    COLUMNS.forEach(([name, , content], index) => {
      const cell = make(index ? "td" : "th", "", index === COLUMNS.length - 1 ? "why" : "");
      if (index) cell.dataset.name = name;
      else cell.scope = "row";
      cell.append(...content(row));
      line.append(cell);
    });
    part.append(line);
  }
  find("body").append(part);
  drawn = Math.min(drawn + PAGE, chosen.length);
  find("more").hidden = drawn >= chosen.length;
  find("count").textContent = `${chosen.length} of ${rows.length} projects${drawn < chosen.length ? `, the first ${drawn} are shown` : ""}`;
}

function choose() {
  const words = find("search").value.toLowerCase().split(/\s+/).filter(Boolean);
  const wanted = SHOWN[find("show").value];
  const wave = find("wave").value;
  const version = find("version").value;
  const key = COLUMNS[sorted][1];
  chosen = rows.filter(
    (row) => wanted(row) && (!wave || row.wave === wave) && (!version || row.version === version) && words.every((word) => row.text.includes(word)),
  );
  chosen.sort((a, b) => direction * compare(key(a), key(b)) || compare(a.path, b.path));
  [...find("head").children].forEach((cell, index) => {
    cell.setAttribute("aria-sort", index === sorted ? (direction > 0 ? "ascending" : "descending") : "none");
  });
  find("body").replaceChildren();
  drawn = 0;
  draw();
}

COLUMNS.forEach(([name], index) => {
  const cell = make("th");
  cell.scope = "col";
  const button = make("button", name);
  button.type = "button";
  button.addEventListener("click", () => {
    direction = sorted === index ? -direction : 1;
    sorted = index;
    choose();
  });
  cell.append(button);
  find("head").append(cell);
});
const byOrder = new Map(rows.filter((row) => row.version).map((row) => [row.version, COLUMNS[1][1](row)]));
for (const [version] of [...byOrder].sort((a, b) => compare(b[1], a[1]))) find("version").append(make("option", version));
find("filters").addEventListener("input", choose);
find("filters").addEventListener("submit", (event) => event.preventDefault());
find("more").addEventListener("click", draw);
choose();
