// A minute of the past, as the cluster keeps it: choose one, and see what was and what happened.

import { json } from "./api.js";
import { Chart } from "./charts.js";
import { h, keyed, panel, row, setText, table } from "./dom.js";
import { sentence } from "./events.js";
import { clock, compact, count, percent, rate, seconds } from "./format.js";
import { past } from "./history.js";

const COLUMNS = "running,waiting,pages_total,kv_usage,generated_tokens,prefix_hit_rate";
const QUANTILES = [{ label: "p50" }, { label: "p90" }, { label: "p99" }];
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
    [new Chart("Tokens/s", [{ label: "generated", fill: true }, { label: "of prompts" }], rate, { least: 10, sync: "then" }), ["generated", "prompt"]],
    [new Chart("First token", QUANTILES, seconds, { sync: "then" }), ["ttft50", "ttft90", "ttft99"], "No answer began."],
    [new Chart("Between tokens", QUANTILES, seconds, { sync: "then" }), ["itl50", "itl90", "itl99"], "No answer was streamed."],
    [new Chart("Requests", [{ label: "running", fill: true }, { label: "waiting" }], compact, { least: 4, sync: "then" }), ["running", "waiting"]],
    [new Chart("KV pages", [{ label: "used", fill: true }, { label: "cached" }], percent, { most: 1, sync: "then" }), ["used", "cached"]],
    [new Chart("Shares", [{ label: "cache hits" }, { label: "drafts accepted" }], percent, { most: 1, sync: "then" }), ["hits", "accepted"], "No prompt came."],
  ];
  const workers = table("Workers in that minute", ROWS);
  const happened = h("ol", { class: "events" });
  const quiet = h("p", { class: "empty" }, "Nothing happened within two minutes of it.");
  const result = h("div", { class: "view", hidden: true }, h("div", { class: "charts" }, charts.map(([chart]) => chart.element)), panel("Workers then", workers.frame), panel("Events then", happened, quiet));
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
      const end = Math.min(minute + MINUTE_S, now);
      const [points, each, all] = await Promise.all([
        past(since, until),
        json(`/cluster/history?kind=workers&rows=all&columns=${COLUMNS}&since=${minute}&until=${end}&step=${MINUTE_S}`),
        json("/cluster/events"),
      ]);
      if (number === asked) shown(minute, points, each, all.events);
    } catch (error) {
      if (number === asked) nothing(error.message);
    }
  }

  function nothing(why) {
    result.hidden = true;
    status.hidden = false;
    setText(status, why);
  }

  function shown(minute, points, each, events) {
    if (points.used.every((value) => value === null)) {
      return nothing(`Nothing is known of ${local(minute)}: the cluster was not there, or Metrics was not. Go on with the arrows.`);
    }
    result.hidden = false;
    status.hidden = true;
    for (const [chart, names, nothing] of charts) chart.update(points.at, names.map((name) => points[name]), { nothing, focus: [minute, minute + MINUTE_S] });
    const there = each.rows.map((one) => ({ ...one, last: lastOf(one.values) })).filter((one) => one.last.pages_total !== null);
    keyed(workers.body, there, (one) => one.name, () => row(ROWS), (line, one) => {
      const { last } = one;
      const texts = [one.name, one.model, percent(last.kv_usage), count(last.running), count(last.waiting), rate(last.generated_tokens), percent(last.prefix_hit_rate)];
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

const lastOf = (values) => Object.fromEntries(Object.entries(values).map(([name, list]) => [name, list.findLast((value) => value !== null) ?? null]));
const minuteOf = (input) => Math.floor(new Date(input.value).getTime() / 1000 / MINUTE_S) * MINUTE_S;
const local = (at) => new Date(1000 * at).toLocaleString([], { dateStyle: "medium", timeStyle: "short", hourCycle: "h23" });

function setMinute(input, at) {
  const here = new Date(1000 * at);
  input.value = new Date(here.getTime() - 60000 * here.getTimezoneOffset()).toISOString().slice(0, 16);
}
