// A chat to try a model: what is asked, how it is drawn, and what the answer costs.

import { ask, eventsOf, json } from "./api.js";
import { h, setText } from "./dom.js";
import { rate, seconds } from "./format.js";
import { tokensOf } from "./tokens.js";

const TOP = 5;
const FIELDS = [
  ["temperature", "Temperature", { min: 0, max: 2, step: 0.1, value: 1 }],
  ["top_p", "Top p", { min: 0, max: 1, step: 0.05, value: 1 }],
  ["max_tokens", "Most tokens", { min: 1, step: 1, value: 256 }],
  ["seed", "Seed", { step: 1, placeholder: "any" }],
];
const CHOICES = [["auto", "as the model likes"], ["required", "at least one"], ["none", "none"]];

export function chat() {
  const models = h("select", { id: "chat-model" });
  const numbers = FIELDS.map(([name, label, given]) => [name, h("input", { id: `chat-${name}`, type: "number", inputmode: "decimal", ...given }), label]);
  const system = h("textarea", { id: "chat-system", rows: 2, placeholder: "You are …" });
  const schema = h("textarea", { id: "chat-schema", rows: 4, spellcheck: "false", class: "code", placeholder: '{"type": "object", "properties": {"city": {"type": "string"}}}' });
  const tools = h("textarea", { id: "chat-tools", rows: 4, spellcheck: "false", class: "code", placeholder: '[{"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}]' });
  const choice = h("select", { id: "chat-choice" });
  const logprobs = h("input", { id: "chat-logprobs", type: "checkbox", checked: true });
  const settings = h(
    "form", { class: "panel chat-settings", "aria-label": "How to answer", onsubmit: (event) => event.preventDefault() },
    field("chat-model", "Model", models),
    h("div", { class: "pair" }, numbers.map(([name, input, label]) => field(`chat-${name}`, label, input))),
    h("label", { class: "check" }, logprobs, "Token probabilities"),
    field("chat-system", "System message", system),
    h("details", {}, h("summary", {}, "JSON schema"), field("chat-schema", "The answer is JSON that this schema allows", schema)),
    h("details", {}, h("summary", {}, "Tools"), field("chat-tools", "Functions that the model may call", tools), field("chat-choice", "Calls", choice)),
  );
  const empty = h("p", { class: "empty" }, "Say something. With token probabilities on, point at a token, or move there with the arrow keys, to see what else might have come.");
  const log = h("div", { class: "chat-log", tabindex: "0", role: "log", "aria-label": "Conversation" }, empty);
  const text = h("textarea", { id: "chat-text", rows: 3, placeholder: "Message", "aria-label": "Message" });
  const send = h("button", { type: "submit", class: "primary" }, "Send");
  const stop = h("button", { type: "button", class: "quiet-button", hidden: true, onclick: () => running?.abort() }, "Stop");
  const clear = h("button", { type: "button", class: "quiet-button", onclick: () => begin() }, "New chat");
  const composer = h("form", { class: "composer", onsubmit: (event) => { event.preventDefault(); answer(); } }, text, h("div", { class: "buttons" }, clear, stop, send));
  const element = h("div", { class: "view chat" }, settings, h("section", { class: "panel chat-main", "aria-label": "Chat" }, log, composer));

  let messages = [];
  let running = null;
  let asked = false;

  /** Each function may be the one that must be called. */
  function offer() {
    const chosen = choice.value;
    const names = functionsIn(tools.value).map((name) => [`function ${name}`, `${name}, always`]);
    choice.replaceChildren(...[...CHOICES, ...names].map(([value, label]) => h("option", { value }, label)));
    choice.value = [...choice.options].some(({ value }) => value === chosen) ? chosen : "auto";
  }
  tools.addEventListener("input", offer);
  offer();

  text.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
      event.preventDefault();
      composer.requestSubmit();
    }
  });

  function begin() {
    running?.abort();
    messages = [];
    log.replaceChildren(empty);
    text.focus();
  }

  function body() {
    const told = { model: models.value, stream: true, stream_options: { include_usage: true } };
    for (const [name, input] of numbers) if (input.value !== "") told[name] = Number(input.value);
    told.messages = [...(system.value.trim() ? [{ role: "system", content: system.value }] : []), ...messages];
    if (logprobs.checked) Object.assign(told, { logprobs: true, top_logprobs: TOP });
    if (schema.value.trim()) told.response_format = { type: "json_schema", json_schema: { name: "answer", schema: parsed("JSON schema", schema.value) } };
    if (tools.value.trim()) Object.assign(told, { tools: parsed("Tools", tools.value), tool_choice: chosen(choice.value) });
    return told;
  }

  async function answer() {
    if (running || !text.value.trim()) return;
    messages.push({ role: "user", content: text.value });
    empty.remove();
    log.append(said("user", h("p", {}, text.value)));
    text.value = "";
    const reply = new Reply();
    log.append(reply.element);
    running = new AbortController();
    [send.disabled, stop.hidden] = [true, false];
    try {
      const response = await ask("/v1/chat/completions", { body: body(), signal: running.signal });
      for await (const event of eventsOf(response)) {
        if (event.data === "[DONE]") break;
        reply.add(JSON.parse(event.data));
        log.scrollTop = log.scrollHeight;
      }
    } catch (error) {
      reply.failed(error.name === "AbortError" ? "stopped" : error.message);
    } finally {
      [running, send.disabled, stop.hidden] = [null, false, true];
      reply.end();
      if (reply.message) messages.push(reply.message);
      else messages.pop();
      log.scrollTop = log.scrollHeight;
    }
  }

  return {
    element,
    async opened() {
      if (asked) return;
      try {
        const { data } = await json("/v1/models");
        models.replaceChildren(...data.map((model) => h("option", {}, model.id)));
        asked = data.length > 0;
      } catch (error) {
        log.replaceChildren(h("p", { class: "error" }, error.message));
      }
    },
    show() {},
  };
}

