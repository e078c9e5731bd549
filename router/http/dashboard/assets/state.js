// What the snapshots come to: the workers as they are, rates over the last seconds, five minutes of
// points for the charts, and what happened.

import { added, between, quantiles } from "./quantiles.js";

const POINTS = 300;
const RATE_S = 5;
const QUANTILE_S = 15;
const SHARES = [0.5, 0.9, 0.99];
const COUNTERS = ["generated_tokens", "prompt_tokens", "cached_tokens", "drafted_tokens", "accepted_tokens"];
const MOST_EVENTS = 100;
export const CHARTED = [
  "generated", "prompt", "ttft50", "ttft90", "ttft99", "itl50", "itl90", "itl99",
  "running", "waiting", "used", "cached", "hits", "accepted",
];

export class Cluster {
  at = 0;
  buckets = [];
  reported = true;
  workers = [];
  models = []; // what each has and waits for, as Metrics knows it
  routers = [];
  queue = [];
  calls = [];
  running = 0; // calls, of which the longest are told
  events = [];
  now = {};
  points = { at: [], ...Object.fromEntries(CHARTED.map((name) => [name, []])) };
  #counters = new Map(); // by worker: readings of the last seconds, oldest first
  #histograms = new Map(); // by router and model: the same
  #lost = new Set();
  #told = new Set(); // ids of the cluster's own events

  /** Takes in a snapshot; returns the events that are new with it. */
  take(snapshot) {
    if (snapshot.at === this.at) return []; // a stream begins with the last one
    const first = this.at === 0;
    const before = new Map(this.workers.map((worker) => [worker.name, worker]));
    this.at = snapshot.at;
    this.buckets = snapshot.routers[0].buckets_s;
    this.reported = snapshot.reports !== null;
    this.routers = snapshot.routers;
    this.calls = snapshot.calls;
    this.running = snapshot.routers.reduce((sum, router) => sum + router.running, 0);
    this.queue = merged(snapshot.routers);
    this.workers = workersOf(snapshot);
    this.models = Object.entries(snapshot.models ?? {}).map(([name, told]) => ({ name, ...told }));
    for (const worker of this.workers) worker.rates = this.#ratesOf(worker);
    for (const name of this.#counters.keys()) {
      if (!this.workers.some((worker) => worker.name === name)) this.#counters.delete(name);
    }
    const news = [...this.#losses(snapshot), ...(first ? [] : this.#changes(before))];
    this.#add(news);
    this.tell(snapshot.events);
    this.#measure();
    return first ? [] : news;
  }

  /** Takes in events that the cluster keeps; what the page saw itself is not told twice. */
  tell(events) {
    const fresh = events.filter((event) => !this.#told.has(event.id));
    for (const event of fresh) this.#told.add(event.id);
    this.#add(fresh.filter((event) => !this.events.some((known) => same(known, event))));
  }

  /** Takes in points from before the first snapshot. */
  remember(past) {
    const points = this.points;
    const until = past.at.findLastIndex((at) => at < points.at[0]) + 1;
    const room = POINTS - points.at.length;
    for (const [name, values] of Object.entries(points)) values.unshift(...past[name].slice(Math.max(0, until - room), until));
  }

  #add(events) {
    const newest = (one, other) => other.at - one.at || (other.id ?? 0) - (one.id ?? 0);
    this.events = [...this.events, ...events].sort(newest).slice(0, MOST_EVENTS);
  }

  #ratesOf(worker) {
    const readings = this.#counters.get(worker.name) ?? [];
    const load = worker.load;
    if (!load) {
      this.#counters.delete(worker.name);
      return {};
    }
    if (readings.length && load.step < readings.at(-1).step) readings.length = 0; // it began anew
    readings.push({ at: this.at, ...load });
    while (readings.length > 2 && readings[0].at < this.at - RATE_S) readings.shift();
    this.#counters.set(worker.name, readings);
    const [from, to] = [readings[0], readings.at(-1)];
    const grown = Object.fromEntries(COUNTERS.map((name) => [name, to[name] - from[name]]));
    return { ...grown, seconds: to.at - from.at };
  }

  #losses(snapshot) {
    const found = [];
    for (const router of snapshot.routers) {
      for (const [model, told] of Object.entries(router.models)) {
        for (const loss of told.losses) {
          const id = `${router.router} ${loss.id}`;
          if (this.#lost.has(id)) continue;
          this.#lost.add(id);
          const event = { at: router.at - loss.ago_s, kind: loss.drained ? "left" : "lost", who: loss.worker, model, text: loss.why };
          if (![...this.events, ...found].some((known) => same(known, event))) found.push(event);
        }
      }
    }
    return found;
  }

