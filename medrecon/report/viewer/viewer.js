const report = JSON.parse(document.getElementById("report").textContent);
const find = (id) => document.getElementById(id);
const root = document.documentElement;
const panels = find("panels");
const touch = matchMedia("(pointer: coarse)").matches;

/** All that the reader can change; `windows` by kind. */
const state = {
  number: -1,
  slice: 0,
  view: { zoom: 1, x: 0.5, y: 0.5 },
  windows: {},
  kinds: new Set(["image"]),
  flicker: false,
  playing: !matchMedia("(prefers-reduced-motion: reduce)").matches,
  current: 0,
  smooth: true,
  tool: touch ? "page" : "window",
  place: null,
};
let shown = null; // the case: {cells, stacks, aspect, about}
let due = null; // what the next frame must do

const able = () => shown.cells.filter((cell) => cell.panels.some((panel) => state.kinds.has(panel.kind)));
const visible = () => able().filter((cell) => cell.chosen);
const allPanels = () => visible().flatMap((cell) => cell.panels.filter((panel) => state.kinds.has(panel.kind)));
const clamp = (value, low, high) => Math.min(Math.max(value, low), high);
const press = (button, pressed) => button.setAttribute("aria-pressed", String(pressed));
const tell = (text) => (find("status").textContent = text);

// ---- drawing -------------------------------------------------------------------------------------------------

/** Ask for the next frame; `painted` where windows or values changed, not the place alone. */
function redraw(painted = false) {
  document.body.dataset.state = "busy";
  if (due) return void (due.painted ||= painted);
  due = { painted };
  requestAnimationFrame(drawNow);
}

function drawNow() {
  const painted = due?.painted;
  due = null;
  const width = Math.round(panels.frameWidth * devicePixelRatio);
  for (const panel of allPanels()) {
    if (painted) panel.paint(state.windows[panel.kind]);
    panel.draw(state.view, state.smooth, width);
    panel.point(state.place, state.view);
    if (panel.kind === "image" && shown.about.measured) panel.measure(shown.about.pixel, state.view.zoom);
  }
  if (painted) showBars();
  document.body.dataset.state = "ready";
}

/** Give cells their room, and say which are seen. */
function layout() {
  if (!shown) return;
  const cells = visible();
  state.current = clamp(state.current, 0, cells.length - 1);
  for (const cell of shown.cells) {
    cell.element.hidden = !cells.includes(cell);
    cell.chip.hidden = !able().includes(cell);
    press(cell.chip, cell.chosen);
    for (const panel of cell.panels) panel.figure.hidden = !state.kinds.has(panel.kind);
  }
  markCurrent();
  const narrow = innerWidth < 700;
  for (const bar of find("bars").children) bar.hidden = !state.kinds.has(bar.dataset.kind);
  const below = find("viewer").querySelector(".below").offsetHeight;
  const room = { width: panels.clientWidth, height: Math.max(260, innerHeight - panels.offsetTop - below - 40), narrow };
  const across = state.kinds.size;
  const flickerWidth = narrow ? room.width : Math.min((room.width - 10 * (across - 1)) / across, (room.height - 66) * shown.aspect);
  const best = state.flicker ? { columns: 1, width: flickerWidth } : arrange(cells.length, across, shown.aspect, room);
  panels.frameWidth = Math.floor(best.width);
  panels.style.setProperty("--frame", `${panels.frameWidth}px`);
  panels.style.setProperty("--columns", best.columns);
  panels.classList.toggle("flicker", state.flicker);
  panels.classList.toggle("images-alone", across === 1 && state.kinds.has("image"));
  find("flicker-controls").hidden = !state.flicker;
  press(find("side"), !state.flicker);
  press(find("flicker"), state.flicker);
  for (const button of find("kinds").children) press(button, state.kinds.has(button.dataset.kind));
  redraw(true);
}

// ---- cases and slices ----------------------------------------------------------------------------------------

