// The cluster as it is: the numbers that matter, their last five minutes, and who does the work.

import { Chart } from "./charts.js";
import { h, keyed, panel, row, setText, table } from "./dom.js";
import { eventsPanel } from "./events.js";
import { compact, count, percent, rate, seconds } from "./format.js";
import { scalingPanel } from "./scaling.js";
import { workersPanel } from "./workers.js";

const TILES = [
  ["Workers ready", (now) => count(now.ready), (now) => `of ${count(now.workers)}`],
  ["Tokens/s", (now) => rate(now.generated), (now) => `${rate(now.prompt)} of prompts`],
  ["Running", (now) => count(now.running), (now) => `${count(now.waiting)} waiting`],
  ["First token, p99", (now) => seconds(now.ttft99), (now) => `p50 ${seconds(now.ttft50)}`],
  ["Between tokens, p99", (now) => seconds(now.itl99), (now) => `p50 ${seconds(now.itl50)}`],
  ["KV pages used", (now) => percent(now.used), (now) => `${percent(now.cached)} cached`],
  ["Cache hits", (now) => percent(now.hits), () => "of prompt tokens"],
  ["Drafts accepted", (now) => percent(now.accepted), () => "of drafted tokens"],
];
const WINDOW_S = 300;
const QUANTILES = [{ label: "p50" }, { label: "p90" }, { label: "p99" }];
const QUEUE = [["Tenant"], ["Class"], ["Model"], ["Held", "num"], ["Sent", "num"], ["Running", "num"]];
const ROUTERS = [["Router"], ["State"], ["Requests", "num"], ["Of at most", "num"], ["Workers", "num"]];

export function overview() {
  const tiles = TILES.map(([name]) => {
    const [value, beside] = [h("dd", { class: "num value" }, "–"), h("dd", { class: "note num" }, "")];
    return { element: h("div", { class: "tile" }, h("dt", {}, name), value, beside), value, beside };
  });
  const charts = [
    [new Chart("Tokens/s", [{ label: "generated", fill: true }, { label: "of prompts" }], rate, { least: 10, window: WINDOW_S }), ["generated", "prompt"]],
    [new Chart("First token", QUANTILES, seconds, { window: WINDOW_S }), ["ttft50", "ttft90", "ttft99"], "No answer has begun in these minutes."],
    [new Chart("Between tokens", QUANTILES, seconds, { window: WINDOW_S }), ["itl50", "itl90", "itl99"], "No answer was streamed in these minutes."],
    [new Chart("Requests", [{ label: "running", fill: true }, { label: "waiting" }], compact, { least: 4, window: WINDOW_S }), ["running", "waiting"]],
    [new Chart("KV pages", [{ label: "used", fill: true }, { label: "cached" }], percent, { most: 1, window: WINDOW_S }), ["used", "cached"]],
    [new Chart("Shares", [{ label: "cache hits" }, { label: "drafts accepted" }], percent, { most: 1, window: WINDOW_S }), ["hits", "accepted"], "No prompt has come in these minutes."],
  ];
  const workers = workersPanel();
  const [queue, routers] = [queuePanel(), routersPanel()];
  const [happened, scaling] = [eventsPanel(), scalingPanel()];
  const element = h(
    "div", { class: "view" },
    h("dl", { class: "tiles", "aria-label": "Now" }, tiles.map((tile) => tile.element)),
    h("div", { class: "charts" }, charts.map(([chart]) => chart.element)),
    workers,
    h("div", { class: "columns" }, h("div", { class: "view" }, queue, scaling), h("div", { class: "view" }, happened, routers)),
  );
  return {
    element,
    show(cluster) {
      TILES.forEach(([, value, beside], at) => {
        setText(tiles[at].value, value(cluster.now));
        setText(tiles[at].beside, beside(cluster.now));
      });
      for (const [chart, names, nothing] of charts) {
        chart.update(cluster.points.at, names.map((name) => cluster.points[name]), { nothing });
      }
      for (const part of [workers, queue, routers, happened, scaling]) part.show(cluster);
    },
  };
}

function queuePanel() {
  const list = table("Queue by tenant and class", QUEUE);
  const empty = h("p", { class: "empty" }, "Nothing waits and nothing runs. Try a model in the ", h("a", { href: "#chat" }, "chat"), ".");
  const element = panel("Queue", list.frame, empty);
  return Object.assign(element, {
    show(cluster) {
      setText(element.note, cluster.routers.length > 1 ? `of ${cluster.routers.length} routers` : "");
      empty.hidden = cluster.queue.length > 0;
      list.frame.hidden = !empty.hidden;
      keyed(list.body, cluster.queue, (one) => one.id, () => row(QUEUE), (element, one) => {
        const texts = [one.tenant || "anybody", one.class, one.model, count(one.held), count(one.sent), count(one.running)];
        texts.forEach((text, at) => setText(element.cells[at], text));
      });
    },
  });
}

function routersPanel() {
  const list = table("Routers", ROUTERS);
  return Object.assign(panel("Routers", list.frame), {
    show(cluster) {
      keyed(list.body, cluster.routers, (one) => one.router, () => row(ROUTERS), (element, one) => {
        const workers = Object.values(one.models).reduce((sum, model) => sum + Object.keys(model.workers).length, 0);
        element.dataset.state = one.silent ? "lost" : "ready";
        const texts = [one.router || "this one", one.silent ? "silent" : "answers", count(one.places), count(one.most_places), count(workers)];
        texts.forEach((text, at) => setText(element.cells[at], text));
      });
    },
  });
}
