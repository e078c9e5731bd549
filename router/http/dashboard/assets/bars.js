// Bars in the place of numbers that are parts of a whole.

import { h } from "./dom.js";
import { count } from "./format.js";
import { used } from "./state.js";

/** KV pages: in use, cached, free. */
export function pagesBar() {
  const [inUse, cached] = [h("span", { class: "bar-used" }), h("span", { class: "bar-cached" })];
  const bar = h("div", { class: "bar", role: "img" }, inUse, cached);
  return Object.assign(bar, {
    show(load) {
      const total = load?.pages_total ?? 0;
      const label = total
        ? `${count(used(load))} pages used, ${count(load.pages_cached)} cached, ${count(load.pages_free)} free`
        : "no KV pages yet";
      bar.setAttribute("aria-label", label);
      bar.title = label;
      inUse.style.width = total ? `${(100 * used(load)) / total}%` : "0";
      cached.style.width = total ? `${(100 * load.pages_cached) / total}%` : "0";
    },
  });
}

/** What the colours of such a bar mean. */
export const pagesKey = () =>
  h(
    "ul", { class: "legend" },
    h("li", {}, h("i", { class: "key bar-used", "aria-hidden": true }), "used"),
    h("li", {}, h("i", { class: "key bar-cached", "aria-hidden": true }), "cached"),
    h("li", {}, h("i", { class: "key bar-free", "aria-hidden": true }), "free"),
  );
