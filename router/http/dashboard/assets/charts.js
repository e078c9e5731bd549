// Lines over time, by uPlot, in the colours of the page. What a line says stands beside it in words.

import uPlot from "./vendor/uplot.js";
import { h, setText } from "./dom.js";

const HEIGHT = 132;
const dark = matchMedia("(prefers-color-scheme: dark)");
const charts = new Set();
dark.addEventListener("change", () => charts.forEach((chart) => chart.draw()));
const sized = new ResizeObserver((entries) => {
  for (const { target } of entries) target.chart?.resize();
});

/** A figure of lines that share a unit. `lines`: `{label, fill}`; `format`: of values; `most`: the top of
 *  the scale, `least`: of what it has at least; `window`: seconds that are shown, up to the last one. */
export class Chart {
  #lines;
  #format;
  #most;
  #least;
  #window;
  #known = false;
  #focus = null;
  #data;
  #plot = null;
  #values;

  constructor(title, lines, format, { most = null, least = 0, window = null, sync = "now" } = {}) {
    [this.#lines, this.#format, this.#most, this.#least, this.#window, this.sync] = [lines, format, most, least, window, sync];
    this.#data = [[], ...lines.map(() => [])];
    this.#values = lines.map(() => h("b", { class: "num" }, "–"));
    const legend = lines.map((line, at) => h("li", {}, h("i", { class: `key key-${at}`, "aria-hidden": true }), `${line.label} `, this.#values[at]));
    this.canvas = h("div", { class: "plot", "aria-hidden": true });
    this.empty = h("p", { class: "plot-empty", hidden: true });
    this.element = h(
      "figure", { class: "chart" },
      h("figcaption", {}, h("span", { class: "chart-title" }, title), h("ul", { class: "legend" }, legend)),
      h("div", { class: "plot-frame" }, this.canvas, this.empty),
    );
    this.canvas.chart = this;
    charts.add(this);
    sized.observe(this.canvas);
  }

  /** `at`: seconds since the epoch; `columns`: values of each line, null where none is known; `focus`: from
   *  when to when, of what the legend tells the middle; without it, the last values. */
  update(at, columns, { nothing = "", focus = null } = {}) {
    [this.#data, this.#focus] = [[at, ...columns], focus];
    this.#known = columns.some((values) => values.some((value) => value !== null));
    this.empty.hidden = this.#known || !nothing;
    setText(this.empty, nothing);
    if (this.#plot) this.#plot.setData(this.#data);
    else this.draw();
    this.#tell(this.#rest);
  }

  get #rest() {
    const [at] = this.#data;
    return this.#focus ? at.findLastIndex((time) => time <= (this.#focus[0] + this.#focus[1]) / 2) : at.length - 1;
  }

  #band(plot) {
    if (!this.#focus) return;
    const [from, to] = this.#focus.map((time) => plot.valToPos(time, "x", true));
    plot.ctx.fillStyle = getComputedStyle(this.canvas).getPropertyValue("--grid");
    plot.ctx.fillRect(from, plot.bbox.top, to - from, plot.bbox.height);
  }

  resize() {
    const width = this.canvas.clientWidth;
    if (!width) return;
    if (this.#plot) this.#plot.setSize({ width, height: HEIGHT });
    else this.draw();
  }

  draw() {
    this.#plot?.destroy();
    this.#plot = null;
    if (this.canvas.clientWidth) this.#plot = new uPlot(this.#options(), this.#data, this.canvas);
  }

  #tell(index) {
    this.#values.forEach((element, line) => setText(element, this.#format(this.#data[line + 1][index])));
  }

  #options() {
    const style = getComputedStyle(this.canvas);
    const [ink, grid] = [style.getPropertyValue("--muted"), style.getPropertyValue("--grid")];
    const colours = [0, 1, 2].map((at) => style.getPropertyValue(`--line-${at}`));
    const axis = { stroke: ink, font: "11px system-ui", ticks: { show: false }, grid: { stroke: grid, width: 1 } };
    return {
      width: this.canvas.clientWidth,
      height: HEIGHT,
      legend: { show: false },
      padding: [8, 16, 0, 0],
      cursor: { sync: { key: this.sync }, points: { size: 6 }, drag: { x: false, y: false }, y: false },
      scales: {
        x: { range: (_, first, last) => (this.#window ? [last - this.#window, last] : [first, last]) },
        y: { range: (_, low, high) => [0, this.#most ?? (Math.max(1.15 * high, this.#least) || 1)] },
      },
      axes: [
        { ...axis, grid: { show: false }, space: 44, incrs: [60, 120, 300, 600], values: "{HH}:{mm}", size: 24 },
        { ...axis, size: 54, space: 34, values: (_, splits) => splits.map((value) => (this.#known ? this.#format(value) : "")) },
      ],
      series: [
        {},
        ...this.#lines.map((line, at) => ({
          stroke: colours[at],
          width: 1.5,
          fill: line.fill ? style.getPropertyValue("--fill") : undefined,
          points: { show: false },
        })),
      ],
      hooks: { setCursor: [(plot) => this.#tell(plot.cursor.idx ?? this.#rest)], drawClear: [(plot) => this.#band(plot)] },
    };
  }
}
