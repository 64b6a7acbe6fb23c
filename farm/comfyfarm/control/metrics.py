"""The metrics of a farm, and their text for Prometheus (docs/metrics.md).

The text is written here and not by the package prometheus-client, which takes 40 ms and more for 1,000 instances
(``benchmarks/metrics.py``), and cannot be stopped between two turns of the reactor.  A thread would not help: Python
runs one at a time.
"""

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import accumulate, islice
from typing import ClassVar, Literal

from comfyfarm import __version__
from comfyfarm.server.backend import Backend
from comfyfarm.server.farm import Farm
from comfyfarm.server.metric_counts import BUCKETS_MS, Histogram, MetricCounts

_LINES_IN_A_TURN = 1000     # about 1 ms
_ESCAPED = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})
_BOUNDS = (*(f"{bound_ms / 1000:g}" for bound_ms in BUCKETS_MS), "+Inf")

Kind = Literal["counter", "gauge"]
Samples = Iterable[tuple[tuple[str | int, ...], float]]


@dataclass(frozen=True)
class Metric:
    """A counter or a gauge.

    :ivar labels: their names.
    :ivar read: returns, for a farm, the values of the labels, escaped, and of the metric.
    """

    name: str
    kind: Kind
    says: str
    labels: tuple[str, ...]
    read: Callable[[Farm], Samples]

    def lines(self, farm: Farm) -> Iterator[str]:
        """Return the lines of all values, as they are now."""
        labels = ",".join(f'{label}="%s"' for label in self.labels)
        line = f"{self.name}{{{labels}}} %s\n" if labels else f"{self.name} %s\n"
        return (line % (*values, value) for values, value in list(self.read(farm)))


@dataclass(frozen=True)
class HistogramMetric:
    """A histogram for each profile."""

    name: str
    says: str
    read: Callable[[Farm], Mapping[str, Histogram]]
    kind: ClassVar = "histogram"
    labels: ClassVar = ("profile",)

    def lines(self, farm: Farm) -> Iterator[str]:
        for profile, histogram in self.read(farm).items():
            label = f'profile="{_escaped(profile)}"'
            counts = list(accumulate(histogram.counts))
            for bound, count in zip(_BOUNDS, counts, strict=True):
                yield f'{self.name}_bucket{{{label},le="{bound}"}} {count}\n'
            yield f"{self.name}_sum{{{label}}} {histogram.sum_ms / 1000}\n"
            yield f"{self.name}_count{{{label}}} {counts[-1]}\n"


def exposition(farm: Farm) -> Generator[None, None, bytes]:
    """Write Prometheus's text format, in steps; what happens in between may be in some metrics and not in others."""
    written: list[str] = []
    for metric in METRICS:
        written.append(f"# HELP {metric.name} {metric.says}\n# TYPE {metric.name} {metric.kind}\n")
        lines = metric.lines(farm)
        while part := "".join(islice(lines, _LINES_IN_A_TURN)):
            written.append(part)
            yield
    return "".join(written).encode()


def _farm(name: str, kind: Kind, says: str, value: Callable[[Farm], float]) -> Metric:
    return Metric(name, kind, says, (), lambda farm: [((), value(farm))])


def _backend(name: str, kind: Kind, says: str, value: Callable[[Backend], float]) -> Metric:
    """Return a metric that is read from the instances."""

    def read(farm: Farm) -> Samples:
        return [((key,), value(backend)) for key, backend in farm.backends.items()]

    return Metric(name, kind, says, ("backend",), read)


def _counted(
    name: str, says: str, counts: Callable[[MetricCounts], Mapping[str, int]], kind: Kind = "counter"
) -> Metric:
    """Return a metric that is counted by instance."""

    def read(farm: Farm) -> Samples:
        return [((key,), count) for key, count in counts(farm.counts).items()]

    return Metric(name, kind, says, ("backend",), read)


def _infos(farm: Farm) -> Samples:
    for name, backend in farm.backends.items():
        config = backend.config
        yield (name, _escaped(farm.counts.profiles[name]), config.mode, _escaped(config.comfyui_version)), 1


