// A chart that is drawn anew from points: lines, bars or dots, with axes and a value under the pointer.
"use strict";
import { cut, drawn, element, moment, short } from "./words.js";

const COLOURS = 8;
let charts = 0;

/** The ends of an axis and where it is marked. */
function marks(low, high, count) {
  if (low === high) [low, high] = low === 0 ? [0, 1] : [Math.min(0, low), Math.max(0, high)];
  const step = niceStep((high - low) / count);
  const found = [];
  for (let at = Math.ceil(low / step - 1e-9) * step; at <= high + step * 1e-9; at += step) found.push(Math.abs(at) < step * 1e-9 ? 0 : at);
  return found;
}

function niceStep(rough) {
  const power = 10 ** Math.floor(Math.log10(rough));
  const part = rough / power;
  return (part <= 1 ? 1 : part <= 2 ? 2 : part <= 5 ? 5 : 10) * power;
}

const TIME_STEPS = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1e3, 2e3, 5e3, 1e4, 15e3, 3e4, 6e4, 12e4, 3e5, 6e5, 9e5, 18e5, 36e5, 72e5, 108e5, 216e5, 432e5, 864e5, 1728e5, 6048e5];

function timeMarks(low, high, count) {
  const rough = (high - low) / count;
  const step = TIME_STEPS.find((step) => step >= rough) ?? niceStep(rough / 864e5) * 864e5;
  const found = [];
  for (let at = Math.ceil(low / step) * step; at <= high && found.length < 50; at += step) found.push(at);
  return [found, step];
}

function timeMark(ms, step) {
  const text = moment(ms);
  if (step >= 864e5) return text.slice(0, 10);
  return step >= 6e4 ? text.slice(11, 16) : step >= 1000 ? text.slice(11, 19) : text.slice(14, 23);
}

/**
 * Draws into `place`. `series`: [{ name, points: [[x, y], …] }], x ascending; `across`: "time", "number" or an array of names;
 * `says`: how a value of y is written; `top`: the highest y there is to be, at least.
 */
export function chart(place, { series, across = "time", shape = "line", height = 130, says = short, top, keys = true }) {
  const width = Math.max(240, place.clientWidth || 320);
  const [left, right, over, under] = [48, 10, 8, 20];
  const points = series.flatMap((one) => one.points).filter(([, y]) => y !== null && Number.isFinite(y));
  const xs = points.map(([x]) => x), ys = points.map(([, y]) => y);
  const extent = (values) => values.reduce(([low, high], v) => [Math.min(low, v), Math.max(high, v)], [Infinity, -Infinity]);
  let [x0, x1] = xs.length ? extent(xs) : [0, 1];
  let [y0, y1] = ys.length ? extent(ys) : [0, 1];
  if (shape !== "dot" || y0 > 0 && y0 < y1 / 3) y0 = Math.min(0, y0);
  if (top !== undefined) y1 = Math.max(y1, top);
  if (y0 === y1) y1 = y0 + 1;
  y1 += (y1 - y0) * 0.05;
  if (x0 === x1) [x0, x1] = [x0 - 1, x1 + 1];
  const inset = shape === "bar" ? (width - left - right) / (2 * Math.max(2, new Set(xs).size)) : 2;
  const px = (x) => left + inset + ((x - x0) / (x1 - x0)) * (width - left - right - 2 * inset);
  const py = (y) => over + (1 - (y - y0) / (y1 - y0)) * (height - over - under);
  const svg = drawn("svg", { class: "plot", viewBox: `0 0 ${width} ${height}`, height, role: "img" });
  for (const y of marks(y0, y1, height > 200 ? 5 : 3)) {
    svg.append(drawn("line", { class: "grid", x1: left, x2: width - right, y1: py(y), y2: py(y) }),
      drawn("text", { class: "tick", x: left - 6, y: py(y) + 4, "text-anchor": "end" }, says(y)));
  }
  acrossMarks(svg, across, x0, x1, px, width, height, xs.length);
  series.forEach((one, n) => draw(svg, one, n, shape, px, py, series.length, inset, y0));
  const chartPlace = element("div", { class: "chart" }, svg);
  place.replaceChildren(chartPlace);
  if (keys && series.length > 1) {
    const named = series.map((one, n) => element("span", {}, element("i", { class: `key k${n % COLOURS}` }), cut(one.name, 32)));
    place.append(element("div", { class: "keys" }, ...named));
  }
  svg.setAttribute("aria-label", `${series.map((one) => one.name).join(", ")}: ${points.length} points, ${says(y0)} to ${says(y1)}`);
  hover(chartPlace, svg, series, across, px, width, height, left, right, says);
}

