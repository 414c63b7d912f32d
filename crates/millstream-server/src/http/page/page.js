// The page: asks the server once a second and shows what it says.
"use strict";
import { chart } from "./chart.js";
import { graph } from "./graph.js";
import { bytes, cut, element, moment, say, short, stretch, timeOfDay, whole } from "./words.js";
import * as view from "./view.js";

const SAMPLES_MAX = 300;
const ERRORS_SHOWN = 30;
const at = (id) => document.getElementById(id);
const courses = new Map();      // pipeline → what it did, one look a second
const checkpoints = new Map();  // pipeline → its last checkpoints
let before = null;
let chosen = null;
let status = null;

// --- colours ---
const THEMES = [["system", "◐"], ["light", "☀"], ["dark", "☾"]];
const systemIsDark = matchMedia("(prefers-color-scheme: dark)");
let theme = localStorage.getItem("theme") ?? "system";
function colour() {
  const [name, sign] = THEMES.find(([name]) => name === theme) ?? THEMES[0];
  document.documentElement.dataset.theme = name === "system" ? (systemIsDark.matches ? "dark" : "light") : name;
  at("theme").textContent = sign;
  at("theme").title = name === "system" ? "Colours: as the system" : `Colours: ${name}`;
  at("theme").setAttribute("aria-label", at("theme").title);
}
at("theme").addEventListener("click", () => {
  theme = THEMES[(THEMES.findIndex(([name]) => name === theme) + 1) % THEMES.length][0];
  localStorage.setItem("theme", theme);
  colour();
});
systemIsDark.addEventListener("change", colour);
colour();

// --- what the server says ---
async function history() {
  const answer = await fetch("history.json");
  if (!answer.ok) return;
  for (const [name, course] of Object.entries(await answer.json())) {
    courses.set(name, course.samples);
    checkpoints.set(name, course.checkpoints);
  }
}

/** Rates since the last look, of counters that begin anew when a pipeline does. */
function look() {
  const seconds = before ? (status.now_ms - before.now_ms) / 1000 : 0;
  const rate = (now, then) => (seconds > 0 && now >= then ? (now - then) / seconds : 0);
  for (const p of status.pipelines) {
    const then = before?.pipelines.find((one) => one.name === p.name);
    const course = courses.get(p.name) ?? [];
    courses.set(p.name, course);
    if (then && seconds > 0) {
      const by_source = {};
      p.sources.forEach((source, n) => { by_source[source.name] = (by_source[source.name] ?? 0) + rate(source.rows, then.sources[n]?.rows ?? 0); });
      course.push({ at_ms: status.now_ms, rows_in: rate(p.rows_in, then.rows_in), rows_out: rate(p.rows_out, then.rows_out), by_source,
        busy: p.load.busy_percent, held_back: p.load.held_back_percent, lag_ms: p.lag_ms, state_bytes: p.state_bytes });
      if (course.length > SAMPLES_MAX) course.shift();
    }
    const known = checkpoints.get(p.name) ?? [];
    checkpoints.set(p.name, known);
    if (p.checkpoint && known.at(-1)?.number !== p.checkpoint.number) known.push(p.checkpoint);
    if (known.length > 40) known.shift();
  }
  for (const name of courses.keys()) if (!status.pipelines.some((p) => p.name === name)) { courses.delete(name); checkpoints.delete(name); }
}

// --- parts of the page ---
function tiles() {
  const running = status.pipelines.filter((p) => p.state === "running");
  const failed = status.pipelines.filter((p) => p.state === "failed");
  const last = (p, what) => courses.get(p.name)?.at(-1)?.[what] ?? 0;
  const sum = (of) => running.reduce((total, p) => total + of(p), 0);
  const lags = running.map((p) => p.lag_ms).filter((lag) => lag !== null);
  const statements = before && status.now_ms > before.now_ms ? ((status.statements - before.statements) * 1000) / (status.now_ms - before.now_ms) : 0;
  const all = [
    ["Rows in", short(sum((p) => last(p, "rows_in"))) + "/s", whole(sum((p) => p.rows_in)) + " in all"],
    ["Rows out", short(sum((p) => last(p, "rows_out"))) + "/s", whole(sum((p) => p.rows_out)) + " in all"],
    failed.length ? ["Pipelines", `${failed.length} failed`, `${running.length} running`, true]
      : ["Pipelines", `${running.length} running`, `${status.pipelines.length - running.length} ended or paused`, false],
    ["Behind the clock", lags.length ? stretch(Math.max(...lags)) : "–", "the slowest watermark"],
    ["State", bytes(sum((p) => p.state_bytes)), bytes(sum((p) => p.stored_bytes)) + " on disk only"],
    ["Clients", `${status.connections}`, `${short(statements)} statements/s, ${status.subscriptions} follow`],
  ];
  const place = at("tiles");
  while (place.children.length < all.length) place.append(element("div", { class: "tile" }, element("div", { class: "name" }), element("div", { class: "figure" }), element("div", { class: "note" })));
  all.forEach(([name, figure, note, isBad], n) => {
    const tile = place.children[n];
    tile.className = isBad ? "tile bad" : "tile";
    [name, figure, note].forEach((text, m) => say(tile.children[m], text));
    tile.children[2].title = note;
  });
}

