// The graph: what is read, which pipelines read it, and where their rows go.
"use strict";
import { spark } from "./chart.js";
import { cut, drawn, say, short } from "./words.js";

const PIPELINE = { width: 226, height: 84 };
const RELATION = { width: 164, height: 46 };
const GAP = { across: 96, down: 20 };

/** Nodes and edges of a status. A materialized view is one node: its pipeline. */
function topology(status) {
  const nodes = new Map();
  const relation = (name, pipeline) => {
    const known = status.relations.find((one) => one.name === name);
    // What is no relation is a sink of that pipeline alone.
    const id = !known ? "s:" + pipeline : status.pipelines.some((p) => p.name === name && p.writes_into === name) ? "p:" + name : "r:" + name;
    if (!nodes.has(id)) {
      nodes.set(id, { id, name, kind: known ? known.kind : "sink", connector: known?.connector });
    }
    return id;
  };
  const edges = [];
  for (const p of status.pipelines) nodes.set("p:" + p.name, { id: "p:" + p.name, name: p.name, kind: "pipeline" });
  for (const p of status.pipelines) {
    const own = "p:" + p.name;
    p.sources.forEach((source, n) => {
      if (p.sources.findIndex((one) => one.name === source.name) === n) edges.push({ from: relation(source.name, p.name), to: own, pipeline: p.name, source: source.name });
    });
    if (p.writes_into && p.writes_into !== p.name) edges.push({ from: own, to: relation(p.writes_into, p.name), pipeline: p.name });
  }
  return { nodes: [...nodes.values()], edges };
}

/** A column for every node, left of all that it feeds, and a place in it near what feeds it. */
function lay({ nodes, edges }) {
  const by = new Map(nodes.map((node) => [node.id, Object.assign(node, { rank: 0 }, node.kind === "pipeline" ? PIPELINE : RELATION)]));
  for (let turn = 0; turn < nodes.length; turn++) {
    let moved = false;
    for (const { from, to } of edges) {
      // A loop would push its nodes on for ever.
      if (by.get(to).rank <= by.get(from).rank && by.get(from).rank < nodes.length) { by.get(to).rank = by.get(from).rank + 1; moved = true; }
    }
    if (!moved) break;
  }
  const ranks = [];
  for (const node of nodes) (ranks[node.rank] ??= []).push(node);
  const columns = ranks.filter(Boolean);
  let x = 2, height = 0;
  columns.forEach((column) => {
    const middle = (node) => {
      const parents = edges.filter(({ to }) => to === node.id).map(({ from }) => by.get(from)).filter((from) => from.y !== undefined);
      return parents.length ? parents.reduce((sum, one) => sum + one.y + one.height / 2, 0) / parents.length : Infinity;
    };
    column.sort((a, b) => middle(a) - middle(b) || a.name.localeCompare(b.name));
    let y = 2;
    for (const node of column) { node.x = x; node.y = y; y += node.height + GAP.down; }
    x += Math.max(...column.map((node) => node.width)) + GAP.across;
    height = Math.max(height, y - GAP.down);
  });
  for (const column of columns) {
    const last = column.at(-1);
    const shift = (height - (last.y + last.height - 2)) / 2;
    for (const node of column) node.y += shift;
  }
  return { by, width: x - GAP.across + 2, height: height + 4 };
}

let shown = { key: "", parts: new Map(), edges: [] };

/** Draws the graph, or what has changed in it. */
export function graph(place, status, courses, chosen, choose) {
  const plan = topology(status);
  const key = JSON.stringify([plan.nodes.map((n) => [n.id, n.kind, n.connector]), plan.edges.map((e) => [e.from, e.to])]);
  if (key !== shown.key) shown = draw(place, plan, key, choose);
  for (const p of status.pipelines) tell(shown.parts.get("p:" + p.name), p, courses.get(p.name) ?? [], p.name === chosen);
  for (const one of status.relations) {
    const part = shown.parts.get("r:" + one.name);
    if (part) say(part.line, one.rows === null ? one.connector ?? one.kind : `${short(one.rows)} rows`);
  }
  for (const edge of shown.edges) flow(edge, status, courses);
}

