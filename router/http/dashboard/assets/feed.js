// The router's feed: a snapshot each second. EventSource cannot show a key, so the stream is read here.

import { ask, eventsOf, Refused } from "./api.js";

const SILENCE_MS = 4000;
const LONGEST_MS = 5000;

/** Tells `onSnapshot` what comes, and `onLink` how the connection is: live, lost or key. Never ends. */
export async function follow(onSnapshot, onLink) {
  let pause = 250;
  for (;;) {
    const watch = new Silence();
    try {
      const response = await ask("/dashboard/events", { signal: watch.signal });
      for await (const event of eventsOf(response)) {
        watch.heard();
        pause = 250;
        onLink("live");
        onSnapshot(JSON.parse(event.data));
      }
      continue; // a stream lasts some seconds, so that routers can end
    } catch (error) {
      if (error instanceof Refused && error.needsKey) await onLink("key", error.message);
      else onLink("lost", String(error.message ?? error));
    } finally {
      watch.end();
    }
    await new Promise((resolve) => setTimeout(resolve, pause));
    pause = Math.min(2 * pause, LONGEST_MS);
  }
}

/** Ends a request that says nothing for too long: its router may be gone without a word. */
class Silence {
  #controller = new AbortController();
  #timer;
  constructor() {
    this.heard();
  }
  get signal() {
    return this.#controller.signal;
  }
  heard() {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#controller.abort(new Error("the router says nothing")), SILENCE_MS);
  }
  end() {
    clearTimeout(this.#timer);
  }
}
