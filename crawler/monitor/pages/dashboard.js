// The dashboard. All that a site wrote becomes text nodes: nothing is parsed as HTML.
const $ = (id) => document.getElementById(id);
const KEPT = 1200; // points of a curve
const EVERY = 5000; // milliseconds between two looks at a list
let token = "", latest = null, page = "overview", points = {};

// -- making elements -------------------------------------------------------------------------------------------------

function make(name, options = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(options)) {
    if (key === "on") for (const [event, act] of Object.entries(value)) made.addEventListener(event, act);
    else made.setAttribute(key, value);
  }
  made.append(...children.map((child) => child instanceof Node ? child : String(child)));
  return made;
}

function link(url) {
  if (!/^https?:\/\//.test(url)) return make("span", {}, url);
  return make("a", { href: url, rel: "noreferrer noopener nofollow", target: "_blank" }, url);
}

function table(columns, rows, none) {
  if (!rows.length) return make("p", { class: "soft" }, none);
  const head = columns.map(([title, , number]) => make("th", number ? { class: "n" } : {}, title));
  const data = ([title, cell, number], row) => make("td", { "data-label": title, ...(number ? { class: "n" } : {}) }, cell(row));
  const body = rows.map((row) => make("tr", {}, ...columns.map((column) => data(column, row))));
  return make("table", {}, make("thead", {}, make("tr", {}, ...head)), make("tbody", {}, ...body));
}

function bars(counts, act) {
  const rows = Object.entries(counts), most = Math.max(1, ...rows.map(([, n]) => n));
  if (!rows.length) return make("p", { class: "soft" }, "None yet.");
  return make("table", { class: "bars" }, make("tbody", {}, ...rows.map(([name, n]) => {
    const svg = shape("svg", { viewBox: "0 0 100 10", preserveAspectRatio: "none", "aria-hidden": "true" });
    svg.append(shape("rect", { width: 100 * n / most, height: 10, class: name.split(":")[0].replace(/\W/g, "") }));
    const cells = [make("td", { class: "n" }, count(n)), make("td", { class: "bar" }, svg)];
    return make("tr", {}, make("th", { scope: "row" }, name), ...cells, ...(act ? [make("td", { class: "n" }, act(name))] : []));
  })));
}

const fill = (id, ...children) => $(id).replaceChildren(...children);
const count = (n) => Number(n).toLocaleString("en");
const rate = (n) => `${n.toFixed(1)}/s`;

function size(bytes) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let n = 0;
  while (bytes >= 1024 && n < units.length - 1) [bytes, n] = [bytes / 1024, n + 1];
  return `${n ? bytes.toFixed(1) : Math.round(bytes)} ${units[n]}`;
}

// -- talking to the server -------------------------------------------------------------------------------------------

async function ask(path, options) {
  const answer = await fetch(path, options), found = await answer.json();
  if (!answer.ok) throw new Error(found.error || answer.statusText);
  return found;
}

function say(text, bad) {
  $("message").hidden = !text;
  $("message").className = bad ? "bad" : "";
  $("message").textContent = text;
}

async function act(name, values = {}) {
  try {
    const headers = { "Content-Type": "application/json", "X-Crawler-Token": token };
    say((await ask(`/api/do/${name}`, { method: "POST", headers, body: JSON.stringify(values) })).said);
    await refresh();
  } catch (error) {
    say(error.message, true);
  }
}

const button = (text, what, values) => make("button", { type: "button", on: { click: () => act(what, values) } }, text);

async function enter() {
  const given = new URLSearchParams(location.hash.slice(1)).get("token");
  if (given) {
    history.replaceState(null, "", "/");
    const reply = await fetch("/session", { method: "POST", headers: { "X-Crawler-Token": given } });
    if (reply.ok) return (await reply.json()).action_token;
  }
  return (await ask("/session")).action_token;
}

// -- pages -----------------------------------------------------------------------------------------------------------

const charts = {
  rate: new Chart("URLs a second", rate), queued: new Chart("Queue", count),
  speed: new Chart("Read a second", (n) => `${size(n)}/s`), failing: new Chart("Failing hosts", count),
  failed: new Chart("Failed URLs", count), redis: new Chart("Memory of Redis", size),
};

function curves() {
  for (const [name, chart] of Object.entries(charts)) if (name !== "speed") chart.set(points.at, points[name]);
  const speed = points.bytes.map((n, i) => i ? Math.max(0, (n - points.bytes[i - 1]) / Math.max(.2, points.at[i] - points.at[i - 1])) : 0);
  charts.speed.set(points.at, speed);
}

