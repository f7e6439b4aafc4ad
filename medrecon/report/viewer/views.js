const KIND_WORDS = { image: "image", error: "|error|", residual: "residual" };

/** One picture of one method: an image, an error map or a residual map, drawn by the window of its kind. */
class Panel {
  constructor(kind, method, stack, reference, aspect) {
    Object.assign(this, { kind, method, stack, reference, shown: null, slice: -1 });
    this.pixels = element("canvas", { width: stack.width, height: stack.height });
    this.canvas = element("canvas", { role: "img", "data-kind": kind, "data-method": method });
    this.cross = element("div", { class: "cross", hidden: "" });
    this.scale = element("div", { class: "scale", hidden: "" }, element("span"));
    this.frame = element("div", { class: "frame" }, this.canvas, this.cross, this.scale);
    this.frame.style.aspectRatio = aspect;
    this.frame.panel = this;
    this.readout = element("output", { class: "readout" });
    const caption = element("figcaption", {}, element("span", {}, KIND_WORDS[kind]), this.readout);
    this.figure = element("figure", { class: "panel", "data-kind": kind }, this.frame, caption);
  }

  /** Fetch a slice; say whether it is still the one wanted when it is there. */
  async load(slice, count) {
    this.slice = slice;
    const values = await this.stack.values(slice);
    const wanted = this.reference ? await this.reference.values(slice) : null;
    if (this.slice !== slice) return false;
    this.shown = wanted ? values.map((value, i) => Math.abs(value - wanted[i])) : values;
    this.canvas.setAttribute("aria-label", `${this.method}, ${KIND_WORDS[this.kind]}, slice ${slice + 1} of ${count}`);
    return true;
  }

  paint(window) {
    if (this.shown) paint(this.pixels, this.shown, window, this.kind === "image" ? GRAYS : HEAT);
  }

  /** Draw what lies in view, `width` device pixels wide. */
  draw({ zoom, x, y }, smooth, width) {
    const context = this.canvas.getContext("2d");
    const height = Math.round(width / parseFloat(this.frame.style.aspectRatio));
    if (this.canvas.width !== width || this.canvas.height !== height) Object.assign(this.canvas, { width, height });
    const [across, down] = [this.pixels.width / zoom, this.pixels.height / zoom];
    const [left, top] = [x * this.pixels.width - across / 2, y * this.pixels.height - down / 2];
    context.imageSmoothingEnabled = smooth;
    context.imageSmoothingQuality = "high";
    context.drawImage(this.pixels, left, top, across, down, 0, 0, width, height);
  }

  /** Mark a place, `[x, y]` as shares of the image, and say its value; null for none. */
  point(place, { zoom, x, y }) {
    this.cross.hidden = !place || !this.shown;
    this.readout.textContent = "";
    if (this.cross.hidden) return;
    const [column, row] = [Math.floor(place[0] * this.stack.width), Math.floor(place[1] * this.stack.height)];
    this.cross.style.left = `${100 * ((place[0] - x) * zoom + 0.5)}%`;
    this.cross.style.top = `${100 * ((place[1] - y) * zoom + 0.5)}%`;
    this.readout.textContent = words(this.shown[row * this.stack.width + column]);
  }

  /** Draw a bar of a round number of millimeters. */
  measure(pixel, zoom) {
    const across = (this.stack.width * pixel[1]) / zoom;
    const length = [1, 2, 5, 10, 20, 50, 100].findLast((mm) => mm <= across / 3) ?? across / 3;
    this.scale.hidden = false;
    this.scale.style.width = `${(100 * length) / across}%`;
    this.scale.firstChild.textContent = `${Number(length.toPrecision(2))} mm`;
  }
}

/** The panels of a method, or of the target, under its name. */
class Cell {
  constructor(name, scores, panels) {
    Object.assign(this, { name, panels, chosen: true });
    this.chip = element("button", { type: "button", title: "Show or leave out" }, name);
    const heading = element("h3", {}, element("span", {}, name), element("small", { title: scores }, scores));
    this.row = element("div", { class: "row" }, ...panels.map((panel) => panel.figure));
    this.element = element("section", { class: "cell", "aria-label": name }, heading, this.row);
  }
}

/** The cells of a case: the target first, then the methods in their order. */
function cellsOf(report) {
  const stacks = Object.fromEntries(Object.entries(report.stacks).map(([name, about]) => [name, new Stack(about)]));
  const [height, width] = report.pixel;
  const aspect = (stacks["image-0"].width * width) / (stacks["image-0"].height * height);
  const cells = [];
  if (stacks.target) cells.push(new Cell("target", "", [new Panel("image", "target", stacks.target, null, aspect)]));
  report.names.forEach((name, number) => {
    const image = stacks[`image-${number}`];
    const panels = [new Panel("image", name, image, null, aspect)];
    if (stacks.target) panels.push(new Panel("error", name, image, stacks.target, aspect));
    const residual = stacks[`residual-${number}`];
    if (residual) panels.push(new Panel("residual", name, residual, null, aspect));
    cells.push(new Cell(name, scoreWords(report.table, name), panels));
  });
  return { cells, stacks, aspect };
}

/** Protocol, PSNR and SSIM of a method in a few words. */
function scoreWords({ columns, rows }, method) {
  const row = rows.find((cells) => cells[0] === method);
  const cell = (name, digits) => cellWords(row[columns.findIndex((column) => column.name === name)] ?? null, digits);
  const [psnr, ssim] = [cell("PSNR (dB)", 2), cell("SSIM", 3)];
  const said = [psnr && `${psnr} dB`, ssim && `SSIM ${ssim}`].filter(Boolean).join(", ");
  return said && `${cell("protocol", 0)} ${said}`;
}

/** Widths of cells: as large as fits the room, `shown` pictures below each other in each cell. */
function arrange(count, shown, aspect, room) {
  const [head, foot, gap] = [40, 22, 10];
  if (room.narrow) return count > 1 ? { columns: 2, width: (room.width - gap) / 2 } : { columns: 1, width: room.width };
  let best = { columns: 1, width: 0 };
  for (let columns = 1; columns <= count; columns++) {
    const rows = Math.ceil(count / columns);
    const height = (room.height - gap * (rows - 1)) / rows - head - shown * foot;
    const width = Math.min((room.width - gap * (columns - 1)) / columns, (height / shown) * aspect);
    if (width > best.width) best = { columns, width };
  }
  if (best.width >= 150) return best;
  const columns = Math.max(1, Math.min(count, Math.floor((room.width + gap) / 190)));
  return { columns, width: Math.min(320, (room.width - gap * (columns - 1)) / columns) };
}
