// A minute of the past, as the cluster keeps it: choose one, and see what was and what happened.

import { json } from "./api.js";
import { Chart } from "./charts.js";
import { h, keyed, panel, row, setText, table } from "./dom.js";
import { sentence } from "./events.js";
import { clock, compact, count, percent, rate } from "./format.js";

const COLUMNS = "running,waiting,queued_tokens,pages_total,pages_used,pages_cached,prompt_tokens,cached_tokens,generated_tokens,drafted_tokens,accepted_tokens";
const ROWS = [["Worker"], ["Model"], ["KV used", "num"], ["Running", "num"], ["Waiting", "num"], ["Tokens/s", "num"], ["Cache hits", "num"]];
const MINUTE_S = 60;
const DAY_S = 24 * 3600;
const MARGIN_S = 120;

export function replay() {
  const when = h("input", { id: "replay-when", type: "datetime-local", step: MINUTE_S, required: true });
  const step = (minutes, label) => h("button", { type: "button", class: "quiet-button", "aria-label": label, onclick: () => go(minuteOf(when) + minutes * MINUTE_S) }, minutes < 0 ? "←" : "→");
  const form = h(
    "form", { class: "panel picker", "aria-label": "Which minute", onsubmit: (event) => { event.preventDefault(); go(minuteOf(when)); } },
    h("label", { for: "replay-when" }, "Minute"), when, step(-1, "One minute earlier"), step(1, "One minute later"),
    h("button", { type: "submit", class: "primary" }, "Show"),
  );
  const status = h("p", { class: "empty", role: "status" });
  const charts = [
    [new Chart("Tokens/s", [{ label: "generated", fill: true }, { label: "of prompts" }], rate, { least: 10, sync: "then" }), (v) => [v.generated_tokens, v.prompt_tokens]],
    [new Chart("Requests", [{ label: "running", fill: true }, { label: "waiting" }], compact, { least: 4, sync: "then" }), (v) => [v.running, v.waiting]],
    [new Chart("KV pages", [{ label: "used", fill: true }, { label: "cached" }], percent, { most: 1, sync: "then" }), (v) => [shares(v.pages_used, v.pages_total), shares(v.pages_cached, v.pages_total)]],
    [new Chart("Shares", [{ label: "cache hits" }, { label: "drafts accepted" }], percent, { most: 1, sync: "then" }), (v) => [shares(v.cached_tokens, v.prompt_tokens), shares(v.accepted_tokens, v.drafted_tokens)]],
  ];
  const workers = table("Workers in that minute", ROWS);
  const happened = h("ol", { class: "events" });
  const quiet = h("p", { class: "empty" }, "Nothing happened within two minutes of it.");
  const result = h("div", { class: "view", hidden: true }, h("div", { class: "charts by-two" }, charts.map(([chart]) => chart.element)), panel("Workers then", workers.frame), panel("Events then", happened, quiet));
  const element = h("div", { class: "view" }, form, status, result);
  let asked = 0;

  async function go(minute) {
    if (Number.isNaN(minute)) return;
    setMinute(when, minute);
    const now = Date.now() / 1000;
    if (minute > now || minute < now - DAY_S) {
      return nothing(`That minute is not kept: there is history from ${local(now - DAY_S)} to ${local(now)}.`);
    }
    const number = ++asked;
    setText(status, "asking Metrics …");
    try {
      const [since, until] = [minute - MARGIN_S, Math.min(minute + MINUTE_S + MARGIN_S, now)];
      const of = (rows, extra) => json(`/cluster/history?kind=workers&rows=${rows}&columns=${COLUMNS}&${extra}`);
      const [sums, each, all] = await Promise.all([
        of("sums", `since=${since}&until=${until}`),
        of("all", `since=${minute}&until=${Math.min(minute + MINUTE_S, now)}&step=${MINUTE_S}`),
        json("/cluster/events"),
      ]);
      if (number === asked) shown(minute, sums, each, all.events);
    } catch (error) {
      if (number === asked) nothing(error.status === 404 ? "This cluster keeps no history." : error.message);
    }
  }

  function nothing(why) {
    result.hidden = true;
    status.hidden = false;
    setText(status, why);
  }

  function shown(minute, sums, each, events) {
    const whole = sums.rows.find((one) => one.name === "");
    if (!whole || whole.values.pages_total.every((value) => value === null)) {
      return nothing(`Nothing is known of ${local(minute)}: the cluster was not there, or Metrics was not. Go on with the arrows.`);
    }
    result.hidden = false;
    status.hidden = true;
    for (const [chart, columns] of charts) chart.update(sums.at, columns(whole.values));
    const there = each.rows.map((one) => ({ ...one, last: lastOf(one.values) })).filter((one) => one.last.pages_total !== null);
    keyed(workers.body, there, (one) => one.name, () => row(ROWS), (line, one) => {
      const { last } = one;
      const texts = [one.name, one.model, percent(over(last.pages_used, last.pages_total)), count(last.running), count(last.waiting), rate(last.generated_tokens), percent(over(last.cached_tokens, last.prompt_tokens))];
      texts.forEach((text, at) => setText(line.cells[at], text));
    });
    const near = events.filter((event) => event.at > minute - MARGIN_S && event.at < minute + MINUTE_S + MARGIN_S);
    quiet.hidden = near.length > 0;
    keyed(happened, near, (event) => event.id, (event) => h("li", { "data-kind": event.kind }, h("time", { class: "num" }, clock(event.at)), h("span", { class: "dot", "aria-hidden": true }), h("span", { class: "clamp" }, event.kind === "scaling" ? event.detail.reason ?? event.text : sentence(event))));
  }

  return {
    element,
    opened() {
      if (!when.value) go(Math.floor(Date.now() / 1000 / MINUTE_S - 1) * MINUTE_S);
    },
    show() {},
  };
}

const over = (part, whole) => (whole ? part / whole : null);
const shares = (parts, wholes) => parts.map((part, at) => over(part, wholes[at]));
const lastOf = (values) => Object.fromEntries(Object.entries(values).map(([name, list]) => [name, list.findLast((value) => value !== null) ?? null]));
const minuteOf = (input) => Math.floor(new Date(input.value).getTime() / 1000 / MINUTE_S) * MINUTE_S;
const local = (at) => new Date(1000 * at).toLocaleString([], { dateStyle: "medium", timeStyle: "short", hourCycle: "h23" });

function setMinute(input, at) {
  const here = new Date(1000 * at);
  input.value = new Date(here.getTime() - 60000 * here.getTimezoneOffset()).toISOString().slice(0, 16);
}