function add(point) {
  if (points.at?.at(-1) >= point.at) return; // it was in the history
  const lists = Object.entries(point);
  for (const [name, value] of lists) (points[name] ??= []).push(value);
  if (points.at.length > KEPT) for (const [name] of lists) points[name] = points[name].filter((_, n) => n % 2);
}

function tile(name, value) {
  return make("div", {}, make("dt", {}, name), make("dd", {}, value));
}

function overview(status) {
  const workers = count(status.workers) + (status.silent_workers ? `, ${count(status.silent_workers)} silent` : "");
  fill("tiles", tile("URLs ended", count(status.ended)), tile("fetched", count(status.fetched)), tile("failed", count(status.failed)),
    tile("queued", count(status.queued)), tile("in flight", count(status.leased)), tile("hosts waiting", count(status.hosts_waiting)),
    tile("workers", workers), tile("read", size(status.bytes)));
  $("failing").hidden = !status.failing;
  fill("failing-list", make("ul", { class: "plain" }, ...status.failing_hosts.map(([host, text]) => make("li", {}, make("b", {}, host), ` ${text}`))),
    make("a", { href: "#hosts" }, status.failing === 1 ? "1 host fails" : `${count(status.failing)} hosts fail`));
  fill("outcomes", bars(status.outcomes));
  fill("statuses", bars(status.statuses));
  const notes = [...status.troubles, ...status.lacks, ...status.quarantined.map((name) => `quarantined: ${name}`)];
  if (status.held) notes.push(`${count(status.held)} URLs of blocked hosts are held`);
  if (status.duplicates) notes.push(`${count(status.duplicates)} pages have the content of an earlier page`);
  if (status.documents) notes.push(`${count(status.documents)} documents were left out: pip install 'crawler[documents]'`);
  if (status.hook_errors) notes.push(`the hook failed on ${count(status.hook_errors)} of ${count(status.hook_calls)} pages`);
  if (status.lost) notes.push(`${count(status.lost)} URLs were removed from Redis by a foreign client`);
  $("notes").hidden = !notes.length;
  fill("notes-list", ...notes.map((note) => make("li", {}, note)));
}

function top_(status) {
  $("crawl").textContent = document.title = `Crawl ${status.crawl}`;
  $("state").textContent = status.state;
  $("limit").textContent = status.limit === status.state ? "" : status.limit;
  $("pause").hidden = ["done", "deleting"].includes(status.state);
  $("pause").textContent = status.state === "paused" ? "Resume" : "Pause";
}

function trouble(row) {
  if (row.blocked) return make("span", { class: "mark" }, "blocked");
  return row.trouble ? make("span", { class: "mark failed" }, row.trouble.text) : "";
}

const lists = {
  async hosts() {
    const found = await ask(`/api/hosts?of=${$("hosts-of").value}&sort=${$("hosts-sort").value}`);
    fill("hosts-table", table([
      ["host", (row) => row.host], ["state", trouble],
      ["queued", (row) => count(row.queued), 1], ["in flight", (row) => count(row.in_flight), 1], ["done", (row) => count(row.done), 1],
      ["errors", (row) => count(row.errors), 1], ["latency", (row) => row.latency_ms ? `${count(row.latency_ms)} ms` : "", 1],
      ["next in", (row) => row.queued ? `${(row.due_in_ms / 1000).toFixed(1)} s` : "", 1],
      ["", (row) => row.blocked ? button("Unblock", "unblock", { host: row.host }) : button("Block", "block", { host: row.host }), 1],
    ], found.rows, "No such host."), make("p", { class: "soft" }, found.total > found.rows.length ? `the first ${found.rows.length} of ${count(found.total)}` : ""));
    $("blocked").hidden = !found.blocked.length;
    fill("blocked", "Blocked: ", ...found.blocked.flatMap((host) => [host, " ", button("Unblock", "unblock", { host }), " "]));
  },
  async failures() {
    const found = await ask("/api/failures"), outcomes = latest ? latest.outcomes : {};
    const failed = Object.fromEntries(Object.entries(outcomes).filter(([name]) => name.startsWith("failed:")));
    fill("failed-outcomes", bars(failed, (outcome) => outcome === "failed:bad-entry" ? "" : button("Retry", "retry", { outcome })));
    fill("troubles", table([["cause", (row) => make("span", { class: "mark failed" }, row.kind)], ["in words", (row) => row.text], ["hosts", (row) => count(row.hosts), 1]], found.troubles, "No host fails now."));
    $("looked-at").textContent = found.looked_at ? `Looked at: the latest ${count(found.looked_at)}.` : "";
    fill("causes", table([
      ["outcome", (row) => make("span", { class: "mark failed" }, row.outcome)], ["cause", (row) => row.error], ["URLs", (row) => count(row.urls), 1],
      ["latest", (row) => new Date(row.latest).toLocaleTimeString(), 1], ["for example", (row) => link(row.url)],
    ], found.causes, "No URL failed."));
  },
  async settings() {
    if ($("settings-table").contains(document.activeElement)) return; // somebody is writing there
    const rows = await ask("/api/settings");
    fill("settings-table", table([["setting", (row) => row.name], ["value", setting], ["meaning", (row) => row.help]], rows, ""));
  },
  async workers() {
    const found = await ask("/api/workers");
    fill("workers-table", table([
      ["worker", (row) => row.worker], ["says", (row) => row.trouble || row.lack || row.limit || ""],
      ["heard", (row) => `${row.age.toFixed(1)} s ago`, 1], ["in flight", (row) => count(row.in_flight ?? 0), 1], ["pages", (row) => count(row.pages ?? 0), 1],
      ["errors", (row) => count(row.errors ?? 0), 1], ["retried", (row) => count(row.retried ?? 0), 1], ["read", (row) => size(row.bytes ?? 0), 1],
    ], found.rows, "No worker runs: start some with `crawler work`."), found.total > found.rows.length ? make("p", { class: "soft" }, `${count(found.total)} in all`) : "");
  },
};