function pill() {
  const failed = status.pipelines.filter((p) => p.state === "failed");
  const starting = status.pipelines.filter((p) => p.state === "starting");
  at("pill").className = "pill " + (failed.length ? "bad" : starting.length ? "" : "good");
  say(at("pill"), failed.length ? `failed: ${failed.map((p) => p.name).join(", ")}` : starting.length ? "starting" : "ready");
  say(at("version"), `${status.version} · up ${stretch(status.uptime_ms)}`);
}

function choose(name) {
  chosen = name;
  render();
}

function detail() {
  const p = status.pipelines.find((one) => one.name === chosen) ?? status.pipelines.find((one) => one.state === "failed") ?? status.pipelines[0];
  const place = at("detail");
  place.hidden = !p;
  if (!p) return;
  chosen = p.name;
  if (place.dataset.of !== p.name) {
    place.dataset.of = p.name;
    place.replaceChildren(element("div", { class: "head" }, element("h2", {}, p.name), element("span", { class: "badge" }), element("span", { class: "muted small" })),
      element("pre", { class: "failure", hidden: "" }), element("div", { class: "charts" }), element("div", { class: "parts" }));
  }
  const [head, failure, charts, parts] = place.children;
  head.children[1].className = "badge " + ({ running: "good", failed: "bad", starting: "warn" }[p.state] ?? "");
  say(head.children[1], p.state);
  say(head.children[2], `${p.sources.map((source) => source.name).join(", ") || "…"} → ${p.writes_into ?? "reader"}`);
  failure.hidden = !p.error;
  say(failure, p.error ?? "");
  const course = courses.get(p.name) ?? [];
  const of = (what) => course.map((one) => [one.at_ms, one[what]]);
  const drawn = [
    ["Rows a second", { series: [{ name: "in", points: of("rows_in") }, { name: "out", points: of("rows_out") }] }],
    ["Share of its time", { series: [{ name: "at work", points: of("busy") }, { name: "held back", points: of("held_back") }], says: (v) => short(v) + "%", top: 100 }],
    ["Behind the clock", { series: [{ name: "behind", points: of("lag_ms") }], says: stretch }],
    ["State in memory", { series: [{ name: "state", points: of("state_bytes") }], says: bytes }],
  ];
  while (charts.children.length < drawn.length) charts.append(element("div", {}, element("h3", {}), element("div", {})));
  drawn.forEach(([name, what], n) => {
    say(charts.children[n].children[0], name);
    const place = charts.children[n].children[1];
    if (what.series.every((one) => one.points.every(([, y]) => y === null))) place.replaceChildren(element("p", { class: "empty small" }, n === 2 ? "It has no watermark." : "…"));
    else chart(place, what);
  });
  parts.replaceChildren(facts(p), sources(p), checkpointsOf(p));
}

function facts(p) {
  const all = [
    ["rows in", whole(p.rows_in)], ["rows out", whole(p.rows_out)], ["bytes in", bytes(p.bytes_in)], ["late rows", whole(p.late_rows)],
    ["bad rows", whole(p.rejected_rows)], ["without a time", whole(p.untimed_rows)], ["open windows", whole(p.open_windows)],
    ["state", `${bytes(p.state_bytes)} in memory, ${bytes(p.stored_bytes)} on disk only`], ["watermark", moment(p.watermark_ms)], ["restarts", whole(p.restarts)],
  ];
  if (p.last_rejected) all.push(["last bad row", cut(p.last_rejected, 300)]);
  return element("div", {}, element("h3", {}, "Figures"), element("dl", {}, ...all.flatMap(([name, value]) => [element("dt", {}, name), element("dd", {}, value)])));
}