  *#changes(before) {
    for (const worker of this.workers) {
      const known = before.get(worker.name);
      const event = (kind, text = "") => ({ at: this.at, kind, who: worker.name, model: worker.model, text });
      if (!known) yield event("joined");
      else if (known.state !== worker.state) {
        if (worker.state === "ready") yield event("ready");
        if (worker.state === "draining") yield event("draining", "its requests move to others");
        if (worker.state === "failed") yield event("failed", worker.report?.fault ?? "");
      }
    }
  }

  #measure() {
    const present = this.workers.filter((worker) => worker.load);
    const sum = (of) => present.reduce((total, worker) => total + (of(worker) || 0), 0);
    const rate = (name) => sum((worker) => worker.rates.seconds > 0 && worker.rates[name] / worker.rates.seconds);
    const share = (part, whole) => (sum((w) => w.rates[whole]) ? sum((w) => w.rates[part]) / sum((w) => w.rates[whole]) : null);
    const pages = sum((worker) => worker.load.pages_total);
    const held = this.queue.reduce((total, row) => total + row.held, 0);
    const [ttft, itl] = [this.#latencies("ttft"), this.#latencies("itl")];
    this.now = {
      ready: this.workers.filter((worker) => worker.state === "ready").length,
      workers: this.workers.length,
      generated: rate("generated_tokens"),
      prompt: rate("prompt_tokens"),
      ttft50: ttft[0], ttft90: ttft[1], ttft99: ttft[2],
      itl50: itl[0], itl90: itl[1], itl99: itl[2],
      running: sum((worker) => worker.load.running),
      waiting: sum((worker) => worker.load.waiting) + held,
      used: pages ? sum((worker) => used(worker.load)) / pages : null,
      cached: pages ? sum((worker) => worker.load.pages_cached) / pages : null,
      hits: share("cached_tokens", "prompt_tokens"),
      accepted: share("accepted_tokens", "drafted_tokens"),
      power: present.some((worker) => worker.power !== null) ? sum((worker) => worker.power) : null,
    };
    const points = this.points;
    points.at.push(this.at);
    for (const name of CHARTED) points[name].push(this.now[name]);
    if (points.at.length > POINTS) for (const values of Object.values(points)) values.shift();
  }

  #latencies(name) {
    let total = this.buckets.map(() => 0).concat(0);
    for (const router of this.routers) {
      for (const [model, told] of Object.entries(router.models)) {
        const id = `${name} ${router.router} ${model}`;
        const readings = this.#histograms.get(id) ?? [];
        readings.push({ at: this.at, counts: told[name] });
        while (readings.length > 2 && readings[0].at < this.at - QUANTILE_S) readings.shift();
        const grown = between(readings[0].counts, told[name]);
        this.#histograms.set(id, grown ? readings : readings.slice(-1));
        if (grown) total = added(total, grown);
      }
    }
    return quantiles(total, this.buckets, SHARES);
  }
}

export const used = (load) => load.pages_total - load.pages_free - load.pages_cached;

/** One event is another one that somebody else saw, a while later. */
const same = (one, other) =>
  one.who === other.who && kindOf(one) === kindOf(other) && Math.abs(one.at - other.at) < 15;
const kindOf = (event) => (event.kind === "left" ? "lost" : event.kind);

/** A router hears a worker ten times a second, Metrics once; Metrics knows those that load, too. */
function workersOf(snapshot) {
  const found = new Map();
  const lost = new Set();
  for (const report of snapshot.reports ?? []) {
    found.set(report.worker_id, {
      name: report.worker_id,
      model: report.model,
      state: report.state,
      load: report.load ?? null,
      report,
      ranks: report.shards.length + 1,
      power: powerOf(report),
      attached: false,
    });
  }
  for (const router of snapshot.routers) {
    for (const [model, told] of Object.entries(router.models)) {
      for (const [name, load] of Object.entries(told.workers)) {
        const known = found.get(name) ?? { name, model, state: "ready", report: null, ranks: null, power: null };
        const state = load.draining ? "draining" : known.state === "loading" ? "ready" : known.state;
        const newer = known.attached && known.load.step > load.step ? known.load : load;
        found.set(name, { ...known, load: newer, state, attached: true });
      }
      for (const { worker } of told.losses) lost.add(worker);
    }
  }
  for (const worker of found.values()) {
    if (lost.has(worker.name) && !worker.attached && worker.state === "ready") [worker.state, worker.load] = ["lost", null];
  }
  return [...found.values()].sort((one, other) => one.model.localeCompare(other.model) || one.name.localeCompare(other.name));
}

function powerOf(report) {
  const told = report.gpus.map((gpu) => gpu.power_w).filter((power) => power !== null);
  return told.length ? told.reduce((sum, power) => sum + power, 0) : null;
}

/** The queues of all routers as one, those with most first. */
function merged(routers) {
  const rows = new Map();
  for (const router of routers) {
    for (const [model, told] of Object.entries(router.models)) {
      for (const row of told.queue) {
        const id = `${model} ${row.tenant} ${row.class}`;
        const known = rows.get(id) ?? { id, model, tenant: row.tenant, class: row.class, held: 0, sent: 0, running: 0 };
        for (const part of ["held", "sent", "running"]) known[part] += row[part];
        rows.set(id, known);
      }
    }
  }
  const size = (row) => row.held + row.sent + row.running;
  return [...rows.values()].sort((one, other) => size(other) - size(one));
}
