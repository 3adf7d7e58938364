"use strict";
// Asks for status.json again and again. Rates are the difference of two answers; the texts of rules are put
// into the page as text, never as HTML.

const MOST_RULES = 500;      // rows; the filter finds the others
const PAUSE_MS = 2000;       // between two answers; longer if an answer takes long
let now = null, before = null;

const byId = (id) => document.getElementById(id);
const count = (value) => value.toLocaleString("en");

function scaled(value) {
  for (const unit of ["", " k", " M", " G", " T"]) {
    if (value < 1000 || unit === " T")
      return (value === 0 ? "0" : value < 10 ? value.toFixed(1) : value.toFixed(0)) + unit;
    value /= 1000;
  }
}

// A second; null while there are no two answers. `ipfw zero` is not a negative rate.
function rate(value, earlier) {
  if (!before || earlier === undefined || now.time_s <= before.time_s) return null;
  return Math.max(0, value - earlier) / (now.time_s - before.time_s);
}

const rateText = (value) => value === null ? "…" : scaled(value);

function age(seconds) {
  if (!seconds) return "never";
  const ago = Math.max(0, now.time_s - seconds);
  if (ago < 120) return `${ago.toFixed(0)} s ago`;
  if (ago < 7200) return `${(ago / 60).toFixed(0)} min ago`;
  if (ago < 172800) return `${(ago / 3600).toFixed(0)} h ago`;
  return `${(ago / 86400).toFixed(0)} days ago`;
}

// Rows of cells; a cell is a text, or {text, number: true}. Rows that are there are used again.
function fill(id, rows) {
  const body = byId(id).tBodies[0];
  while (body.rows.length > rows.length) body.deleteRow(-1);
  rows.forEach((row, i) => {
    const line = body.rows[i] || body.insertRow();
    line.className = row.style || "";
    row.cells.forEach((cell, j) => {
      const place = line.cells[j] || line.insertCell();
      const text = typeof cell === "string" ? cell : cell.text;
      if (place.textContent !== text) place.textContent = text;
      place.className = typeof cell === "string" ? "" : "n";
    });
  });
}

const n = (text) => ({ text: String(text) });

function facts() {
  const states = now.states;
  const list = [
    ["data plane", now.dataplane ? "up" : "down", !now.dataplane],
    ["generation", String(now.generation) + (now.foreign ? ", not ours" : ""), now.foreign],
    ["last ruleset", now.last_apply
      ? `${now.last_apply.worked ? "took effect" : "failed"}, ${age(now.last_apply.time_s)}` : "none yet",
      now.last_apply && !now.last_apply.worked],
    ["rules", count(now.rules.length), false],
    ["states", states ? `${count(states.count)} of ${count(states.most)}` : "–",
      states && states.count > 0.9 * states.most],
    ["states made", states ? rateText(rate(states.made, before?.states?.made)) + "/s" : "–", false],
    ["workers", now.workers.length ? now.workers.map((worker, i) => {
      const earlier = before?.workers[i];
      return earlier && worker.turns === earlier.turns ? "stalled" : "running";
    }).join(", ") : "–", now.workers.some((worker, i) => worker.turns === before?.workers[i]?.turns)],
    ["up since", new Date(now.started_s * 1000).toLocaleString(), false],
    ["version", now.version + (now.dpdk ? `, ${now.dpdk}` : ""), false],
  ];
  const place = byId("facts");
  place.replaceChildren(...list.map(([name, value, bad]) => {
    const [item, term, text] = ["div", "dt", "dd"].map((tag) => document.createElement(tag));
    term.textContent = name;
    text.textContent = value;
    if (bad) text.className = "bad";
    item.append(term, text);
    return item;
  }));
}

function ports() {
  const earlier = new Map((before?.ports || []).map((port) => [port.name, port]));
  fill("ports", now.ports.map((port) => {
    const was = earlier.get(port.name);
    const bits = (key) => {
      const bytes = rate(port[key], was?.[key]);
      return bytes === null ? null : 8 * bytes;
    };
    return { cells: [port.name, n(rateText(rate(port.rx_packets, was?.rx_packets))), n(rateText(bits("rx_bytes"))),
      n(rateText(rate(port.tx_packets, was?.tx_packets))), n(rateText(bits("tx_bytes"))),
      n(count(port.rx_packets)), n(count(port.tx_packets)), n(count(port.rx_drops))] };
  }));
}

function rules() {
  const earlier = new Map((before?.rules || []).map((rule) => [`${rule.number} ${rule.set} ${rule.id}`, rule]));
  const wanted = byId("filter").value.toLowerCase();
  let list = now.rules.map((rule) => {
    const was = earlier.get(`${rule.number} ${rule.set} ${rule.id}`);
    const bytes = rate(rule.bytes, was?.bytes);
    return { ...rule, rate: rate(rule.packets, was?.packets), bits: bytes === null ? null : 8 * bytes };
  });
  const all = list.length;
  if (wanted)
    list = list.filter((rule) => `${rule.number} ${rule.text}`.toLowerCase().includes(wanted));
  const order = byId("order").value;
  if (order !== "number") list.sort((a, b) => (b[order] || 0) - (a[order] || 0));
  byId("shown").textContent = list.length > MOST_RULES ? `${MOST_RULES} of ${count(list.length)} are shown`
    : `${count(list.length)} of ${count(all)}`;
  fill("rules", list.slice(0, MOST_RULES).map((rule) => ({
    style: rule.enabled ? "" : "off",
    cells: [n(String(rule.number).padStart(5, "0")), n(rule.set), n(count(rule.packets)), n(count(rule.bytes)),
      n(rateText(rule.rate)), n(rateText(rule.bits)), age(rule.last_match_s), rule.text],
  })));
}

function draw() {
  facts();
  ports();
  rules();
  const dropped = new Map((before?.drops || []).map((drop) => [drop.reason, drop.packets]));
  fill("drops", now.drops.map((drop) => ({ cells: [drop.reason, n(count(drop.packets)),
    n(rateText(rate(drop.packets, before ? dropped.get(drop.reason) || 0 : undefined))), drop.meaning] })));
  fill("tables", now.tables.map((table) => ({ cells: [table.name, n(count(table.entries))] })));
}

function trouble(text) {
  byId("trouble").textContent = text;
  byId("trouble").hidden = !text;
}

async function turn() {
  const begin = performance.now();
  try {
    const answer = await fetch("status.json", { cache: "no-store" });
    if (!answer.ok) throw new Error(`HTTP status ${answer.status}`);
    const next = await answer.json();
    // Another start of a half begins anew: no rates across it.
    before = now && now.started_s === next.started_s && now.dataplane === next.dataplane ? now : null;
    now = next;
    draw();
    trouble("");
  } catch (error) {
    trouble(`No news: ${error.message}`);
  }
  setTimeout(turn, Math.max(PAUSE_MS, 10 * (performance.now() - begin)));
}

byId("filter").addEventListener("input", () => now && rules());
byId("order").addEventListener("change", () => now && rules());
document.querySelector("form").addEventListener("submit", (event) => event.preventDefault());
turn();
