// The past as the charts have it: what Metrics keeps of workers and routers, second by second.

import { json } from "./api.js";

const OF_WORKERS = "running,waiting,pages_total,pages_used,pages_cached,prompt_tokens,generated_tokens,prefix_hit_rate,acceptance";
const QUANTILES = { ttft50: "ttft_p50", ttft90: "ttft_p90", ttft99: "ttft_p99", itl50: "itl_p50", itl90: "itl_p90", itl99: "itl_p99" };

/** Columns by the names of the charts, and `at`; null where nothing is known. */
export async function past(since, until) {
  const of = (kind, columns) => json(`/cluster/history?kind=${kind}&rows=sums&columns=${columns}&since=${since}&until=${until}&step=1`);
  const [workers, routers] = await Promise.all([of("workers", OF_WORKERS), of("routers", Object.values(QUANTILES).join())]);
  const at = workers.at ?? [];
  const of_all = wholeOf(workers);
  const column = (name) => of_all?.[name] ?? at.map(() => null);
  const place = new Map((routers.at ?? []).map((time, index) => [time, index]));
  const latencies = wholeOf(routers);
  const quantile = (name) => at.map((time) => latencies?.[name][place.get(time)] ?? null);
  const share = (name) => column(name).map((pages, index) => (pages === null ? null : pages / column("pages_total")[index]));
  return {
    at,
    generated: column("generated_tokens"),
    prompt: column("prompt_tokens"),
    running: column("running"),
    waiting: column("waiting"),
    used: share("pages_used"),
    cached: share("pages_cached"),
    hits: column("prefix_hit_rate"),
    accepted: column("acceptance"),
    ...Object.fromEntries(Object.entries(QUANTILES).map(([name, theirs]) => [name, quantile(theirs)])),
  };
}

const wholeOf = (told) => told.rows.find((row) => row.name === "")?.values;