function sources(p) {
  const row = (source) => element("tr", {}, element("td", {}, source.name), element("td", { class: "number" }, whole(source.rows)),
    element("td", { class: "number" }, whole(source.rejected_rows)), element("td", {}, moment(source.watermark_ms)),
    element("td", {}, source.is_finished ? "ended" : source.is_idle ? "idle" : `${source.lanes} lane${source.lanes === 1 ? "" : "s"}`));
  return element("div", {}, element("h3", {}, "Sources"), element("div", { class: "scroll" }, table(["source", "#rows", "#bad", "watermark", ""], p.sources.map(row))));
}

function checkpointsOf(p) {
  const all = checkpoints.get(p.name) ?? [];
  const last = all.at(-1);
  const place = element("div", {}, element("h3", {}, "Checkpoints"));
  if (!last) {
    place.append(element("p", { class: "empty" }, "None since the server started: without a data folder there are none."));
    return place;
  }
  const age = status.now_ms - last.created_ms;
  place.append(element("p", { class: "small muted" }, `${last.number}, ${stretch(age)} ago (${last.reason}): ${stretch(last.duration_ms)}, ${bytes(last.bytes_new)} written of ${bytes(last.bytes_total)}, ` +
    `stream stood still ${stretch(last.stall_us / 1000)}`));
  const bars = element("div", {});
  place.append(bars);
  queueMicrotask(() => bars.isConnected && chart(bars, { series: [{ name: "took", points: all.map((one, n) => [n, one.duration_ms]) }], across: all.map((one) => String(one.number)), shape: "bar", says: stretch, height: 110 }));
  return place;
}

function table(heads, rows) {
  const head = heads.map((name) => element("th", { class: name.startsWith("#") ? "number" : "" }, name.replace("#", "")));
  return element("table", {}, element("thead", {}, element("tr", {}, ...head)), element("tbody", {}, ...rows));
}

function errors() {
  const all = status.errors.map((one) => ({ at: one.at_ms, badge: one.sqlstate, kind: "", where: one.user, text: one.message }));
  for (const p of status.pipelines) for (const one of p.failures) {
    all.push({ at: one.at_ms, badge: one.restarted ? "restarted" : "failed", kind: one.restarted ? "warn" : "bad", where: p.name, text: one.message });
  }
  for (const p of status.pipelines) if (p.error && !p.failures.length) all.push({ at: status.now_ms - status.uptime_ms, badge: "failed", kind: "bad", where: p.name, text: p.error });
  all.sort((a, b) => b.at - a.at);
  const key = JSON.stringify(all.slice(0, ERRORS_SHOWN));
  if (at("errors").dataset.key === key) return;
  at("errors").dataset.key = key;
  at("errors-empty").hidden = all.length > 0;
  at("errors").replaceChildren(...all.slice(0, ERRORS_SHOWN).map((one) => element("li", {},
    element("time", { class: "when", title: moment(one.at) }, timeOfDay(one.at)), element("span", { class: `badge ${one.kind}` }, one.badge),
    element("span", { class: "muted" }, one.where), element("div", {}, cut(one.text, 500)))));
}

function relations() {
  const row = (one) => element("tr", {}, element("td", {}, one.name), element("td", {}, one.kind), element("td", {}, one.connector ?? ""),
    element("td", { class: "number" }, whole(one.columns)), element("td", { class: "number" }, one.rows === null ? "" : whole(one.rows)));
  const rows = status.relations.length ? status.relations.map(row) : [element("tr", {}, element("td", { class: "muted" }, "none yet"))];
  at("relations").replaceChildren(...table(["name", "kind", "connector", "#columns", "#rows"], rows).children);
}

function render() {
  tiles();
  pill();
  at("flow-empty").hidden = status.pipelines.length > 0;
  at("flow").hidden = !status.pipelines.length;
  if (status.pipelines.length) {
    const first = status.pipelines.find((one) => one.name === chosen) ? chosen : null;
    graph(at("flow"), status, courses, first ?? chosen, choose);
  }
  detail();
  errors();
  relations();
  view.offer(status.relations);
}

async function ask() {
  try {
    const answer = await fetch("status.json");
    if (!answer.ok) throw new Error((await answer.text()).trim());
    status = await answer.json();
    look();
    render();
    before = status;
    await view.refresh();
  } catch (error) {
    at("pill").className = "pill bad";
    say(at("pill"), error instanceof TypeError ? "the server does not answer" : error.message);
  }
  setTimeout(ask, document.hidden ? 5000 : 1000);
}

await history().catch(() => {});
ask();
