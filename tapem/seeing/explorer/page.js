"use strict";
// The page has one state: the sweep, the step, the selected node and which folders are open. `draw` shows it.
// A compiled function has two programs, and a page shows one at a time; any other subject has one.
const programs = JSON.parse(document.getElementById("data").textContent);
let data, nodes, rowOf, state, visited, skipped, parents;
const ROW = 24, LANE = 16;

// -- The sweep at a step ----------------------------------------------------------------------------------------------

const isForward = () => data.sweeps.length > 0 && data.sweeps[state.sweep].mode === "forward";
const computing = () => nodes.length;
const total = () => computing() + (visited[state.sweep] || []).length;
const currentStep = () => (state.at > computing() ? visited[state.sweep][state.at - computing() - 1] : null);
const currentNode = () => {
  const step = currentStep();
  if (step) return step.node;
  return state.at > 0 ? data.rows[state.at - 1] : null;
};

// The sums of cotangents (or the tangents) after the current step, by node.
function sums() {
  const found = new Map();
  const done = (visited[state.sweep] || []).slice(0, Math.max(0, state.at - computing()));
  if (!isForward() && state.at > computing() && done.length) found.set(done[0].node, done[0].derivative);
  for (const step of done) {
    if (isForward()) found.set(step.node, step.derivative);
    else for (const part of step.contributions) found.set(part.parent, part.running);
  }
  return found;
}

// -- Rows and folders ---------------------------------------------------------------------------------------------------

// The rows that are shown: {id} of a node, or {folder} of one that is closed or that begins.
function shownRows() {
  const shown = [];
  const begins = new Map();
  data.folders.forEach((folder, index) => begins.set(folder.first, [...(begins.get(folder.first) || []), index]));
  for (let row = 0; row < data.rows.length; row++) {
    let closed = null, depth = 0;
    for (const index of begins.get(row) || []) {
      if (closed !== null) break;
      shown.push({ folder: index, depth: depthOf(index), row });
      if (!state.open[index]) closed = index;
    }
    if (closed !== null) { row = data.folders[closed].last; continue; }
    shown.push({ id: data.rows[row], depth: depthOf(innermost(row)) + 1, row });
  }
  return shown;
}

const innermost = (row) => parents[row];
function depthOf(index) {
  let depth = -1;
  for (; index >= 0; index = data.folders[index].parent) depth++;
  return depth;
}

function reveal(id) {
  for (let index = innermost(rowOf.get(id)); index >= 0; index = data.folders[index].parent) state.open[index] = true;
}

function folderText(index) {
  const folder = data.folders[index], count = folder.last - folder.first + 1;
  return (folder.label || "nodes") + `  (${count} nodes)`;
}

let shown = [], place = new Map();  // the shown rows, and the position of each node's row (or its closed folder's)

function layRows() {
  shown = shownRows();
  place = new Map();
  shown.forEach((one, position) => {
    if (one.id !== undefined) place.set(one.id, position);
    else if (!state.open[one.folder]) {
      const { first, last } = data.folders[one.folder];
      for (let row = first; row <= last; row++) place.set(data.rows[row], position);
    }
  });
  const lanes = [...new Set(shown.flatMap((one) => (one.id === undefined ? [] : [nodes[one.id].lane])))];
  for (const node of nodes) for (const parent of node.parents) {
    if (parent !== null && place.get(parent) !== place.get(node.id)) lanes.push(nodes[parent].lane);
  }
  const used = [...new Set(lanes)].sort((a, b) => a - b);
  const x = new Map(used.map((lane, index) => [lane, 10 + LANE * index]));
  const left = 12 + LANE * Math.max(1, used.length);
  const rows = $("rows");
  rows.replaceChildren(lanesPicture(x, left), ...shown.map((one, position) => rowElement(one, position, left)));
}

function rowElement(one, position, left) {
  const row = element("div", { class: "row", role: "option", id: `row${position}` });
  row.style.paddingLeft = `${left + 14 * Math.max(0, one.depth)}px`;
  if (one.folder !== undefined) {
    const open = state.open[one.folder];
    const button = element("button", { class: "fold", tabIndex: -1 }, `${open ? "▾" : "▸"} ${folderText(one.folder)}`);
    button.setAttribute("aria-expanded", open);
    row.append(button);
    row.onclick = () => toggle(one.folder);
    return row;
  }
  const node = nodes[one.id];
  row.append(
    element("span", { class: "mark" }), element("span", { class: "text" },
      `%${node.id} `, element("span", { class: "type" }, `${node.value ? node.value.type : ""} `), `= ${node.line}`),
    element("span", { class: "value" }), element("span", { class: "sum" }), element("span", { class: "flags" }));
  row.onclick = () => select(one.id);
  row.onmouseenter = () => showNode(one.id);
  row.onmouseleave = () => showNode(state.selected ?? currentNode());
  return row;
}

