"""What ``GET /metrics`` costs a farm of 1,000 instances."""

from __future__ import annotations

import time
from collections.abc import Iterator

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

from benchmarks.http import cost_us
from benchmarks.load import Connection, Load, get
from benchmarks.rows import Effort, Result, family
from benchmarks.servers import farm

INSTANCES = 1000


class Parsed(Collector):
    """The metrics of a text, as if they had been collected."""

    def __init__(self, text: str) -> None:
        self.families = list(text_string_to_metric_families(text))

    def collect(self) -> list[Metric]:
        return self.families


@family("metrics")
def metrics(effort: Effort) -> Iterator[Result]:
    """A scrape, beside the time in which prometheus-client writes the same values, already collected."""
    name = f"metrics/{INSTANCES}"
    with farm({"instance": [{"name": "gpu-{n}", "count": INSTANCES, "port": 0}]}) as server:
        port = int(server.ready["control"].rpartition(":")[2])
        registry = CollectorRegistry(auto_describe=False)
        registry.register(Parsed(Connection(port).ask(get("/metrics")).decode()))

        def other_ms() -> float:
            start_s = time.process_time()
            generate_latest(registry)
            return (time.process_time() - start_s) * 1000

        load = Load(port, 1)
        scrape_us, peer = cost_us(server, load, get("/metrics"), 5), "prometheus-client writing the same"
        facts = {"name": name, "unit": "ms", "peer": peer, "goal": 50, "bounds": "ours"}
        yield effort.few().compare(lambda: scrape_us() / 1000, other_ms, **facts)
        load.close()
