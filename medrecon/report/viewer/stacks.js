/** A stack of images as it lies in the page: numbers n of 16 bits, a slice a line; value = offset + step n. */
class Stack {
  constructor({ id, shape, offset, step }) {
    [this.slices, this.height, this.width] = shape;
    Object.assign(this, { id, offset, step, lines: null, unpacked: new Map() });
  }

  /** The values of a slice, row by row. */
  async values(slice) {
    if (!this.unpacked.has(slice)) this.unpacked.set(slice, this.unpack(slice));
    const numbers = await this.unpacked.get(slice);
    const values = new Float32Array(numbers.length);
    for (let i = 0; i < numbers.length; i++) values[i] = this.offset + this.step * numbers[i];
    return values;
  }

  async unpack(slice) {
    this.lines ??= document.getElementById(this.id).textContent.split("\n");
    const text = atob(this.lines[slice]);
    const packed = new Uint8Array(text.length);
    for (let i = 0; i < text.length; i++) packed[i] = text.charCodeAt(i);
    const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"));
    const planes = new Uint8Array(await new Response(stream).arrayBuffer());
    const numbers = new Uint16Array(this.height * this.width);
    for (let row = 0, i = 0; row < this.height; row++) {
      for (let x = 0, n = 0; x < this.width; x++, i++) {
        n += (planes[i] << 8) | planes[numbers.length + i]; // high bytes first; steps along x, modulo 2^16
        numbers[i] = n;
      }
    }
    return numbers;
  }

  forget() {
    this.unpacked.clear();
    this.lines = null;
  }
}

/** 256 colors as numbers that an ImageData takes, through these `[red, green, blue]` at equal steps. */
function palette(...stops) {
  const colors = new Uint8ClampedArray(1024);
  for (let i = 0; i < 256; i++) {
    const place = (i / 255) * (stops.length - 1);
    const below = Math.min(Math.floor(place), stops.length - 2);
    for (let c = 0; c < 3; c++) {
      colors[4 * i + c] = stops[below][c] + (place - below) * (stops[below + 1][c] - stops[below][c]);
    }
    colors[4 * i + 3] = 255;
  }
  return new Uint32Array(colors.buffer);
}

const GRAYS = palette([0, 0, 0], [255, 255, 255]);
const HEAT = palette([0, 0, 4], [40, 17, 89], [114, 31, 129], [183, 55, 121], [241, 96, 93], [254, 176, 120], [252, 253, 191]);

/** Paint values through a window: `low` and less are the first color, `high` and more the last. */
function paint(canvas, values, { low, high }, colors) {
  const context = canvas.getContext("2d");
  const picture = context.createImageData(canvas.width, canvas.height);
  const pixels = new Uint32Array(picture.data.buffer);
  const gain = 255 / (high - low);
  for (let i = 0; i < pixels.length; i++) {
    const gray = (values[i] - low) * gain;
    pixels[i] = colors[gray <= 0 ? 0 : gray >= 255 ? 255 : (gray + 0.5) | 0];
  }
  context.putImageData(picture, 0, 0);
}

/** A number in as many digits as a reader takes in, with a real minus. */
function words(value, digits = 4) {
  if (value === 0) return "0";
  const size = Math.abs(value);
  const text = size >= 1e5 || size < 1e-4 ? value.toExponential(2) : size >= 1000 ? value.toFixed(0) : value.toPrecision(digits);
  return text.replace("-", "\u2212");
}

/** An element with attributes, and children that are elements or text; text is never read as HTML. */
function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}
