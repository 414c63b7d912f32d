// Elements and words: everything that comes from the server goes into the page as text, never as markup.
"use strict";

export function element(name, attributes = {}, ...children) {
  return filled(document.createElement(name), attributes, children);
}

export function drawn(name, attributes = {}, ...children) {
  return filled(document.createElementNS("http://www.w3.org/2000/svg", name), attributes, children);
}

function filled(node, attributes, children) {
  for (const [key, value] of Object.entries(attributes)) if (value !== undefined && value !== null) node.setAttribute(key, value);
  for (const child of children) if (child !== undefined && child !== null) node.append(child);
  return node;
}

/** Puts text where it has changed: what is selected by hand stays selected. */
export function say(node, text) {
  text = String(text);
  if (node.textContent !== text) node.textContent = text;
}

const plain = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });

/** 1234567 as 1,234,567. */
export const whole = (n) => plain.format(n);

/** 1234567 as 1.23M. */
export function short(n) {
  if (!Number.isFinite(n)) return "–";
  const size = Math.abs(n);
  for (const [end, unit] of [[1e12, "T"], [1e9, "G"], [1e6, "M"], [1e3, "k"]]) if (size >= end) return digits(n / end) + unit;
  return size === 0 ? "0" : digits(n);
}

/** Three digits that count. */
function digits(n) {
  const size = Math.abs(n);
  if (size >= 100) return n.toFixed(0);
  if (size >= 10) return trimmed(n.toFixed(1));
  if (size >= 0.01) return trimmed(n.toFixed(2));
  return n.toPrecision(2);
}

const trimmed = (text) => (text.includes(".") ? text.replace(/\.?0+$/, "") : text);

export function bytes(n) {
  for (const unit of ["B", "kB", "MB", "GB"]) {
    if (n < 1000) return (unit === "B" ? Math.round(n) : digits(n)) + " " + unit;
    n /= 1000;
  }
  return digits(n) + " TB";
}

/** A stretch of time in milliseconds. */
export function stretch(ms) {
  if (ms === null || ms === undefined) return "–";
  if (ms < 0) return "−" + stretch(-ms);
  if (ms < 1000) return Math.round(ms) + " ms";
  if (ms < 60_000) return digits(ms / 1000) + " s";
  if (ms < 3_600_000) return Math.floor(ms / 60_000) + " min";
  if (ms < 86_400_000) return digits(ms / 3_600_000) + " h";
  if (ms < 400 * 86_400_000) return digits(ms / 86_400_000) + " days";
  return digits(ms / (365.25 * 86_400_000)) + " years";
}

/** A time of day and date in UTC, as the server's own clients see it. */
export function moment(ms) {
  if (ms === null || ms === undefined) return "–";
  const date = new Date(ms);
  return Number.isNaN(date.getTime()) ? "–" : date.toISOString().replace("T", " ").slice(0, ms % 1000 ? 23 : 19);
}

export function timeOfDay(ms) {
  return new Date(ms).toLocaleTimeString("en-GB");
}

/** At most so many characters. */
export function cut(text, length) {
  const points = Array.from(String(text));
  return points.length <= length ? points.join("") : points.slice(0, length - 1).join("") + "…";
}
