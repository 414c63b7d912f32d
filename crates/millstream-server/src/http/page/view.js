// The newest rows of a table or materialized view, as a chart and a table.
"use strict";
import { chart } from "./chart.js";
import { element, moment, say, short, whole } from "./words.js";

const at = (id) => document.getElementById(id);
const NONE = "–";
const SERIES_MAX = 8;
const NEWEST = 8;
let data = null;
let wanted = null;

/** Keeps the list of what can be shown. */
export function offer(relations) {
  const kept = relations.filter((one) => one.rows !== null);
  kept.sort((a, b) => (a.kind === "materialized view" ? 0 : 1) - (b.kind === "materialized view" ? 0 : 1) || a.name.localeCompare(b.name));
  const select = at("view-name");
  const names = kept.map((one) => one.name);
  if (names.join("\n") !== [...select.options].map((option) => option.value).join("\n")) {
    const before = select.value || wanted || location.hash.slice(1);
    select.replaceChildren(...kept.map((one) => element("option", { value: one.name }, one.name)));
    if (names.includes(before)) select.value = before;
  }
  at("view-controls").hidden = !names.length;
  if (!names.length) {
    data = null;
    at("view-chart").replaceChildren(element("p", { class: "empty" }, "There is no materialized view and no table with rows yet."));
    at("view-rows").replaceChildren();
    say(at("view-note"), "");
  }
}

/** Asks for what is new and draws it. */
export async function refresh() {
  const name = at("view-name").value;
  if (!name) return;
  const limit = Number(at("view-limit").value);
  const goesOn = data && data.name === name && data.limit === limit;
  const from = goesOn ? `&from=${data.to}` : "";
  const answer = await fetch(`rows.json?name=${encodeURIComponent(name)}&limit=${limit}${from}`);
  if (!answer.ok) return say(at("view-note"), (await answer.text()).trim());
  const news = await answer.json();
  if (at("view-name").value !== name) return;
  const fits = goesOn && news.from === data.to && news.columns.length === data.columns.length;
  const rows = fits ? data.rows.concat(news.rows).slice(-limit) : news.rows;
  const isNew = !goesOn;
  const changed = isNew || !fits || news.rows.length > 0;
  data = { name, limit, columns: news.columns, rows, to: news.to };
  if (isNew) choices();
  if (changed) show();
}

/** What goes where, until somebody chooses otherwise. */
function choices() {
  const { columns, rows } = data;
  const names = columns.map((column, n) => [String(n), column.name]);
  const fill = (id, options) => at(id).replaceChildren(...options.map(([value, text]) => element("option", { value }, text)));
  fill("view-x", [["row", "rows as they came"], ...names]);
  fill("view-y", names.filter((_, n) => columns[n].kind === "number"));
  fill("view-by", [["", NONE], ...names]);
  const times = columns.findIndex((column) => column.kind === "time");
  const x = times >= 0 ? times : columns.findIndex((column) => column.kind === "text");
  at("view-x").value = x >= 0 ? String(x) : "row";
  const numbers = columns.map((column, n) => n).filter((n) => columns[n].kind === "number");
  const isKey = (n) => /(^|_)(id|key|auction|bidder|seller|category|channel)$/i.test(columns[n].name);
  const y = numbers.find((n) => !isKey(n)) ?? numbers.at(-1);
  at("view-y").value = y === undefined ? "" : String(y);
  const repeats = x >= 0 && new Set(rows.map((row) => row[x])).size < rows.length;
  const text = columns.findIndex((column, n) => column.kind === "text" && n !== x);
  const key = numbers.find((n) => n !== y && isKey(n));
  at("view-by").value = !repeats ? "" : text >= 0 ? String(text) : key !== undefined ? String(key) : "";
  at("view-shape").value = times >= 0 ? "line" : x >= 0 ? "bar" : "line";
}

/** Rows as series: one, or one for each value of the column they are told apart by. */
function series() {
  const { rows, columns } = data;
  const [x, y, by] = ["view-x", "view-y", "view-by"].map((id) => at(id).value);
  const kind = x === "row" ? "number" : columns[Number(x)].kind;
  const names = kind === "text" ? [...new Set(rows.map((row) => String(row[Number(x)] ?? "NULL")))].slice(-40) : null;
  const groups = new Map();
  rows.forEach((row, n) => {
    const across = x === "row" ? data.to - rows.length + n : names ? names.indexOf(String(row[Number(x)] ?? "NULL")) : row[Number(x)];
    if (across === null || across < 0 && names) return;
    const name = by === "" ? columns[Number(y)].name : String(row[Number(by)] ?? "NULL");
    if (!groups.has(name)) groups.set(name, { name, points: new Map(), sum: 0 });
    const group = groups.get(name);
    // The newest row of a place is the one that is shown.
    group.points.set(across, row[Number(y)]);
    group.sum += Math.abs(row[Number(y)] ?? 0);
  });
  const largest = [...groups.values()].sort((a, b) => b.sum - a.sum).slice(0, SERIES_MAX).sort((a, b) => a.name.localeCompare(b.name, "en", { numeric: true }));
  const found = largest.map((group) => ({ name: group.name, points: [...group.points].sort((a, b) => a[0] - b[0]) }));
  return { found, across: names ?? (kind === "time" ? "time" : "number"), groups: groups.size };
}

function show() {
  const { columns, rows, name } = data;
  const place = at("view-chart");
  if (!rows.length) place.replaceChildren(element("p", { class: "empty" }, "No rows yet."));
  else if (at("view-y").value === "") place.replaceChildren(element("p", { class: "empty" }, "It has no column of numbers to draw."));
  else {
    const { found, across, groups } = series();
    chart(place, { series: found, across, shape: at("view-shape").value, height: 270 });
    const more = groups > found.length ? `; the ${found.length} largest of ${whole(groups)} are drawn` : "";
    say(at("view-note"), `${name}: the last ${whole(rows.length)} of ${whole(data.to)} rows${more}`);
  }
  const head = element("tr", {}, ...columns.map((column) => element("th", { class: column.kind }, column.name)));
  const cell = (value, column) => element("td", { class: column.kind }, value === null ? "NULL" : column.kind === "time" ? moment(value) :
    column.kind === "number" ? (Number.isInteger(value) ? whole(value) : short(value)) : value);
  const body = rows.slice(-NEWEST).reverse().map((row) => element("tr", {}, ...row.map((value, n) => cell(value, columns[n]))));
  at("view-rows").replaceChildren(element("thead", {}, head), element("tbody", {}, ...body));
}

for (const id of ["view-x", "view-y", "view-by", "view-shape"]) at(id).addEventListener("change", () => data && show());
for (const id of ["view-name", "view-limit"]) at(id).addEventListener("change", () => { location.hash = at("view-name").value; refresh(); });
addEventListener("resize", () => data && show());
