function cellWords(cell, digits) {
  if (cell === null) return "";
  if (cell === "inf" || cell === "-inf") return cell === "inf" ? "\u221e" : "\u2212\u221e";
  return typeof cell === "number" ? cell.toFixed(digits).replace("-", "\u2212") : cell;
}

/** Numbers before words, infinity among the numbers, and empty cells last whichever way the rest runs. */
function compareCells(a, b, sign) {
  if (a === null || b === null) return (a === null) - (b === null);
  const [left, right] = [a, b].map((cell) => ({ inf: Infinity, "-inf": -Infinity })[cell] ?? cell);
  if (typeof left !== typeof right) return typeof left === "number" ? -1 : 1;
  if (typeof left === "string") return sign * left.localeCompare(right, "en", { numeric: true });
  return left === right ? 0 : sign * (left < right ? -1 : 1);
}

/** A table that its headings sort: once upwards, again downwards, a third time as it was. */
function tableOf({ caption, columns, rows }) {
  const body = element("tbody");
  const numeric = columns.map((_, index) => rows.some((row) => typeof row[index] === "number"));
  const fill = (order) =>
    body.replaceChildren(
      ...order.map((row) =>
        element("tr", {}, ...row.map((cell, i) => {
          const attributes = { class: numeric[i] ? "number" : "", ...(i === 0 ? { scope: "row" } : {}) };
          return element(i === 0 ? "th" : "td", attributes, cellWords(cell, columns[i].digits));
        })),
      ),
    );
  const headings = columns.map((column, index) => {
    const button = element("button", { type: "button", title: "Sort" }, column.name);
    const heading = element("th", { scope: "col", "aria-sort": "none", class: numeric[index] ? "number" : "" }, button);
    button.addEventListener("click", () => {
      const next = { none: "ascending", ascending: "descending", descending: "none" }[heading.getAttribute("aria-sort")];
      headings.forEach((other) => other.setAttribute("aria-sort", other === heading ? next : "none"));
      const sign = next === "descending" ? -1 : 1;
      fill(next === "none" ? rows : rows.toSorted((a, b) => compareCells(a[index], b[index], sign)));
    });
    return heading;
  });
  fill(rows);
  const table = element("table", {}, element("caption", {}, caption), element("thead", {}, element("tr", {}, ...headings)), body);
  return element("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": caption }, table);
}

function factsOf(facts) {
  return facts.flatMap(([name, value]) => [element("dt", {}, name), element("dd", {}, value)]);
}

/** Fill the side of the page that says what was done to a case. */
async function describe(report, stacks) {
  const find = (id) => document.getElementById(id);
  find("scores").replaceChildren(tableOf(report.table));
  find("facts").replaceChildren(...factsOf(report.facts));
  const told = report.names.map((name, number) => [name, report.methodFacts[number]]).filter(([, facts]) => facts.length);
  const blocks = told.map(([name, facts]) => element("div", { class: "method" }, element("h3", {}, name), element("dl", { class: "line" }, ...facts.map(([fact, value]) => element("div", {}, ...factsOf([[fact, value]]))))));
  find("methods").replaceChildren(find("methods").firstElementChild, ...blocks);
  find("methods").hidden = !blocks.length;
  find("notes").lastElementChild.replaceChildren(...report.notes.map((note) => element("li", {}, note)));
  find("notes").hidden = !report.notes.length;
  find("mask").replaceChildren();
  if (!stacks.mask) return;
  const canvas = element("canvas", { width: stacks.mask.width, height: stacks.mask.height, role: "img", "aria-label": "sampling mask" });
  find("mask").append(canvas, element("figcaption", {}, "sampled (white); ky down, kx right"));
  paint(canvas, await stacks.mask.values(0), { low: 0, high: 1 }, GRAYS);
}
