// The workers, one row each: state, ranks, KV pages, load, and what they are run with.

import { json } from "./api.js";
import { pagesBar, pagesKey } from "./bars.js";
import { dialog, h, keyed, panel, row, setText, table } from "./dom.js";
import { count, percent, rate, seconds, watts } from "./format.js";

const COLUMNS = [
  ["Worker"], ["State"], ["KV pages", "wide"], ["Used", "num"], ["Running", "num"], ["Waiting", "num"],
  ["Tokens/s", "num"], ["Cache hits", "num"], ["Accepted", "num"], ["Power", "num"], ["Ranks", "num"], ["Model"],
];
const WORDS = { ready: "ready", draining: "draining", loading: "loading", failed: "failed", lost: "lost" };

export function workersPanel() {
  const list = table("Workers", COLUMNS);
  const empty = h(
    "p", { class: "empty", hidden: true },
    "No worker yet. Start some with ", h("code", {}, "raylax serve MODEL"), "; they appear here while they load.",
  );
  const coming = h("ul", { class: "coming", "aria-label": "Workers that are to come" });
  const settings = dialog("settings-title");
  const element = panel("Workers", list.frame, coming, empty, settings);
  element.note.replaceWith(pagesKey());
  return Object.assign(element, {
    show(cluster) {
      const due = cluster.models.filter((model) => model.starting || (!model.ready && model.least === 0));
      empty.hidden = cluster.workers.length + due.length > 0;
      list.frame.hidden = !cluster.workers.length;
      keyed(coming, due, (model) => model.name, () => h("li"), (line, model) => setText(line, `${model.name}: ${expected(model)}`));
      keyed(list.body, cluster.workers, (worker) => worker.name, (worker) => made(worker, settings), shown);
    },
  });
}

/** How far a model's next worker is, and how many wait for it. */
function expected({ ready, starting, starting_s, start_s, held }) {
  const first = starting > 1 ? `${count(starting)} starting, the first` : "one starting";
  const next = starting ? `${first} for ${seconds(starting_s)} of about ${seconds(start_s)}` : "the next request starts one";
  return [`${count(ready)} ready`, next, ...(held ? [`${count(held)} waiting`] : [])].join(", ");
}

function made(worker, settings) {
  const element = row(COLUMNS);
  const [name, state, pages] = element.cells;
  name.append(h("button", { class: "name", type: "button", title: "Configuration", onclick: () => settings.ask(worker.name, () => settingsOf(worker.name)) }, worker.name));
  const [dot, word] = [h("span", { class: "dot", "aria-hidden": true }), h("span")];
  state.append(h("span", { class: "state" }, dot, word));
  const bar = pagesBar();
  pages.append(bar);
  return Object.assign(element, { dot, word, bar });
}

function shown(element, worker) {
  const { load, rates } = worker;
  element.dataset.state = worker.state;
  setText(element.word, worker.state === "loading" ? worker.report?.stage || "loading" : WORDS[worker.state] ?? worker.state);
  element.title = worker.report?.fault ?? "";
  element.bar.show(load);
  const share = (part, whole) => (rates[whole] ? percent(rates[part] / rates[whole]) : "–");
  const texts = [
    percent(load?.kv_usage), count(load?.running), count(load?.waiting),
    rate(rates.seconds ? rates.generated_tokens / rates.seconds : null),
    share("cached_tokens", "prompt_tokens"), share("accepted_tokens", "drafted_tokens"), watts(worker.power),
    count(worker.ranks), worker.model,
  ];
  texts.forEach((text, at) => setText(element.cells[at + 3], text));
}

/** All that a worker is run with, as GET /cluster tells it. */
async function settingsOf(name) {
  const { workers } = await json("/cluster");
  const worker = workers.find((one) => one.worker_id === name);
  return worker ? sections(worker) : [h("p", { class: "empty" }, "Metrics knows nothing of it: it is gone, or has not reported yet.")];
}

function sections(worker) {
  const { load, engine_config: config, versions } = worker;
  const pace = load.pace;
  const about = {
    address: worker.address, pid: worker.pid, node: worker.node, cores: worker.cores.join(", "), "last report": `${seconds(worker.age_s)} ago`,
    "a step takes": seconds(pace.a), "for each prefill token": seconds(pace.b), "for each sequence that decodes": seconds(pace.c),
    steps: count(load.step), preemptions: count(load.preemptions),
  };
  const gpus = worker.gpus.map((gpu) => [`GPU ${gpu.name}`, { uuid: gpu.uuid, use: percent(gpu.utilization), power: watts(gpu.power_w), xid: gpu.xid }]);
  return [["Process", about], ...gpus, ["Engine configuration", config], ["Versions", versions]].map(([name, values]) =>
    h("section", {}, h("h3", {}, name), h("dl", {}, Object.entries(values).flatMap(([term, value]) => [
      h("dt", {}, term), h("dd", {}, typeof value === "object" && value !== null ? JSON.stringify(value) : String(value)),
    ]))));
}