function setting(row) {
  if (!row.changeable) return make("span", { class: "soft" }, row.value);
  const field = row.choices.length
    ? make("select", { name: "value" }, ...row.choices.map((choice) => make("option", choice === row.value ? { selected: "" } : {}, choice)))
    : make("input", { name: "value", value: row.value, size: 10, autocomplete: "off" });
  field.setAttribute("aria-label", row.name);
  const submit = (event) => { event.preventDefault(); field.blur(); document.activeElement.blur(); act("set", { name: row.name, value: field.value }); };
  return make("form", { class: "row", on: { submit } }, field, make("button", {}, "Set"));
}

async function refresh() {
  if (lists[page]) await lists[page]().catch((error) => say(error.message, true));
}

function turn() {
  const wanted = location.hash.slice(1);
  page = document.querySelector(`.page[id="${CSS.escape(wanted)}"]`) ? wanted : "overview";
  for (const element of document.querySelectorAll(".page")) element.hidden = element.id !== page;
  for (const tab of $("tabs").children) tab.setAttribute("aria-current", tab.hash === `#${page}` ? "page" : "false");
  say("");
  refresh();
}

// -- life ------------------------------------------------------------------------------------------------------------

function watch() {
  const source = new EventSource("/events");
  source.addEventListener("history", (event) => { points = JSON.parse(event.data); });
  source.addEventListener("snapshot", (event) => {
    const first = latest === null;
    latest = JSON.parse(event.data);
    if ($("message").textContent.startsWith("Away: ")) say("");
    add(latest.point);
    top_(latest);
    overview(latest);
    curves();
    if (first) refresh();
  });
  source.addEventListener("away", (event) => say(`Away: ${JSON.parse(event.data).error}`, true));
  source.addEventListener("error", () => say("Away: the dashboard has ended, or is not reached", true));
}

async function explain(event) {
  event.preventDefault();
  const url = new FormData(event.target).get("url");
  try {
    say("");
    const found = await ask(`/api/url?url=${encodeURIComponent(url)}`);
    $("explained").hidden = false;
    $("explained").textContent = found.lines.join("\n");
  } catch (error) {
    $("explained").hidden = true;
    say(error.message, true);
  }
}

async function begin() {
  fill("charts", ...Object.values(charts).map((chart) => chart.element));
  try {
    token = await enter();
  } catch (error) {
    say(error.message, true);
    return;
  }
  $("pause").addEventListener("click", () => act(latest?.state === "paused" ? "resume" : "pause"));
  $("block").addEventListener("submit", (event) => {
    event.preventDefault();
    act("block", { host: new FormData(event.target).get("host") });
    event.target.reset();
  });
  $("explain").addEventListener("submit", explain);
  for (const id of ["hosts-of", "hosts-sort"]) $(id).addEventListener("change", refresh);
  addEventListener("hashchange", turn);
  turn();
  setInterval(() => { if (!document.hidden) refresh(); }, EVERY);
  watch();
}

begin();
