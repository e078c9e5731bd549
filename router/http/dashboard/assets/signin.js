// Where the cluster has keys, the page asks for an admin's.

import { key } from "./api.js";
import { h } from "./dom.js";

/** Asks in `place`, and resolves when there is a key to try. */
export function signIn(place, why) {
  return new Promise((resolve) => {
    const secret = h("input", { id: "key", type: "password", autocomplete: "current-password", required: true });
    const form = h(
      "form", {
        class: "panel sign-in",
        "aria-labelledby": "key-title",
        onsubmit(event) {
          event.preventDefault();
          key.set(secret.value.trim());
          resolve();
        },
      },
      h("h2", { id: "key-title" }, "An admin's key, please"),
      h("p", { class: "note" }, "This cluster has API keys. The page keeps yours until this tab is closed."),
      key.get() ? h("p", { class: "error", role: "alert" }, why) : null,
      h("div", { class: "field" }, h("label", { for: "key" }, "API key"), secret),
      h("button", { type: "submit", class: "primary" }, "Sign in"),
    );
    place.replaceChildren(form);
    secret.focus();
  });
}
