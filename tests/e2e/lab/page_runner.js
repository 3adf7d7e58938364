// Runs the script of the status page without a browser, in just enough of a document:
//
//     node page_runner.js status.js < ANSWERS
//
// ANSWERS is a JSON list of what status.json says, one turn after the other. What the page shows behind the last
// one comes out as JSON.
"use strict";
const fs = require("fs");

class Element {
  constructor(tag) {
    Object.assign(this, { tag, children: [], text: "", className: "", value: "", hidden: false, handlers: {} });
  }
  set textContent(text) { this.text = String(text); this.children = []; }
  get textContent() {
    return this.children.length ? this.children.map((child) => child.textContent).join(" ") : this.text;
  }
  get rows() { return this.children; }
  get cells() { return this.children; }
  get tBodies() { return this.bodies ||= [new Element("tbody")]; }
  insertRow() { return this.insert("tr"); }
  insertCell() { return this.insert("td"); }
  insert(tag) { this.children.push(new Element(tag)); return this.children.at(-1); }
  deleteRow() { this.children.pop(); }
  append(...elements) { this.children.push(...elements); }
  replaceChildren(...elements) { this.children = elements; }
  addEventListener(name, handler) { this.handlers[name] = handler; }
}

const elements = {};
const byId = (id) => elements[id] ||= new Element(id);
const table = (id) => byId(id).tBodies[0].rows.map((row) => row.cells.map((cell) => cell.textContent));

async function main() {
  const answers = JSON.parse(fs.readFileSync(0));
  const [filter, order] = [process.argv[3] || "", process.argv[4] || "number"];
  byId("order").value = order;
  byId("filter").value = filter;
  let answered = 0, next = null;
  const document = { getElementById: byId, createElement: (tag) => new Element(tag), querySelector: () => byId("form") };
  const fetch = async () => {
    const answer = answers[answered++];
    if (answer === null) throw new Error("nobody answers");
    return { ok: true, json: async () => answer };
  };
  const later = (turn) => { next = turn; };
  const settled = () => new Promise((resolve) => setImmediate(resolve));
  new Function("document", "fetch", "performance", "setTimeout", fs.readFileSync(process.argv[2], "utf8"))(
    document, fetch, performance, later);
  await settled();
  while (answered < answers.length) await next();
  console.log(JSON.stringify({
    trouble: byId("trouble").hidden ? "" : byId("trouble").textContent,
    facts: Object.fromEntries(byId("facts").children.map((fact) => fact.children.map((part) => part.textContent))),
    shown: byId("shown").textContent,
    ports: table("ports"), rules: table("rules"), drops: table("drops"), tables: table("tables"),
  }));
}

main();
