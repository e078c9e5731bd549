// What the page asks of the router, with the key that its user has shown.
// The key is kept for this tab alone, and goes only where this page came from.

const KEY = "raylax-key";

export class Refused extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
  get needsKey() {
    return this.status === 401 || this.status === 403;
  }
}

export const key = {
  get: () => sessionStorage.getItem(KEY) ?? "",
  set: (secret) => sessionStorage.setItem(KEY, secret),
};

/** A response that is no error; raises Refused with what the router says. */
export async function ask(path, { body, signal } = {}) {
  const headers = { Accept: "*/*" };
  if (key.get()) headers.Authorization = `Bearer ${key.get()}`;
  if (body !== undefined) headers["Content-Type"] = "application/json";
  const method = body === undefined ? "GET" : "POST";
  const sent = body === undefined ? undefined : JSON.stringify(body);
  const response = await fetch(path, { method, headers, body: sent, signal, cache: "no-store" });
  if (response.ok) return response;
  let message = `${response.status} ${response.statusText}`;
  try {
    message = (await response.json()).error.message;
  } catch {
    // what a proxy says is no JSON
  }
  throw new Refused(response.status, message);
}

export const json = async (path, options) => (await ask(path, options)).json();

/** Server-sent events of a response: `{type, data}`, as they come. */
export async function* eventsOf(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let buffer = "";
  try {
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      buffer += value;
      const whole = buffer.split("\n\n");
      buffer = whole.pop();
      for (const text of whole) {
        const event = { type: "message", data: "" };
        for (const line of text.split("\n")) {
          if (line.startsWith("event: ")) event.type = line.slice(7);
          else if (line.startsWith("data: ")) event.data += line.slice(6);
        }
        if (event.data) yield event;
      }
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}
