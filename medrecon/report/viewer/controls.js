/** From clicks, drags, wheels and keys to the functions of the viewer. */
function listen() {
  const on = (id, event, does) => find(id).addEventListener(event, does);
  on("side", "click", () => setFlicker(false));
  on("flicker", "click", () => setFlicker(true));
  on("play", "click", () => setFlicker(true, !state.playing));
  on("rate", "input", () => setFlicker(true));
  on("kinds", "click", ({ target }) => target.dataset.kind && toggleKind(target.dataset.kind));
  on("tools", "click", ({ target }) => target.dataset.tool && setTool(target.dataset.tool));
  on("smooth", "click", () => setSmooth(!state.smooth));
  on("reset", "click", reset);
  on("slice", "input", () => openSlice(find("slice").valueAsNumber));
  on("case", "change", () => openCase(Number(find("case").value)));
  on("previous-case", "click", () => stepCase(-1));
  on("next-case", "click", () => stepCase(1));
  on("theme", "click", setTheme);
  on("help", "click", () => find("keys").showModal());
  on("print", "click", () => print());
  on("preset", "change", () => {
    const { low, high } = shown.about.presets[find("preset").value];
    setWindow("image", low, high);
  });
  listenToPointers();
  document.addEventListener("keydown", onKey);
  addEventListener("beforeprint", beforePrint);
  addEventListener("afterprint", layout);
}

/** The page in print shows all methods, whether they flicker or not. */
function beforePrint() {
  panels.frameWidth = Math.max(panels.frameWidth, 480 / devicePixelRatio);
  panels.style.setProperty("--columns", Math.min(visible().length, 3));
  drawNow();
}

// ---- pointers ------------------------------------------------------------------------------------------------

const pointers = new Map(); // by id: where each is
let drag = null; // {tool, kind, frame, from, window, view}

function listenToPointers() {
  panels.addEventListener("pointerdown", startDrag);
  panels.addEventListener("pointermove", moveDrag);
  for (const end of ["pointerup", "pointercancel"]) panels.addEventListener(end, endDrag);
  panels.addEventListener("pointerleave", () => ((state.place = null), redraw()));
  panels.addEventListener("touchmove", (event) => event.touches.length > 1 && event.preventDefault(), { passive: false });
  panels.addEventListener("auxclick", (event) => event.preventDefault());
  panels.addEventListener("wheel", onWheel, { passive: false });
  panels.addEventListener("dblclick", (event) => {
    const frame = document.elementFromPoint(event.clientX, event.clientY)?.closest(".frame"); // the target has the pointer's capture
    if (frame) resetWindows([frame.panel.kind]);
  });
}

/** Where an event lies, as shares of the frame. */
function shareOf(event, frame) {
  const box = frame.getBoundingClientRect();
  return [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height];
}

function startDrag(event) {
  const frame = event.target.closest(".frame");
  if (!frame || event.button === 2) return;
  pointers.set(event.pointerId, [event.clientX, event.clientY]);
  const moves = event.button === 1 || event.shiftKey || event.ctrlKey || event.altKey || event.metaKey;
  const tool = pointers.size > 1 ? "pinch" : moves ? "pan" : state.tool === "page" && event.pointerType === "mouse" ? "window" : state.tool;
  if (tool === "page") return pointAt(event);
  if (event.button === 1) event.preventDefault();
  for (const id of pointers.keys()) if (panels.isConnected) capture(id);
  const kind = frame.panel.kind;
  drag = { tool, kind, frame, from: middle(), spread: spread(), window: { ...state.windows[kind] }, view: { ...state.view } };
}

/** Events that a script makes have no pointer to capture. */
function capture(id) {
  try {
    panels.setPointerCapture(id);
  } catch {
    return;
  }
}

const middle = () => [0, 1].map((axis) => [...pointers.values()].reduce((sum, at) => sum + at[axis], 0) / pointers.size);
function spread() {
  const [a, b] = [...pointers.values()];
  return b ? Math.hypot(a[0] - b[0], a[1] - b[1]) : 1;
}