function lanesPicture(x, left) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("class", "lanes");
  svg.setAttribute("width", left);
  svg.setAttribute("height", ROW * shown.length);
  svg.setAttribute("aria-hidden", "true");
  const draw = (tag, attributes) => {
    const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    svg.append(made);
  };
  const y = (position) => ROW * position + ROW / 2;
  const drawn = new Set();
  for (const node of nodes) for (const parent of node.parents) {
    if (parent === null) continue;
    const from = place.get(parent), to = place.get(node.id);
    if (from === to || drawn.has(`${parent} ${to}`)) continue;
    drawn.add(`${parent} ${to}`);
    const a = x.get(nodes[parent].lane), b = x.get(laneAt(to)) ?? a, start = x.get(laneAt(from)) ?? a;
    const top = y(from), bottom = y(to), middle = (top + bottom) / 2;
    const way = to - from === 1 ? `C${start} ${middle} ${b} ${middle} ${b} ${bottom}`
      : `C${start} ${top + ROW / 2} ${a} ${top + ROW / 2} ${a} ${top + ROW}V${bottom - ROW}` +
        `C${a} ${bottom - ROW / 2} ${b} ${bottom - ROW / 2} ${b} ${bottom}`;
    draw("path", { "data-from": parent, "data-to": to, d: `M${start} ${top}${way}` });
  }
  shown.forEach((one, position) => {
    if (one.folder !== undefined && state.open[one.folder]) return;
    const cx = x.get(laneAt(position)) ?? 10;
    const name = { "data-row": position };
    if (one.folder !== undefined) draw("polygon", { ...name, points: `${cx - 6},${y(position) - 5} ${cx + 6},${y(position) - 5} ${cx},${y(position) + 6}` });
    else if (nodes[one.id].leaf) draw("rect", { ...name, x: cx - 4.5, y: y(position) - 4.5, width: 9, height: 9 });
    else draw("circle", { ...name, cx, cy: y(position), r: 4.5 });
  });
  return svg;
}

function laneAt(position) {
  const one = shown[position];
  return one.id !== undefined ? nodes[one.id].lane : nodes[data.rows[data.folders[one.folder].last]].lane;
}

// -- Showing the state ----------------------------------------------------------------------------------------------------

function draw() {
  const current = currentNode(), step = currentStep(), found = sums();
  const computed = new Set(data.rows.slice(0, Math.min(state.at, computing())));
  const done = new Set((visited[state.sweep] || []).slice(0, Math.max(0, state.at - computing())).map((one) => one.node));
  const why = skipped[state.sweep] || new Map();
  const ended = state.at === total() && done.size > 0;
  document.body.classList.toggle("forward", isForward());
  const at = current === null ? -1 : place.get(current);
  const feeds = step ? new Map(step.contributions.map((part) => [part.parent, part])) : new Map();
  $("rows").querySelectorAll(".row").forEach((row, position) => {
    const one = shown[position];
    const now = position === at;
    row.classList.toggle("now", now);
    row.setAttribute("aria-selected", now);
    if (one.id === undefined) return;
    const node = nodes[one.id];
    const never = ended && why.has(one.id);
    row.classList.toggle("selected", one.id === state.selected);
    row.classList.toggle("waiting", !computed.has(one.id));
    row.classList.toggle("skipped", never);
    const mark = now ? "▶" : never ? "∅" : done.has(one.id) ? "●" : feeds.has(one.id) ? "◂" : computed.has(one.id) ? "✓" : "·";
    row.querySelector(".mark").textContent = mark;
    const value = computed.has(one.id) && node.value && node.value.numbers !== undefined ? `  → ${short(node.value.text, 26)}` : "";
    row.querySelector(".value").textContent = value;
    const sum = found.get(one.id);
    row.querySelector(".sum").textContent = sum ? `   ${isForward() ? "tangent" : "cotangent"} ${short(sum.text)}` : "";
    const flags = row.querySelector(".flags");
    flags.className = "flags bad";
    flags.textContent = flagsOf(node, sum);
  });
  document.querySelectorAll("svg.lanes [data-row]").forEach((dot) => {
    const one = shown[+dot.dataset.row];
    const is = one.id !== undefined && (state.at > computing() ? done.has(one.id) : computed.has(one.id));
    dot.setAttribute("class", +dot.dataset.row === at ? "now" : is ? "done" : "");
  });
  document.querySelectorAll("svg.lanes path").forEach((path) =>
    path.classList.toggle("hot", +path.dataset.to === at && (!step || feeds.has(+path.dataset.from))));
  $("slider").max = total();
  $("slider").value = state.at;
  const side = state.at > computing() ? (isForward() ? "forward mode" : "reverse") : "compute";
  $("slider").setAttribute("aria-valuetext", `${side}, step ${state.at} of ${total()}`);
  $("count").textContent = `${side} ${state.at} / ${total()}`;
  showStep();
  showNode(state.selected ?? current);
  showLeaves(found);
  if (at >= 0) $("rows").children[at + 1].scrollIntoView({ block: "nearest" });
  if (at >= 0) $("rows").setAttribute("aria-activedescendant", `row${at}`);
}

