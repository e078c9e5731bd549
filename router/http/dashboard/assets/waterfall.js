// A call's time as parts of a bar: held by the router, queued, prefilled, decoded.

import { h, keyed } from "./dom.js";
import { seconds } from "./format.js";

const NAMES = { held: "held by the router", queue: "in the engine's queue", prefill: "prefill", decode: "decode" };

/** The parts of a call, as the feed tells it. */
export function parts(call) {
  const end = call.ended_s ?? call.now_s;
  const first = call.attempts.length ? Math.min(...call.attempts.map((one) => one.from_s)) : end;
  const found = [{ kind: "held", from: 0, to: first }];
  for (const one of call.attempts) {
    const to = one.to_s ?? end;
    const began = one.began_s ?? (one.first_s === null ? to : one.from_s);
    const token = one.first_s ?? to;
    found.push({ kind: "queue", from: one.from_s, to: began }, { kind: "prefill", from: began, to: token }, { kind: "decode", from: token, to });
  }
  return found.filter((part) => part.to > part.from).map((part) => ({ ...part, label: NAMES[part.kind] }));
}

export function waterfall() {
  const bar = h("div", { class: "fall", role: "img" });
  return Object.assign(bar, {
    show(list, whole) {
      const label = list.map((part) => `${part.label} ${seconds(part.to - part.from)}`).join(", ") || "nothing yet";
      bar.setAttribute("aria-label", label);
      bar.title = label;
      keyed(bar, list.map((part, at) => ({ ...part, at })), (part) => part.at, () => h("span"), (element, part) => {
        element.className = `fall-${part.kind}`;
        element.style.left = `${(100 * part.from) / whole}%`;
        element.style.width = `${(100 * (part.to - part.from)) / whole}%`;
      });
    },
  });
}

export const phasesKey = () =>
  h("ul", { class: "legend" }, Object.entries(NAMES).map(([kind, name]) => h("li", {}, h("i", { class: `key fall-${kind}`, "aria-hidden": true }), name)));