function acrossMarks(svg, across, x0, x1, px, width, height, count) {
  if (!count) return;
  const room = Math.max(2, Math.floor(width / 110));
  const mark = (x, text) => svg.append(drawn("text", { class: "tick", x: px(x), y: height - 4, "text-anchor": "middle" }, text));
  if (Array.isArray(across)) {
    const every = Math.ceil(across.length / room);
    across.forEach((name, n) => { if (n % every === 0) mark(n, cut(name, 14)); });
  } else if (across === "time") {
    const [found, step] = timeMarks(x0, x1, room);
    for (const x of found) if (px(x) > 60 && px(x) < width - 20) mark(x, timeMark(x, step));
  } else {
    for (const x of marks(x0, x1, room)) mark(x, short(x));
  }
}

function draw(svg, one, place, shape, px, py, count, inset, y0) {
  const colour = place % COLOURS;
  const there = one.points.filter(([, y]) => y !== null && Number.isFinite(y));
  if (shape === "bar") {
    const wide = Math.max(1, (inset * 2 * 0.82) / count);
    for (const [x, y] of there) {
      const from = px(x) - (wide * count) / 2 + wide * place;
      svg.append(drawn("rect", { class: `f${colour}`, x: from, width: wide, y: Math.min(py(y), py(0)), height: Math.max(0.5, Math.abs(py(0) - py(y))), rx: Math.min(2, wide / 3) }));
    }
  } else if (shape === "dot" || there.length === 1) {
    for (const [x, y] of there) svg.append(drawn("circle", { class: `f${colour}`, cx: px(x), cy: py(y), r: there.length > 300 ? 2 : 3 }));
  } else if (there.length) {
    const line = there.map(([x, y], n) => `${n ? "L" : "M"}${px(x).toFixed(1)} ${py(y).toFixed(1)}`).join("");
    if (count <= 2) {
      const base = py(Math.max(0, y0));
      svg.append(drawn("path", { class: `area f${colour}`, d: `${line}L${px(there.at(-1)[0]).toFixed(1)} ${base}L${px(there[0][0]).toFixed(1)} ${base}Z` }));
    }
    svg.append(drawn("path", { class: `series s${colour}`, d: line }));
  }
}

/** Where the pointer is, by chart: a chart that is drawn anew under it keeps telling. */
const pointers = new WeakMap();

function hover(place, svg, series, across, px, width, height, left, right, says) {
  const cross = drawn("line", { class: "cross", y1: 0, y2: height - 18, visibility: "hidden" });
  const tip = element("div", { class: "tip", id: `tip${++charts}`, hidden: "" });
  svg.append(cross);
  place.append(tip);
  const all = [...new Set(series.flatMap((one) => one.points.map(([x]) => x)))].sort((a, b) => a - b);
  const show = (clientX) => {
    const box = svg.getBoundingClientRect();
    const at = ((clientX - box.left) / box.width) * width;
    if (!all.length || at < left - 8 || at > width - right + 8) return hide();
    const x = all.reduce((best, one) => (Math.abs(px(one) - at) < Math.abs(px(best) - at) ? one : best), all[0]);
    const head = Array.isArray(across) ? across[x] : across === "time" ? moment(x) : short(x);
    tip.replaceChildren(element("div", { class: "muted" }, String(head)));
    series.forEach((one, n) => {
      const found = one.points.find(([other]) => other === x);
      if (found && found[1] !== null) tip.append(element("div", {}, element("i", { class: `key k${n % COLOURS}` }), `${cut(one.name, 24)} ${says(found[1])}`));
    });
    cross.setAttribute("x1", px(x));
    cross.setAttribute("x2", px(x));
    cross.setAttribute("visibility", "visible");
    tip.hidden = false;
    const share = px(x) / width;
    tip.style.top = "4px";
    tip.style.left = share < 0.6 ? `calc(${share * 100}% + 10px)` : "";
    tip.style.right = share < 0.6 ? "" : `calc(${(1 - share) * 100}% + 10px)`;
  };
  const hide = () => { tip.hidden = true; cross.setAttribute("visibility", "hidden"); };
  place.addEventListener("pointermove", (event) => { pointers.set(place.parentNode, event.clientX); show(event.clientX); });
  place.addEventListener("pointerleave", () => { pointers.delete(place.parentNode); hide(); });
  const before = pointers.get(place.parentNode);
  if (before !== undefined) show(before);
}

/** A line without axes, as the points of a polyline. */
export function spark(values, width, height) {
  const high = Math.max(1e-9, ...values);
  const step = width / Math.max(1, values.length - 1);
  return values.map((value, n) => `${(n * step).toFixed(1)},${(height - (value / high) * height).toFixed(1)}`).join(" ");
}
