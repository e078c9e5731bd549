"""What Metrics takes of a core and of memory, with fakes of workers and routers and a clock of its
own: `python bench/metrics.py [--workers 64] [--routers 4] [--hours 24]`.

Every second each of them reports, and time passes; the reports are made beforehand and are not
counted. Then the longest answers are asked for, and a record that was killed goes on.
"""

import argparse
import pickle
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from raylax.cluster.metrics.record import ClusterRecord, Moment
from raylax.router.observe import measures as m
from raylax.router.observe.measures import RouterMeasures, RouterReport
from raylax.router.observe.metrics import CallMetrics
from tests.support.cluster_reports import report

START = 1_800_000_000
TENANTS = 12
TIMES = 9
"""An answer is asked for so often; the median counts."""


def worker_report(number: int, second: int) -> dict[str, Any]:
    """Of a busy worker: every number moves."""
    load = {
        "running": 40 + (number + second) % 20,
        "waiting": second % 7,
        "queued_tokens": 100 * (second % 11),
        "step": 50 * second,
        "prompt_tokens": 4000 * second,
        "cached_tokens": 1000 * second,
        "generated_tokens": 2000 * second + number,
    }
    said = report(f"w{number:03}", **load)
    tenants = {
        f"tenant-{one}": {"running": one, "waiting": 1, "queued_tokens": 7}
        for one in range(TENANTS)
    }
    return {
        **said,
        "model": f"model-{number % 3}",
        "census": {**said["census"], "tenants": tenants},
    }


def router_report(number: int, second: int) -> RouterReport:
    """Of a busy router, with three models."""
    models = {}
    for model in range(3):
        metrics = CallMetrics("expected-latency")
        for name in m.HISTOGRAMS:
            metrics.of[name].observe(0.01 * (1 + second % 50), "0af7651916cd43dd8448eb211c80319c")
        metrics.counted[m.SUCCESS]["stop"] = 30 * second
        models[f"model-{model}"] = metrics.measures()
    told = RouterMeasures(router=f"r{number}", models=models)
    return RouterReport(router=f"r{number}", pid=1, node="n", workers={}, measures=told)


def cpu_ms(work: Callable[[], object]) -> float:
    """Milliseconds of this process's CPU time, the median of some."""
    taken = []
    for _ in range(TIMES):
        begun = time.process_time()
        work()
        taken.append(1e3 * (time.process_time() - begun))
    return median(taken)


def resident_mb() -> float:
    """What this process has in memory now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--workers", type=int, default=64)
    parser.add_argument("--routers", type=int, default=4)
    parser.add_argument("--hours", type=float, default=24.0)
    args = parser.parse_args()
    # as they come from another process: a second of them is used again and again, with new numbers
    seconds = [
        (
            [pickle.dumps(worker_report(one, second)) for one in range(args.workers)],
            [router_report(one, second).model_dump_json() for one in range(args.routers)],
        )
        for second in range(10)
    ]
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "state"
        record, before_mb = ClusterRecord(path), resident_mb()
        spent, all_seconds = 0.0, int(3600 * args.hours)
        for second in range(all_seconds):
            workers, routers = seconds[second % len(seconds)]
            now = Moment(START + second, float(second))
            begun = time.process_time()
            for said in workers:
                record.report(pickle.loads(said), now)
            for told in routers:
                record.report_router(RouterReport.model_validate_json(told), now)
            record.turn(now)
            spent += time.process_time() - begun
        last = Moment(START + all_seconds, float(all_seconds))
        print(f"{args.workers} workers, {args.routers} routers, {args.hours:g} h")
        print(f"  of a core          {100 * spent / all_seconds:8.2f} %")
        print(f"  history            {record.nbytes / 1e6:8.1f} MB")
        print(f"  resident, grown by {resident_mb() - before_mb:8.1f} MB")
        disk = sum(file.stat().st_size for file in Path(directory).iterdir())
        print(f"  on disk            {disk / 1e6:8.1f} MB")
        day = {"since": "-86400", "columns": "running,generated_tokens,kv_usage"}
        answers: dict[str, Callable[[], object]] = {
            "/metrics": lambda: record.exposition(last),
            "/metrics, OpenMetrics": lambda: record.exposition(last, openmetrics=True),
            "/cluster": lambda: record.view(last).model_dump_json(),
            "a day of sums": lambda: record.history(day, last).model_dump_json(),
            "a day of all workers": lambda: record.history(
                {**day, "rows": "all"}, last
            ).model_dump_json(),
        }
        for name, work in answers.items():
            print(f"  {name:<22} {cpu_ms(work):6.1f} ms of CPU time")
        record.close()
        begun = time.process_time()
        ClusterRecord(path).close()
        print(f"  to go on from disk {time.process_time() - begun:8.1f} s")


if __name__ == "__main__":
    main()
