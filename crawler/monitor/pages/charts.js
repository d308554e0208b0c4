"use strict";
// Curves over time as SVG, with a reading under the pointer. Values come from the server as numbers.
const SVG = "http://www.w3.org/2000/svg";
const WIDTH = 600, HEIGHT = 130;

function shape(name, attributes) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

class Chart {
  constructor(title, show) {
    this.show = show;
    this.at = [];
    this.values = [];
    this.most = document.createElement("span");
    this.now = document.createElement("span");
    this.from = document.createElement("span");
    this.svg = shape("svg", { class: "curve", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img" });
    this.area = shape("polygon", { class: "area" });
    this.line = shape("polyline", { class: "line" });
    this.cursor = shape("path", { class: "cursor" });
    this.svg.append(shape("path", { class: "grid", d: `M0 .5H${WIDTH}M0 ${HEIGHT / 2}H${WIDTH}M0 ${HEIGHT - .5}H${WIDTH}` }), this.area, this.line, this.cursor);
    this.title = title;
    this.element = document.createElement("section");
    const head = document.createElement("div"), heading = document.createElement("h2"), axis = document.createElement("p");
    head.className = "row";
    heading.textContent = title;
    const gap = document.createElement("span");
    gap.className = "gap";
    this.now.className = "now";
    head.append(heading, gap, this.now);
    axis.className = "axis";
    axis.append(this.from, this.most);
    this.element.append(head, this.svg, axis);
    this.svg.addEventListener("pointermove", (event) => this.read(event));
    this.svg.addEventListener("pointerleave", () => { this.reading = null; this.draw(); });
  }

  set(at, values) {
    [this.at, this.values] = [at, values];
    this.draw();
  }

  x(n) {
    const span = this.at[this.at.length - 1] - this.at[0];
    return span > 0 ? WIDTH * (this.at[n] - this.at[0]) / span : WIDTH;
  }

  draw() {
    const last = this.values.length - 1;
    if (last < 0) return;
    const most = Math.max(...this.values, 0), scale = most > 0 ? (HEIGHT - 4) / most : 0;
    const points = this.values.map((value, n) => `${this.x(n).toFixed(1)},${(HEIGHT - 1 - value * scale).toFixed(1)}`);
    this.line.setAttribute("points", points.join(" "));
    this.area.setAttribute("points", `0,${HEIGHT} ${points.join(" ")} ${WIDTH},${HEIGHT}`);
    this.most.textContent = `at most ${this.show(most)}`;
    this.from.textContent = `since ${new Date(this.at[0] * 1000).toLocaleTimeString()}`;
    this.svg.setAttribute("aria-label", `${this.title}: now ${this.show(this.values[last])}, at most ${this.show(most)}`);
    const n = this.reading ?? last;
    this.cursor.setAttribute("d", this.reading == null ? "" : `M${this.x(n).toFixed(1)} 0V${HEIGHT}`);
    const when = this.reading == null ? "" : ` at ${new Date(this.at[n] * 1000).toLocaleTimeString()}`;
    this.now.textContent = this.show(this.values[n]) + when;
  }

  read(event) {
    const box = this.svg.getBoundingClientRect(), wanted = WIDTH * (event.clientX - box.left) / box.width;
    let best = 0;
    for (let n = 1; n < this.at.length; n++) if (Math.abs(this.x(n) - wanted) < Math.abs(this.x(best) - wanted)) best = n;
    this.reading = best;
    this.draw();
  }
}
