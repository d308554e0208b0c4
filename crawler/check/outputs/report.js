"use strict";
const list = document.getElementById("findings");
const items = [...list.children];
const texts = new Map();
const field = (name) => document.getElementById(name);
const ranks = { error: 0, warning: 1, notice: 2 };
const orders = {
  severity: (a, b) => ranks[a.dataset.severity] - ranks[b.dataset.severity],
  places: (a, b) => b.dataset.places - a.dataset.places,
  target: (a, b) => a.dataset.target.localeCompare(b.dataset.target),
  newest: (a, b) => b.dataset.since.localeCompare(a.dataset.since),
  oldest: (a, b) => (a.dataset.since || "~").localeCompare(b.dataset.since || "~"),
};

items.forEach((item, number) => {
  item.dataset.number = number;
  item.dataset.target = item.querySelector(".target").textContent;
});

function text(item) {
  if (!texts.has(item)) texts.set(item, item.textContent.toLowerCase());
  return texts.get(item);
}

function filter() {
  const severity = field("severity").value, code = field("code").value;
  const words = field("text").value.toLowerCase().split(/\s+/).filter(Boolean);
  let shown = 0;
  for (const item of items) {
    const fits = (!severity || item.dataset.severity === severity) && (!code || item.dataset.code === code)
      && words.every((word) => text(item).includes(word));
    item.hidden = !fits;
    shown += fits;
  }
  field("shown").textContent = `${shown.toLocaleString("en")} of ${items.length.toLocaleString("en")} shown`;
}

function sort() {
  const order = orders[field("order").value];
  items.sort((a, b) => order(a, b) || a.dataset.number - b.dataset.number);
  list.append(...items);
}

function open(value) {
  for (const item of items) if (!item.hidden) item.open = value;
}

for (const name of ["severity", "code"]) field(name).addEventListener("change", filter);
field("text").addEventListener("input", filter);
field("order").addEventListener("change", sort);
for (const link of document.querySelectorAll(".codes a")) {
  link.addEventListener("click", () => { field("severity").value = ""; field("code").value = link.dataset.code; filter(); });
}
field("open").addEventListener("click", () => open(true));
field("close").addEventListener("click", () => open(false));
let closed = [];
addEventListener("beforeprint", () => {
  closed = items.filter((item) => !item.hidden && !item.open);
  for (const item of closed) item.open = true;
});
addEventListener("afterprint", () => { for (const item of closed) item.open = false; });
field("controls").hidden = false;
filter();
