// What happened: who came, drained, left, was lost; what was changed. New losses are said aloud.

import { h, keyed, panel } from "./dom.js";
import { clock } from "./format.js";

const WORDS = {
  joined: "joined", ready: "is ready", draining: "drains", left: "left", failed: "failed", lost: "was lost",
  settings: "configured the cluster", commanded: "had done",
};
const SHOWN_MS = 10000;

export const sentence = (event) => event.kind === "configured" ? event.text : `${event.who} ${WORDS[event.kind] ?? event.kind}${event.text ? `: ${event.text}` : ""}`;

export function eventsPanel() {
  const list = h("ol", { class: "events", "aria-live": "polite", "aria-relevant": "additions" });
  const empty = h("p", { class: "empty" }, "Nothing has happened since this page was opened: joins, drains and losses stand here.");
  return Object.assign(panel("Events", list, empty), {
    show(cluster) {
      const told = cluster.events.filter((event) => event.kind !== "scaling").slice(0, 30);
      empty.hidden = told.length > 0;
      keyed(list, told, (event) => `${event.who} ${event.kind} ${event.at.toFixed(3)}`, item);
    },
  });
}

function item(event) {
  const time = h("time", { class: "num", datetime: new Date(1000 * event.at).toISOString() }, clock(event.at));
  return h("li", { "data-kind": event.kind }, time, h("span", { class: "dot", "aria-hidden": true }), h("span", { class: "clamp", title: sentence(event) }, sentence(event)));
}

/** Shows what is bad news for some seconds, wherever the user is; it covers no control for long. */
export function alertOf(events, place) {
  for (const event of events.filter((one) => one.kind === "lost" || one.kind === "failed")) {
    const element = h("p", { class: "alert" }, sentence(event));
    place.append(element);
    setTimeout(() => element.remove(), SHOWN_MS);
  }
}