const field = (id, label, input) => h("div", { class: "field" }, h("label", { for: id }, label), input);
const said = (role, ...content) => h("article", { class: `said ${role}`, "aria-label": role }, h("h3", {}, role), ...content);

function parsed(name, text) {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new Error(`${name}: ${error.message}`);
  }
}

const chosen = (value) => (CHOICES.some(([word]) => word === value) ? value : { type: "function", function: { name: value.slice("function ".length) } });

/** Their names, as far as the text of tools is one yet. */
function functionsIn(text) {
  try {
    return JSON.parse(text).map((tool) => tool.function.name).filter((name) => typeof name === "string" && name);
  } catch {
    return [];
  }
}

/** An answer while it comes: its tokens, the calls of tools, what it took. */
class Reply {
  #begun = performance.now();
  #first = null;
  #text = "";
  #calls = [];
  #usage = null;
  #finish = "";
  #failed = "";

  constructor() {
    this.tokens = tokensOf();
    this.tools = h("div", { class: "tools" });
    this.note = h("p", { class: "note num" }, "…");
    this.element = said("assistant", this.tokens, this.tools, this.note);
  }

  get message() {
    if (!this.#text && !this.#calls.length) return null;
    const calls = this.#calls.length ? { tool_calls: this.#calls } : {};
    return { role: "assistant", content: this.#text || null, ...calls };
  }

  add(chunk) {
    if (chunk.error) throw new Error(chunk.error.message);
    if (chunk.usage) this.#usage = chunk.usage;
    const choice = chunk.choices[0];
    if (!choice) return;
    const { delta } = choice;
    this.#first ??= performance.now();
    if (delta.content) {
      this.#text += delta.content;
      this.tokens.add(delta.content, choice.logprobs?.content ?? []);
    }
    for (const call of delta.tool_calls ?? []) this.#tool(call);
    if (choice.finish_reason) this.#finish = choice.finish_reason;
  }

  #tool({ index, id, function: called }) {
    const known = (this.#calls[index] ??= { id, type: "function", function: { name: "", arguments: "" } });
    known.function.name += called?.name ?? "";
    known.function.arguments += called?.arguments ?? "";
    this.tools.replaceChildren(...this.#calls.map((call) => h("pre", {}, `${call.function.name}(${call.function.arguments})`)));
  }

  failed(why) {
    this.#failed = why;
  }

  end() {
    if (this.#failed && this.#failed !== "stopped") this.element.append(h("p", { class: "error", role: "alert" }, this.#failed));
    const [first, all] = [(this.#first - this.#begun) / 1000, (performance.now() - this.#begun) / 1000];
    const tokens = this.#usage?.completion_tokens;
    const told = [this.#failed === "stopped" ? "stopped" : this.#finish && `finished by ${this.#finish}`];
    if (this.#usage) told.push(`${this.#usage.prompt_tokens} + ${tokens} tokens`, `${this.#usage.prompt_tokens_details?.cached_tokens ?? 0} cached`);
    if (this.#first) told.push(`first after ${seconds(first)}`, tokens > 1 && all > first ? `${rate((tokens - 1) / (all - first))} tokens/s` : null);
    setText(this.note, told.filter(Boolean).join(" · "));
  }
}
