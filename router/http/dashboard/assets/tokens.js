// An answer's tokens, each with its probability under the cursor, and what might have come instead.

import { h } from "./dom.js";
import { percent } from "./format.js";

let tip = null;
addEventListener("hashchange", hide);

/** A group of tokens of which one can be reached by Tab and the others by arrow keys. */
export function tokensOf() {
  const group = h("p", { class: "tokens", role: "group", "aria-label": "Answer" });
  group.addEventListener("keydown", (event) => move(group, event));
  group.addEventListener("focusout", hide);
  group.addEventListener("pointerleave", hide);
  group.addEventListener("pointerover", (event) => show(event.target.closest(".token")));
  group.addEventListener("focusin", (event) => show(event.target.closest(".token")));
  return Object.assign(group, {
    /** Text, and the tokens that it is made of, if those are told. */
    add(text, told) {
      if (told.map((one) => one.token).join("") !== text) {
        group.append(text); // a stop string was held back, or no probabilities were asked for
        return;
      }
      for (const one of told) group.append(tokenOf(one, !group.querySelector(".token")));
    },
  });
}

function tokenOf(told, first) {
  const share = Math.exp(told.logprob);
  const element = h("span", { class: "token", tabindex: first ? "0" : "-1", role: "button", "aria-label": `${told.token}, ${percent(share)}` }, told.token);
  element.style.setProperty("--doubt", (1 - share).toFixed(3));
  return Object.assign(element, { told });
}

function move(group, event) {
  const step = { ArrowRight: 1, ArrowLeft: -1, Home: -Infinity, End: Infinity }[event.key];
  if (!step || !event.target.matches(".token")) return;
  event.preventDefault();
  const tokens = [...group.querySelectorAll(".token")];
  const at = Math.min(tokens.length - 1, Math.max(0, tokens.indexOf(event.target) + step));
  event.target.tabIndex = -1;
  tokens[at].tabIndex = 0;
  tokens[at].focus();
}

function show(token) {
  if (!token) return;
  hide();
  const { logprob, token: text, top_logprobs: others } = token.told;
  const listed = others.some((one) => one.token === text) ? others : [{ token: text, logprob }, ...others];
  tip = h(
    "div", { class: "tip", role: "tooltip" },
    h("table", {}, h("tbody", {}, listed.map((one) => {
      const share = Math.exp(one.logprob);
      const bar = h("span", { class: "tip-bar" });
      bar.style.width = `${100 * share}%`;
      return h("tr", { "data-drawn": one.token === text }, h("td", {}, h("code", {}, JSON.stringify(one.token))), h("td", { class: "num" }, percent(share)), h("td", { class: "tip-track" }, bar));
    }))),
  );
  document.body.append(tip);
  const [at, size] = [token.getBoundingClientRect(), tip.getBoundingClientRect()];
  const above = at.top > size.height + 8;
  tip.style.left = `${Math.max(8, Math.min(at.left, innerWidth - size.width - 8))}px`;
  tip.style.top = `${above ? at.top - size.height - 6 : at.bottom + 6}px`;
}

function hide() {
  tip?.remove();
  tip = null;
}