function openCase(number) {
  shown?.cells.length && Object.values(shown.stacks).forEach((stack) => stack.forget());
  const about = report.cases[number];
  shown = { ...cellsOf(about), about };
  const count = shown.stacks["image-0"].slices;
  Object.assign(state, { number, current: 0, place: null, view: { zoom: 1, x: 0.5, y: 0.5 } });
  const offered = new Set(shown.cells.flatMap((cell) => cell.panels.map((panel) => panel.kind)));
  for (const button of find("kinds").children) button.hidden = !offered.has(button.dataset.kind);
  state.kinds = new Set([...state.kinds].filter((kind) => offered.has(kind)));
  if (!state.kinds.size) state.kinds.add("image");
  panels.replaceChildren(...shown.cells.map((cell) => cell.element));
  find("chosen").replaceChildren(...shown.cells.map((cell) => cell.chip));
  find("chosen").hidden = shown.cells.length < 2;
  for (const cell of shown.cells) cell.chip.addEventListener("click", () => toggleCell(cell));
  find("case").value = number;
  find("slice").max = count - 1;
  find("slices").hidden = count === 1;
  find("preset").replaceChildren(
    ...about.presets.map((preset, i) => element("option", { value: i }, `${preset.name} (${words(preset.low, 3)} to ${words(preset.high, 3)})`)),
    element("option", { value: "", hidden: "" }, "by hand"),
  );
  find("preset-label").hidden = about.presets.length < 2;
  makeBars();
  resetWindows();
  describe(about, shown.stacks);
  layout();
  return openSlice(Math.floor(count / 2));
}

async function openSlice(slice) {
  const count = shown.stacks["image-0"].slices;
  state.slice = clamp(slice, 0, count - 1);
  find("slice").value = state.slice;
  const place = shown.about.firstSlice + state.slice;
  find("slice-shown").textContent = `${state.slice + 1} of ${count}` + (place !== state.slice ? ` (${place} in the file)` : "");
  document.body.dataset.state = "busy";
  const wanted = shown.cells.flatMap((cell) => cell.panels);
  const loaded = await Promise.all(wanted.map((panel) => panel.load(state.slice, count)));
  if (loaded.every(Boolean)) redraw(true);
}

// ---- windows -------------------------------------------------------------------------------------------------

const imageWidth = () => shown.about.presets[0].high - shown.about.presets[0].low;
const firstWindow = (kind) => {
  if (kind === "image") return { low: shown.about.presets[0].low, high: shown.about.presets[0].high };
  return { low: 0, high: kind === "error" ? imageWidth() / shown.about.gain : shown.about.residualTop || 1 };
};

function resetWindows(kinds = ["image", "error", "residual"]) {
  for (const kind of kinds) state.windows[kind] = firstWindow(kind);
  redraw(true);
}

/** Set a window; maps of errors and residuals keep their zero. */
function setWindow(kind, low, high) {
  const least = (kind === "image" ? imageWidth() : firstWindow(kind).high) / 1000;
  if (![low, high].every(Number.isFinite)) return;
  if (high - low < least) high = low + least;
  state.windows[kind] = kind === "image" ? { low, high } : { low: 0, high: Math.max(high, least) };
  redraw(true);
}

/** Change a window, from what it was, by shares of its first width. */
function shiftWindow(kind, from, wider, higher) {
  if (kind !== "image") return setWindow(kind, 0, from.high * Math.exp(wider + higher));
  const width = Math.max((from.high - from.low) * Math.exp(wider), imageWidth() / 1000);
  const level = (from.high + from.low) / 2 + higher * imageWidth();
  return setWindow(kind, level - width / 2, level + width / 2);
}

/** A bar of colors for each kind, between the numbers at its ends, which can be typed over. */
function makeBars() {
  const units = { image: shown.about.unit, error: shown.about.unit, residual: shown.about.residualUnit };
  const names = { image: "Images", error: "Errors", residual: "Residuals" };
  find("bars").replaceChildren(
    ...Object.keys(units).map((kind) => {
      const ends = ["low", "high"].map((end) => {
        const input = element("input", { type: "number", step: "any", "aria-label": `${names[kind]}: ${end} end of the window` });
        input.addEventListener("change", () => {
          const { low, high } = { ...state.windows[kind], [end]: input.valueAsNumber };
          setWindow(kind, low, high);
        });
        return Object.assign(input, { readOnly: kind !== "image" && end === "low" });
      });
      const canvas = element("canvas", { width: 256, height: 1, "aria-hidden": "true" });
      paint(canvas, Array.from({ length: 256 }, (_, i) => i), { low: 0, high: 255 }, kind === "image" ? GRAYS : HEAT);
      const unit = element("span", { class: "unit" }, units[kind]);
      const note = element("span", { class: "note" });
      return element("div", { class: "bar", "data-kind": kind }, element("span", {}, names[kind]), ends[0], canvas, ends[1], unit, note);
    }),
  );
}

