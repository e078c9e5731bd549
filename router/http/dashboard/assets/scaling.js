// What the autoscaler decided and why: its receipts, the newest first.

import { h, keyed, panel } from "./dom.js";
import { clock, count, percent } from "./format.js";

export function scalingPanel() {
  const list = h("ol", { class: "events" });
  const empty = h(
    "p", { class: "empty" },
    "No decision yet. Set ", h("code", {}, "max_replicas"), " above ", h("code", {}, "replicas"), ", and the number of workers follows the load.",
  );
  return Object.assign(panel("Autoscaler", list, empty), {
    show(cluster) {
      const told = cluster.events.filter((event) => event.kind === "scaling").slice(0, 20);
      empty.hidden = told.length > 0;
      keyed(list, told, (event) => String(event.id), receipt);
    },
  });
}

/** A decision in a line, and all that it was made of below it. */
export function receipt(event) {
  const told = event.detail ?? {};
  const facts = [
    ["work, in workers", told.work?.toFixed?.(2)],
    ["growth until one is ready", told.growth?.toFixed?.(2)],
    ["needed", count(told.need)],
    ["most of the last starts", count(told.hold)],
    ["to drain the backlog", count(told.drain)],
    ["in time with one less, with these, with one more", told.in_time?.map?.(percent).join(", ")],
  ].filter(([, value]) => value !== undefined && value !== "–");
  const line = [h("time", { class: "num" }, clock(event.at)), h("b", {}, `${event.model || event.who}: ${count(told.choice)} workers`), h("span", {}, told.reason ?? event.text)];
  if (!facts.length) return h("li", {}, line);
  return h("li", {}, h("details", {}, h("summary", {}, line), h("dl", { class: "facts" }, facts.flatMap(([name, value]) => [h("dt", {}, name), h("dd", { class: "num" }, value)]))));
}
