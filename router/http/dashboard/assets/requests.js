// The calls that run and those that have just ended, each with its waterfall; one of them at length.

import { json } from "./api.js";
import { dialog, h, keyed, panel, row, setText, table } from "./dom.js";
import { count, percent, rate, seconds } from "./format.js";
import { parts, phasesKey, waterfall } from "./waterfall.js";

const COLUMNS = [["Call"], ["Tenant"], ["Model"], ["Worker"], ["Router", "router"], ["Tokens", "num"], ["Tokens/s", "num"], ["Cached", "num"], ["First token", "num"], ["Took", "num"], ["Timeline", "wide"]];

export function requests() {
  const [running, ended] = [callsTable("Running"), callsTable("Ended")];
  const quiet = h("p", { class: "empty" }, "No request runs. Send one to ", h("code", {}, "/v1/chat/completions"), ", or use the ", h("a", { href: "#chat" }, "chat"), ".");
  const before = h("p", { class: "empty" }, "Nothing has ended yet.");
  const why = dialog("call-title");
  const [now, past] = [panel("Running", running.frame, quiet), panel("Just ended", ended.frame, before)];
  const told = h("p", { class: "note" });
  now.note.replaceWith(told, phasesKey());
  const element = h("div", { class: "view" }, now, past, why);
  const show = (list, empty, calls) => {
    empty.hidden = calls.length > 0;
    list.frame.hidden = !empty.hidden;
    keyed(list.body, calls, (call) => call.id, (call) => made(call, why), shown);
  };
  return {
    element,
    show(cluster) {
      const run = cluster.calls.filter((call) => call.ended_s === null);
      setText(told, cluster.running > run.length ? `the ${run.length} longest of ${count(cluster.running)}` : "");
      element.toggleAttribute("data-routers", cluster.routers.length > 1);
      show(running, quiet, run);
      show(ended, before, cluster.calls.filter((call) => call.ended_s !== null));
    },
  };
}

const callsTable = (name) => table(`${name} calls`, COLUMNS);

function made(call, why) {
  const element = row(COLUMNS);
  element.cells[0].append(h("button", { class: "name", type: "button", title: "Explain", onclick: () => why.ask(call.id, () => explained(call.id)) }, call.id));
  return Object.assign(element, { bar: element.cells[10].appendChild(waterfall()) });
}

function shown(element, call) {
  const first = Math.min(...call.attempts.map((one) => one.first_s ?? Infinity));
  const took = call.ended_s ?? call.now_s;
  const asked = call.attempts.reduce((sum, one) => sum + one.prompt_tokens, 0);
  const cached = call.attempts.reduce((sum, one) => sum + one.cached_tokens, 0);
  const texts = [
    call.tenant || "anybody", call.model, [...new Set(call.attempts.map((one) => one.worker))].join(", ") || "waits for its turn", call.router,
    count(call.tokens), first < took ? rate(call.tokens / (took - first)) : "–", asked ? percent(cached / asked) : "–",
    seconds(Number.isFinite(first) ? first : null), seconds(took),
  ];
  texts.forEach((text, at) => setText(element.cells[at + 1], text));
  element.bar.show(parts(call), took);
}

/** All that happened to a call and why it went where it did, as `raylax explain` has it. */
async function explained(id) {
  const told = await json(`/explain/${encodeURIComponent(id)}`);
  return [moments(told.moments), ...told.choices.map(decision)];
}

const MOMENTS = [["What"], ["ms", "num"], ["Until the next", "wide"], ["Detail"]];
const SINCE = { admitted: "held", lost: "held", "handed over": "held", "waits for a worker": "held", sent: "queue", began: "prefill", "first token": "decode" };

function moments(list) {
  const end = Math.max(...list.map((one) => one.at_s), 1e-6);
  const shown = table("What happened", MOMENTS);
  list.forEach((moment, at) => {
    const element = row(MOMENTS);
    const until = list[at + 1]?.at_s ?? end;
    const bar = waterfall();
    bar.show([{ kind: SINCE[moment.name] ?? "moment", from: moment.at_s, to: Math.max(until, moment.at_s + 0.01 * end), label: moment.name }], end);
    [moment.name, (1000 * moment.at_s).toFixed(1), null, moment.detail].forEach((text, cell) => text !== null && setText(element.cells[cell], text));
    element.cells[2].append(bar);
    shown.body.append(element);
  });
  return h("section", {}, h("h3", {}, "What happened"), shown.frame);
}

function decision(choice) {
  const terms = Object.keys(choice.candidates[0]?.terms ?? {});
  const columns = [["Worker"], ["Age", "num"], ...terms.map((term) => [term, "num"])];
  const shown = table(`Candidates for ${choice.request_id}`, columns);
  for (const one of choice.candidates) {
    const element = row(columns);
    const texts = [one.worker, seconds(one.age_s), ...terms.map((term) => Number(one.terms[term].toPrecision(4)).toString())];
    texts.forEach((text, at) => setText(element.cells[at], text));
    if (one.worker === choice.chosen) element.dataset.chosen = "";
    shown.body.append(element);
  }
  return h("section", {}, h("h3", {}, `${choice.policy} chose ${choice.chosen}`), h("p", { class: "note" }, choice.reason), shown.frame);
}