function showBars() {
  for (const bar of find("bars").children) {
    const kind = bar.dataset.kind;
    const { low, high } = state.windows[kind];
    const [first, second] = bar.querySelectorAll("input");
    const digits = clamp(3 - Math.floor(Math.log10(high - low)), 0, 30);
    [first.value, second.value] = [low, high].map((value) => String(Number(value.toFixed(digits))));
    const gain = (state.windows.image.high - state.windows.image.low) / high;
    if (kind === "error") bar.lastChild.textContent = `${Number(gain.toPrecision(2))} \u00d7 brighter than the images; one scale for all methods`;
  }
  const { low, high } = state.windows.image;
  const index = shown.about.presets.findIndex((preset) => preset.low === low && preset.high === high);
  find("preset").value = index < 0 ? "" : index;
}

// ---- place and zoom ------------------------------------------------------------------------------------------

/** Zoom by a factor and leave what lies at `at`, shares of the frame, where it is. */
function zoomBy(factor, at = [0.5, 0.5]) {
  const { zoom, x, y } = state.view;
  const next = clamp(zoom * factor, 1, 40);
  const move = (place, share) => place + (share - 0.5) * (1 / zoom - 1 / next);
  moveTo(next, move(x, at[0]), move(y, at[1]));
}

function moveTo(zoom, x, y) {
  const edge = 0.5 / zoom;
  state.view = { zoom, x: clamp(x, edge, 1 - edge), y: clamp(y, edge, 1 - edge) };
  redraw();
}

function reset() {
  moveTo(1, 0.5, 0.5);
  resetWindows();
}

// ---- arrangement ---------------------------------------------------------------------------------------------

let timer = 0;
function setFlicker(on, playing = state.playing) {
  Object.assign(state, { flicker: on, playing });
  clearInterval(timer);
  const rate = find("rate").valueAsNumber;
  find("rate-shown").textContent = `${rate} a second`;
  find("play").textContent = playing ? "Pause" : "Play";
  if (on && playing) timer = setInterval(() => showMethod(state.current + 1), 1000 / rate);
  layout();
}

/** In flicker: bring a cell to the front, counted around. */
function showMethod(index) {
  const cells = visible();
  state.current = (index + cells.length) % cells.length;
  markCurrent();
}

function markCurrent() {
  const current = visible()[state.current];
  for (const cell of shown.cells) {
    cell.element.classList.toggle("current", cell === current);
    cell.chip.setAttribute("aria-current", String(state.flicker && cell === current));
  }
}

/** Leave a method out, or take it in again; one stays. */
function toggleCell(cell) {
  cell.chosen = !cell.chosen;
  if (!visible().length) cell.chosen = true;
  layout();
}

function stepMethod(index) {
  setFlicker(true, false);
  showMethod(index);
  tell(visible()[state.current].name);
}

function toggleKind(kind) {
  const button = [...find("kinds").children].find((other) => other.dataset.kind === kind);
  if (button.hidden) return;
  if (!state.kinds.delete(kind)) state.kinds.add(kind);
  if (!state.kinds.size || !visible().length) state.kinds.add(kind);
  layout();
}

function setTool(tool) {
  state.tool = tool;
  panels.dataset.tool = tool;
  for (const button of find("tools").children) press(button, button.dataset.tool === tool);
}

function setSmooth(smooth) {
  state.smooth = smooth;
  press(find("smooth"), smooth);
  redraw();
}

function setTheme() {
  const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = dark ? "light" : "dark";
}

const stepCase = (by) => openCase((state.number + by + report.cases.length) % report.cases.length);

// ---- start ---------------------------------------------------------------------------------------------------

function start() {
  if (typeof DecompressionStream === "undefined") throw new Error("it needs a browser of 2023 or newer");
  find("version").textContent = report.version;
  find("case").append(...report.cases.map((about, number) => element("option", { value: number }, about.name)));
  find("case-controls").classList.toggle("single", report.cases.length === 1);
  find("tables").replaceChildren(...report.tables.map(tableOf));
  find("tables").hidden = !report.tables.length;
  setTool(state.tool);
  listen();
  new ResizeObserver(() => panels.clientWidth !== panels.known && ((panels.known = panels.clientWidth), layout())).observe(panels);
  addEventListener("resize", layout);
  return openCase(0);
}

Promise.resolve()
  .then(start)
  .catch((error) => {
    document.body.dataset.state = "failed";
    find("notice").hidden = false;
    find("notice").textContent = `The images cannot be shown: ${error.message}`;
  });