const short = (text, most = 44) => (text.length > most ? `${text.slice(0, most - 2)}…` : text);

function flagsOf(node, sum) {
  const flags = [];
  if (node.value && node.value.finite === false) flags.push("not finite");
  if (sum && sum.finite === false) flags.push("derivative not finite");
  const one = data.differences[node.id];
  if (one && one.kink) flags.push("kink");
  else if (one && !one.agrees) flags.push("differences disagree");
  return flags.length ? `  ⚠ ${flags.join(", ")}` : "";
}

function showStep() {
  const step = currentStep(), panel = $("step");
  if (!step) {
    const id = currentNode();
    panel.replaceChildren(element("h2", {}, "Computing"), element("div", {}, id === null
      ? "Nothing is computed yet. Step on with the right arrow."
      : nodes[id].leaf ? `%${id} is given.` : `%${id} = ${nodes[id].line}`));
    return;
  }
  const node = nodes[step.node], forward = isForward();
  const given = forward ? "tangent of its value" : "cotangent that arrives";
  panel.replaceChildren(
    element("h2", {}, forward ? "Forward mode" : "Reverse sweep"),
    element("div", {}, element("code", {}, `%${node.id} = ${node.line}`)),
    element("dl", {}, element("dt", {}, given), element("dd", { id: "arriving" }, valueElement(step.derivative))),
    ...step.contributions.map((part) => element("div", { class: "part" },
      element("div", {}, forward ? `from %${part.parent} (its ${part.operand}):` : `to %${part.parent} (its ${part.operand}):`),
      element("div", { class: "rule" }, part.rule, part.numbers ? element("div", {}, `= ${part.numbers}`) : null),
      element("div", {}, "= ", valueElement(part.value)),
      element("div", {}, "sum so far ", valueElement(part.running)),
      sourceElement(ruleFor(node, part.operand)))));
  if (!step.contributions.length) panel.append(element("div", {}, node.leaf
    ? (forward ? "The tangent of a leaf is given." : "A leaf: the sum is its gradient.")
    : "It hands on nothing: every contribution is zero, or its operands are constant."));
}

// The rules of a node's op in the mode that is shown, and the one for an operand: a single rule is for all of them.
const rulesOf = (node) => data.ops[node.kind][isForward() ? "forward" : "reverse"] || [];
const ruleFor = (node, operand) => rulesOf(node)[rulesOf(node).length > 1 ? node.operands.indexOf(operand) : 0];

// Where a rule is written, which opens to its source.
function sourceElement(rule) {
  if (!rule || !rule.place) return null;
  return element("details", { class: "source" }, element("summary", {}, rule.place), element("pre", {}, rule.source));
}

function showNode(id) {
  const panel = $("node");
  if (id === null || id === undefined) return panel.replaceChildren();
  const node = nodes[id], list = element("dl");
  const add = (name, value) => value && list.append(element("dt", {}, name), element("dd", {}, value));
  add("value", node.value && valueElement(node.value));
  add("signature", node.signature && element("code", {}, node.signature));
  const axes = Object.entries(node.axes).map(([name, size]) => `${name}=${size}`).join("  ");
  add("axes", axes);
  add("your line", node.source && element("span", {}, element("code", {}, node.source.text), ` (${node.source.file}, line ${node.source.line})`));
  add("declared", data.ops[node.kind].declared);
  rulesOf(node).forEach((rule, index, rules) => add(rules.length > 1 ? `rule for ${node.operands[index] || index}` : "rule",
    element("span", {}, element("code", {}, rule.rule), sourceElement(rule))));
  add("gradient", node.leaf && !node.grad ? "none: it is constant" : "");
  add("not visited", (skipped[state.sweep] || new Map()).get(id));
  const one = data.differences[id];
  add("difference", one && !isForward() && differenceElement(one));
  panel.replaceChildren(element("h2", {}, `Node %${id}${node.name ? ` ${node.name}` : ""}`), list);
}

