// The page: one feed, one state, four views. The address says which one is open.

import { json } from "./api.js";
import { chat } from "./chat.js";
import { h, setText } from "./dom.js";
import { alertOf } from "./events.js";
import { follow } from "./feed.js";
import { past } from "./history.js";
import { overview } from "./overview.js";
import { replay } from "./replay.js";
import { requests } from "./requests.js";
import { signIn } from "./signin.js";
import { Cluster } from "./state.js";

const MINUTES_S = 300;
const VIEWS = { cluster: overview, requests, chat, replay };
const WORDS = { live: "live", lost: "no connection", key: "needs a key", quiet: "Metrics is silent" };
const [main, alerts, link] = ["main", "alerts", "link"].map((id) => document.getElementById(id));
const cluster = new Cluster();
const views = new Map();
let open = null;

function route() {
  const wanted = location.hash.slice(1);
  const name = wanted in VIEWS ? wanted : "cluster";
  if (!views.has(name)) views.set(name, VIEWS[name]());
  const view = views.get(name);
  for (const one of document.querySelectorAll("nav a")) {
    if (one.hash === `#${name}`) one.setAttribute("aria-current", "page");
    else one.removeAttribute("aria-current");
  }
  document.title = `${name} · raylax`;
  open = view;
  main.replaceChildren(view.element);
  if (cluster.at) view.show(cluster);
  view.opened?.();
}

function onSnapshot(snapshot) {
  const news = cluster.take(snapshot);
  alertOf(news, alerts);
  if (!open) {
    route();
    before();
  }
  open.show(cluster);
  setLink(cluster.reported ? "live" : "quiet");
}

/** What was before the page was opened: the feed tells what happens from now on. */
async function before() {
  try {
    const [{ events }, points] = await Promise.all([json("/cluster/events"), past(-MINUTES_S, 0)]);
    cluster.tell(events.slice(-100));
    cluster.remember(points);
  } catch (error) {
    console.warn(`nothing is known of the past: ${error.message}`);
  }
}

async function onLink(state, why) {
  setLink(state, why);
  if (state === "lost" && !open) say(`The router cannot be watched: ${why}. It is tried again.`);
  if (state === "key") {
    open = null;
    await signIn(main, why);
  }
}

/** In the place of a view, while there is nothing to show. */
function say(text) {
  main.replaceChildren(h("p", { class: "empty" }, text));
}

function setLink(state, why = "") {
  if (state === "live" && !cluster.reported) return;
  link.dataset.state = state;
  link.title = why;
  setText(link.lastElementChild, WORDS[state]);
}

addEventListener("hashchange", () => cluster.at && open && route());
say("Asking the router …");
follow(onSnapshot, onLink);