def _escaped(text: str) -> str:
    return text.translate(_ESCAPED)


def _is_up(backend: Backend) -> int:
    return int(backend.state in ("running", "paused") and not backend.is_refusing)


METRICS: tuple[Metric | HistogramMetric, ...] = (
    Metric(
        "comfyfarm_build_info", "gauge", "The version of comfyfarm; always 1.", ("version",),
        lambda _farm: [((__version__,), 1)],
    ),
    _farm(
        "comfyfarm_simulated_seconds_total", "counter", "Simulated time since the start of the farm.",
        lambda farm: farm.time.now_ms() / 1000,
    ),
    _farm("comfyfarm_events_total", "counter", "Events in the log.", lambda farm: farm.log.seq),
    _farm(
        "comfyfarm_event_loop_lag_seconds", "gauge", "How late the farm did what was due last; 0 on a virtual clock.",
        lambda farm: farm.lag.lag_ms / 1000,
    ),
    _farm(
        "comfyfarm_event_loop_lag_max_seconds", "gauge", "The most by which the farm was late since its start.",
        lambda farm: farm.lag.max_lag_ms / 1000,
    ),
    _farm(
        "comfyfarm_event_loop_late_total", "counter",
        "How often the farm was late enough to distort the order of events.",
        lambda farm: farm.counts.late,
    ),
    Metric(
        "comfyfarm_backend_info", "gauge", "Profile, mode and version of an instance; always 1.",
        ("backend", "profile", "mode", "comfyui_version"), _infos,
    ),
    _backend("comfyfarm_backend_up", "gauge", "1 if an instance serves clients, else 0.", _is_up),
    _backend(
        "comfyfarm_backend_starts_total", "counter", "Processes that were started, the first one included.",
        lambda backend: backend.epoch,
    ),
    _backend(
        "comfyfarm_jobs_running", "gauge", "Jobs that run: 0 or 1.",
        lambda backend: int(backend.instance.queue.running is not None),
    ),
    _backend("comfyfarm_jobs_waiting", "gauge", "Jobs that wait.", lambda backend: backend.instance.queue.waiting),
    _counted("comfyfarm_jobs_accepted_total", "Prompts that were put into the queue.", lambda counts: counts.accepted),
    _counted("comfyfarm_prompts_refused_total", "Prompts that validation rejected.", lambda counts: counts.refused),
    Metric(
        "comfyfarm_jobs_finished_total", "counter", "Jobs that ended, by outcome.", ("backend", "outcome"),
        lambda farm: farm.counts.ended.items(),
    ),
    HistogramMetric(
        "comfyfarm_job_duration_seconds", "Simulated time that jobs ran, however they ended.",
        lambda farm: farm.counts.durations,
    ),
    HistogramMetric(
        "comfyfarm_job_wait_seconds", "Simulated time that jobs waited before they ran.",
        lambda farm: farm.counts.waits,
    ),
    _counted("comfyfarm_model_loads_total", "Models that were loaded into memory.", lambda counts: counts.model_loads),
    _counted("comfyfarm_model_loaded_bytes_total", "The size of these models.", lambda counts: counts.loaded_bytes),
    _backend(
        "comfyfarm_model_memory_bytes", "gauge", "The size of the models in memory.",
        lambda backend: backend.instance.machine.memory.used_bytes,
    ),
    _counted("comfyfarm_websockets", "Websockets that are open.", lambda counts: counts.sockets, "gauge"),
    Metric(
        "comfyfarm_http_requests_total", "counter", "HTTP exchanges, by status; 0 if the client got no answer.",
        ("backend", "code"), lambda farm: farm.counts.requests.items(),
    ),
    _counted("comfyfarm_http_response_bytes_total", "Bytes of HTTP bodies sent.", lambda counts: counts.sent_bytes),
    Metric(
        "comfyfarm_faults_fired_total", "counter", "Faults that took effect.", ("backend", "effect"),
        lambda farm: farm.counts.fired.items(),
    ),
)