function differenceElement(one) {
  const words = one.agrees ? "✓ agrees" : "✗ disagrees";
  return element("span", { class: one.agrees ? "good" : "bad" },
    `${words}: differences say ${one.difference}, the sweep ${one.sweep}${one.kink ? "; a kink" : ""}`);
}

function showLeaves(found) {
  const leaves = nodes.filter((node) => node.leaf && node.grad);
  const rows = leaves.map((node) => {
    const sum = found.get(node.id), one = data.differences[node.id];
    return element("tr", {}, element("td", {}, `%${node.id} ${node.name}`), element("td", {}, node.value ? node.value.type : ""),
      element("td", {}, sum ? short(sum.text) : "0 so far"),
      element("td", {}, one && !isForward() && state.at === total() ? differenceElement(one) : ""));
  });
  const title = isForward() ? "Tangents of the leaves" : "Gradients of the leaves";
  const head = element("tr", {}, ...["leaf", "type", isForward() ? "tangent" : "gradient", "finite differences"].map((text) => element("th", {}, text)));
  $("leaves").replaceChildren(element("h2", {}, title), element("table", {}, head, ...rows));
}

// -- What the reader does -------------------------------------------------------------------------------------------------

function go(at) {
  state.at = Math.max(0, Math.min(total(), at));
  state.selected = null;
  draw();
}

function select(id) {
  state.selected = state.selected === id ? null : id;
  draw();
}

function toggle(folder) {
  state.open[folder] = !state.open[folder];
  layRows();
  draw();
}

function move(by) {
  const ids = shown.filter((one) => one.id !== undefined).map((one) => one.id);
  const from = ids.indexOf(state.selected ?? currentNode());
  state.selected = ids[Math.max(0, Math.min(ids.length - 1, from + by))] ?? null;
  draw();
}

// Show a program from the beginning of its sweep.
function load(program) {
  data = programs[program];
  nodes = data.nodes;
  rowOf = new Map(data.rows.map((id, row) => [id, row]));
  state = { sweep: 0, at: nodes.length, selected: null, open: data.folders.map((folder) => folder.open) };
  visited = data.sweeps.map((sweep) => sweep.steps.filter((step) => !step.skipped));
  skipped = data.sweeps.map(
    (sweep) => new Map(sweep.steps.filter((step) => step.skipped).map((step) => [step.node, step.skipped])));
  parents = data.rows.map(() => -1);
  data.folders.forEach((folder, index) => {
    for (let row = folder.first; row <= folder.last; row++) parents[row] = index;
  });
  buttons("modes", data.sweeps.map((sweep) => (sweep.mode === "forward" ? "forward mode" : "reverse mode")), (index) => {
    state.sweep = index;
    state.at = Math.min(state.at, total());
    draw();
  });
  layRows();
  draw();
}

// A group of buttons, of which one is pressed: the first, and then the one that was chosen last.
function buttons(id, texts, choose) {
  const made = texts.map((text, index) => {
    const button = element("button", { "aria-pressed": index === 0 }, text);
    button.onclick = () => {
      made.forEach((other) => other.setAttribute("aria-pressed", other === button));
      choose(index);
    };
    return button;
  });
  $(id).replaceChildren(...made);
}

$("first").onclick = () => go(0);
$("back").onclick = () => go(state.at - 1);
$("next").onclick = () => go(state.at + 1);
$("last").onclick = () => go(total());
$("slider").oninput = (event) => go(+event.target.value);
document.addEventListener("keydown", (event) => {
  if (event.target.id === "slider" || event.altKey || event.ctrlKey || event.metaKey) return;
  const moves = { ArrowRight: () => go(state.at + 1), ArrowLeft: () => go(state.at - 1), Home: () => go(0), End: () => go(total()),
    ArrowDown: () => move(1), ArrowUp: () => move(-1), Enter: () => fold() };
  if (event.target.tagName === "BUTTON" && event.key === "Enter") return;
  if (moves[event.key]) { moves[event.key](); event.preventDefault(); }
});
// Enter folds the block around the selected node, or unfolds the closed block that holds the current one.
function fold() {
  const id = state.selected ?? currentNode();
  if (id === null) return;
  const one = shown[place.get(id)];
  const index = one.folder !== undefined ? one.folder : innermost(rowOf.get(id));
  if (index >= 0) toggle(index);
}

if (programs.length > 1) buttons("programs", programs.map((program) => program.name), load);
load(0);
