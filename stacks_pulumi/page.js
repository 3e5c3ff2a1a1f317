"use strict";
// Shows the number of each character that is invisible or changes the text direction.
const plain = text => text.replace(/[^\P{C}\n\t]|[\p{Zl}\p{Zp}]/gu, sign => "\\u{" + sign.codePointAt(0).toString(16) + "}");
// Text becomes only text nodes, so no part of a name is treated as markup.
const el = (tag, options = {}, ...children) => {
  const node = document.createElement(tag);
  if (options.class) node.className = options.class;
  for (const [name, value] of Object.entries(options)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name === "width") node.style.width = value;
    else if (name !== "class" && value !== undefined && value !== null && value !== false) node.setAttribute(name, value);
  }
  for (const child of children.flat(Infinity)) if (child !== null && child !== undefined) node.append(typeof child === "string" ? plain(child) : child);
  return node;
};
const at = id => document.getElementById(id);
const usd = value => "$" + (Number.isInteger(value) ? value : value.toFixed(2));
const clock = iso => iso.slice(11, 19);
const day = iso => iso.slice(0, 10) + " " + iso.slice(11, 16);
const plural = (count, one, many) => count + " " + (count === 1 ? one : many || one + "s");
const pill = (text, kind, title) => el("span", { class: "pill " + kind, title }, text);
const chips = list => list.length ? el("div", { class: "chips" }, list.map(text => el("span", { class: "chip" }, text))) : null;

// Changes a node into the wanted node. Equal parts stay untouched, so that selection, focus and scroll position remain.
function morph(old, wanted) {
  if (old.nodeName !== wanted.nodeName) { old.replaceWith(wanted); return; }
  if (old.nodeType === Node.TEXT_NODE) { if (old.data !== wanted.data) old.data = wanted.data; return; }
  for (const { name } of [...old.attributes]) if (!wanted.hasAttribute(name)) old.removeAttribute(name);
  // The page's security policy forbids the attribute, but not the property.
  if (old.style.cssText !== wanted.style.cssText) old.style.cssText = wanted.style.cssText;
  for (const { name, value } of wanted.attributes) if (name !== "style" && old.getAttribute(name) !== value) old.setAttribute(name, value);
  fill(old, [...wanted.childNodes]);
}

function fill(place, wanted) {
  const keyed = new Map([...place.childNodes].filter(node => node.dataset && node.dataset.key).map(node => [node.dataset.key, node]));
  let next = place.firstChild;
  for (const node of wanted) {
    const key = node.dataset && node.dataset.key;
    const found = key ? keyed.get(key) : next && !(next.dataset && next.dataset.key) ? next : null;
    if (!found) { place.insertBefore(node, next); continue; }
    if (found === next) next = next.nextSibling; else place.insertBefore(found, next);
    morph(found, node);
  }
  while (next) { const after = next.nextSibling; next.remove(); next = after; }
}

function table(target, columns, rows, nothing) {
  const words = (at("filter")?.value || "").toLowerCase().split(/\s+/).filter(Boolean);
  const body = rows.map(([key, ...cells]) => el("tr", { role: "row", "data-key": key }, cells.map((cell, index) => el("td", { role: "cell", class: columns[index][1] }, cell))))
    .filter(row => words.every(word => row.textContent.toLowerCase().includes(word)));
  if (!body.length) { fill(at(target), [el("div", { class: "empty" }, rows.length ? "Nothing matches the filter." : nothing)]); return; }
  const head = el("tr", { role: "row" }, columns.map(column => el("th", { role: "columnheader", scope: "col", class: column[1] }, column[0])));
  fill(at(target), [el("table", { role: "table", class: "stack", "aria-labelledby": target + "-title" }, el("thead", { role: "rowgroup" }, head), el("tbody", { role: "rowgroup" }, body))]);
}

function meter(left, right, share) {
  const full = el("i", { class: share >= 1 ? "full" : share > 0.8 ? "high" : "" , width: Math.min(100, share * 100) + "%" });
  return el("div", { class: "meter" }, el("div", {}, el("span", {}, left), el("span", { class: "num" }, right)), el("div", { class: "bar" }, full));
}