function draw(place, plan, key, choose) {
  const { by, width, height } = lay(plan);
  const svg = drawn("svg", { width, height, viewBox: `0 0 ${width} ${height}`, role: "group", "aria-label": "Pipelines and what they read and write" });
  const parts = new Map();
  const edges = plan.edges.map((edge) => {
    const [a, b] = [by.get(edge.from), by.get(edge.to)];
    const [x1, y1, x2, y2] = [a.x + a.width, a.y + a.height / 2, b.x, b.y + b.height / 2];
    const bend = Math.max(30, Math.abs(x2 - x1) / 2);
    const path = drawn("path", { class: "edge", d: `M${x1} ${y1}C${x1 + bend} ${y1} ${x2 - bend} ${y2} ${x2} ${y2}` });
    const rate = drawn("text", { class: "rate", x: (x1 + x2) / 2, y: (y1 + y2) / 2 - 6, "text-anchor": "middle" });
    svg.append(path);
    return { ...edge, path, rate };
  });
  for (const node of by.values()) {
    const part = node.kind === "pipeline" ? pipelineNode(node, choose) : relationNode(node);
    parts.set(node.id, part);
    svg.append(part.group);
  }
  svg.append(...edges.map((edge) => edge.rate));
  place.replaceChildren(svg);
  return { key, parts, edges };
}

function relationNode(node) {
  const line = drawn("text", { class: "line", x: 12, y: 35 }, node.connector ?? node.kind);
  const group = drawn("g", { class: "node relation", transform: `translate(${node.x} ${node.y})` },
    drawn("title", {}, `${node.kind} ${node.name}`),
    drawn("rect", { class: "box", width: node.width, height: node.height, rx: node.kind === "stream" ? 23 : 9 }),
    drawn("text", { class: "title", x: 12, y: 19 }, cut(node.name, 20)), line);
  return { group, line };
}

function pipelineNode(node, choose) {
  const wide = node.width - 24;
  const part = {
    title: drawn("title"), state: drawn("circle", { class: "state", cx: 16, cy: 18, r: 4.5 }), line: drawn("text", { class: "line", x: 12, y: 41 }),
    lag: drawn("text", { class: "line", x: 12, y: 58 }), spark: drawn("polyline", { class: "spark", transform: `translate(${node.width - 82} 34)` }),
    loads: ["busy", "held", "idle"].map((name) => drawn("rect", { class: name, y: 70, height: 5 })), wide,
  };
  part.group = drawn("g", { class: "node pipeline", transform: `translate(${node.x} ${node.y})`, tabindex: 0, role: "button" },
    part.title, drawn("rect", { class: "box", width: node.width, height: node.height, rx: 10 }), part.state,
    drawn("text", { class: "title", x: 28, y: 22 }, cut(node.name, 26)), part.line, part.lag, part.spark, ...part.loads);
  const chosen = () => choose(node.name);
  part.group.addEventListener("click", chosen);
  part.group.addEventListener("keydown", (event) => { if (event.key === "Enter" || event.key === " ") { event.preventDefault(); chosen(); } });
  return part;
}

function tell(part, p, course, isChosen) {
  const last = course.at(-1);
  part.group.setAttribute("class", `node pipeline${isChosen ? " chosen" : ""}`);
  part.state.setAttribute("class", `state ${p.state}`);
  say(part.title, `pipeline ${p.name}: ${p.state}${p.error ? ": " + cut(p.error, 300) : ""}`);
  const runs = p.state === "running";
  say(part.line, runs && last ? `${short(last.rows_in)}/s in` : p.state);
  say(part.lag, runs && last ? `${short(last.rows_out)}/s out` : `${short(p.rows_out)} rows out`);
  part.spark.setAttribute("points", runs && course.length > 1 ? spark(course.slice(-60).map((one) => one.rows_in), 70, 28) : "");
  const busy = p.load.busy_percent, held = p.load.held_back_percent;
  const shares = runs ? [busy, held, Math.max(0, 100 - busy - held)] : [0, 0, 0];
  let x = 12;
  part.loads.forEach((bar, n) => {
    const wide = (shares[n] / 100) * part.wide;
    bar.setAttribute("x", x);
    bar.setAttribute("width", Math.max(0, wide));
    x += wide;
  });
}

function flow(edge, status, courses) {
  const p = status.pipelines.find((one) => one.name === edge.pipeline);
  const course = courses.get(edge.pipeline) ?? [];
  const last = course.at(-1);
  const runs = p?.state === "running";
  const rate = !runs || !last ? 0 : edge.source ? last.by_source?.[edge.source] ?? last.rows_in : last.rows_out;
  const held = runs ? p.load.held_back_percent : 0;
  edge.path.setAttribute("class", `edge${rate > 0 ? " flows" : ""}${held >= 75 ? " blocked" : held >= 25 ? " pressed" : ""}`);
  edge.path.setAttribute("stroke-width", (1.5 + Math.min(4, Math.log10(1 + rate) * 0.65)).toFixed(1));
  say(edge.rate, rate > 0 ? short(rate) + "/s" : "");
}