function moveDrag(event) {
  if (pointers.has(event.pointerId)) pointers.set(event.pointerId, [event.clientX, event.clientY]);
  if (!drag) return pointAt(event);
  const now = middle();
  const [right, down] = [now[0] - drag.from[0], now[1] - drag.from[1]];
  const box = drag.frame.getBoundingClientRect();
  const { zoom, x, y } = drag.view;
  if (drag.tool === "window") return shiftWindow(drag.kind, drag.window, right / 200, down / 300);
  state.view = { ...drag.view };
  if (drag.tool === "pinch") {
    zoomBy(spread() / drag.spread, [(drag.from[0] - box.left) / box.width, (drag.from[1] - box.top) / box.height]);
    return moveTo(state.view.zoom, state.view.x - right / box.width / state.view.zoom, state.view.y - down / box.height / state.view.zoom);
  }
  return moveTo(zoom, x - right / box.width / zoom, y - down / box.height / zoom);
}

function endDrag(event) {
  pointers.delete(event.pointerId);
  drag = null;
}

/** Mark the place under the pointer in all panels. */
function pointAt(event) {
  const frame = event.target.closest?.(".frame");
  const { zoom, x, y } = state.view;
  const at = frame && shareOf(event, frame);
  const place = at && [x + (at[0] - 0.5) / zoom, y + (at[1] - 0.5) / zoom];
  state.place = place && place.every((share) => share >= 0 && share < 1) ? place : null;
  redraw();
}

let turned = 0; // of the wheel, in pixels, since the last slice
function onWheel(event) {
  const frame = event.target.closest(".frame");
  if (!frame) return;
  event.preventDefault();
  const turn = event.deltaY * (event.deltaMode === 1 ? 30 : 1);
  if (event.ctrlKey || event.metaKey || shown.stacks["image-0"].slices === 1) return zoomBy(Math.exp(-turn / 300), shareOf(event, frame));
  turned += turn;
  const steps = Math.trunc(turned / 50);
  turned -= 50 * steps;
  if (steps) openSlice(state.slice + steps);
}

// ---- keys ----------------------------------------------------------------------------------------------------

/** What each key does; in side by side, arrows to the left and right do nothing. */
const KEYS = {
  s: () => setFlicker(false),
  f: () => setFlicker(true),
  m: () => toggleKind("image"),
  e: () => toggleKind("error"),
  r: () => toggleKind("residual"),
  i: () => setSmooth(!state.smooth),
  d: () => resetWindows(),
  t: setTheme,
  n: () => stepCase(1),
  p: () => stepCase(-1),
  0: reset,
  "?": () => find("keys").showModal(),
  "+": () => zoomBy(1.25),
  "=": () => zoomBy(1.25),
  "-": () => zoomBy(0.8),
  "[": () => shiftWindow("image", state.windows.image, -0.1, 0),
  "]": () => shiftWindow("image", state.windows.image, 0.1, 0),
  ",": () => shiftWindow("image", state.windows.image, 0, -0.05),
  ".": () => shiftWindow("image", state.windows.image, 0, 0.05),
  " ": () => state.flicker && setFlicker(true, !state.playing),
  ArrowLeft: () => state.flicker && stepMethod(state.current - 1),
  ArrowRight: () => state.flicker && stepMethod(state.current + 1),
  ArrowUp: () => turnTo(state.slice - 1),
  ArrowDown: () => turnTo(state.slice + 1),
};
const MOVES = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

function turnTo(slice) {
  openSlice(slice);
  tell(`slice ${find("slice-shown").textContent}`);
}

function onKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || find("keys").open) return;
  if (event.target.closest("input, select, textarea")) return;
  if (event.key === " " && event.target.closest("button")) return;
  const { zoom, x, y } = state.view;
  const move = event.shiftKey && MOVES[event.key];
  const does = move
    ? () => moveTo(zoom, x + (0.1 * move[0]) / zoom, y + (0.1 * move[1]) / zoom)
    : /^[1-9]$/.test(event.key)
      ? () => Number(event.key) <= visible().length && stepMethod(Number(event.key) - 1)
      : KEYS[event.key.length === 1 ? event.key.toLowerCase() : event.key];
  if (!does) return;
  event.preventDefault();
  does();
}
