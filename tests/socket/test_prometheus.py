"""A real Prometheus and its promtool, where they are installed: what they make of ``GET /metrics`` and of the rules."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests

from comfyfarm.testing import RunningFarm
from comfyfarm.workflows import text_to_image

DOCS = Path(__file__).parents[2] / "docs"
RULES = DOCS / "prometheus-rules.yml"
TOKEN = "correct-horse-battery"  # noqa: S105 (of a farm that lives for one test)
FARM = {
    "farm": {"control_token": TOKEN, "speed": 50.0},
    "profile": {"fast": {"timing": {"step": "10ms"}}},
    "instance": [{"name": "gpu-{n}", "count": 2, "profile": "fast"}],
}

pytestmark = pytest.mark.skipif(
    not (shutil.which("prometheus") and shutil.which("promtool")), reason="prometheus is not installed"
)


def promtool(*arguments: str, cwd: Path | None = None, given: bytes = b"") -> str:
    """Return what it says; nothing may be wrong."""
    done = subprocess.run(["promtool", *arguments], cwd=cwd, input=given, capture_output=True, check=False)
    said = (done.stdout + done.stderr).decode()
    assert done.returncode == 0, said
    return said


def test_promtool_finds_nothing_to_improve_in_names_types_and_units(comfy_farm: Callable[..., RunningFarm]) -> None:
    farm = comfy_farm(FARM)
    requests.get(f"{farm['gpu-1'].url}/queue", timeout=5)
    farm.control.arm(do="status", at="reply", status=500, times=1)
    requests.get(f"{farm['gpu-1'].url}/queue", timeout=5)
    metrics = requests.get(f"{farm.control_url}/metrics", headers={"Authorization": f"Bearer {TOKEN}"}, timeout=5)
    assert b"comfyfarm_faults_fired_total{" in metrics.content
    assert promtool("check", "metrics", given=metrics.content) == ""


# By alert: series with their values, a minute each, and the alert's labels at the tenth minute; None: it is silent.
ONE, ANOTHER = 'backend="gpu-1"', 'backend="gpu-2"'
ALERTS: list[tuple[str, dict[str, str], dict[str, str] | None]] = [
    ("ComfyfarmBackendDown", {f"comfyfarm_backend_up{{{ONE}}}": "1x5 0x5"}, {"backend": "gpu-1"}),
    ("ComfyfarmBackendDown", {f"comfyfarm_backend_up{{{ONE}}}": "1x10"}, None),
    *(
        (
            "ComfyfarmIdleWhileJobsWait",
            {
                f"comfyfarm_jobs_waiting{{{ONE}}}": "3x10",
                f"comfyfarm_jobs_running{{{ONE}}}": "1x10",
                f"comfyfarm_jobs_waiting{{{ANOTHER}}}": "0x10",
                f"comfyfarm_jobs_running{{{ANOTHER}}}": f"{running}x10",
                f"comfyfarm_backend_up{{{ANOTHER}}}": f"{is_up}x10",
            },
            labels,
        )
        for running, is_up, labels in ((0, 1, {}), (1, 1, None), (0, 0, None))
    ),
    ("ComfyfarmJobsLost", {f'comfyfarm_jobs_finished_total{{{ONE},outcome="lost"}}': "0x7 2x3"}, {"backend": "gpu-1"}),
    ("ComfyfarmJobsLost", {f'comfyfarm_jobs_finished_total{{{ONE},outcome="lost"}}': "2x10"}, None),
    *(
        (
            "ComfyfarmJobsFail",
            {
                f'comfyfarm_jobs_finished_total{{{ONE},outcome="error"}}': f"0+{failed}x12",
                f'comfyfarm_jobs_finished_total{{{ONE},outcome="success"}}': "0+80x12",
            },
            labels,
        )
        for failed, labels in ((20, {"backend": "gpu-1"}), (5, None))
    ),
    ("ComfyfarmFarmLate", {"comfyfarm_event_loop_late_total": "0x7 1x3"}, {}),
    ("ComfyfarmFarmLate", {"comfyfarm_event_loop_late_total": "1x10"}, None),
]


def test_promtool_takes_the_rules_and_each_alert_fires_when_it_should_only(tmp_path: Path) -> None:
    assert "8 rules found" in promtool("check", "rules", str(RULES))
    alerts = promtool_alerts()
    assert {alert for alert, _, labels in ALERTS if labels is not None} == set(alerts)
    tests = []
    for alert, series, labels in ALERTS:
        firing = [] if labels is None else [{"exp_labels": {"severity": alerts[alert], **labels}}]
        tests.append({
            "interval": "1m",
            "input_series": [{"series": name, "values": _spread(values)} for name, values in series.items()],
            "promql_expr_test": [
                {
                    "expr": f'count by (severity, backend) (ALERTS{{alertname="{alert}",alertstate="firing"}})',
                    "eval_time": "10m",
                    "exp_samples": [{"labels": _written(one["exp_labels"]), "value": 1} for one in firing],
                }
            ],
        })
    suite = {"rule_files": [str(RULES)], "evaluation_interval": "1m", "tests": tests}
    (tmp_path / "tests.yml").write_text(json.dumps(suite))
    assert "SUCCESS" in promtool("test", "rules", str(tmp_path / "tests.yml"))


def promtool_alerts() -> dict[str, str]:
    """The severity of each alert of the rules, by its name."""
    lines = iter(RULES.read_text("utf-8").splitlines())
    alerts = {}
    for line in lines:
        if (name := line.strip().removeprefix("- alert: ")) != line.strip():
            alerts[name] = next(line for line in lines if "severity: " in line).partition("severity: ")[2].rstrip("}")
    return alerts


def _spread(values: str) -> str:
    return " ".join(part if "+" in part else part.replace("x", "+0x") for part in values.split())


def _written(labels: dict[str, str]) -> str:
    return "{" + ",".join(f'{key}="{text}"' for key, text in labels.items()) + "}"


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@contextmanager
def prometheus(target: str, folder: Path) -> Iterator[str]:
    """The URL of a Prometheus that scrapes a farm as docs/metrics.md says, only more often."""
    config = {
        "global": {"scrape_interval": "200ms", "evaluation_interval": "200ms"},
        "rule_files": [str(RULES)],
        "scrape_configs": [{
            "job_name": "comfyfarm",
            "static_configs": [{"targets": [target]}],
            "authorization": {"credentials": TOKEN},
        }],
    }
    (folder / "prometheus.yml").write_text(json.dumps(config))
    place = f"127.0.0.1:{free_port()}"
    process = subprocess.Popen(
        ["prometheus", "--config.file=prometheus.yml", "--storage.tsdb.path=data", f"--web.listen-address={place}"],
        cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )
    try:
        yield f"http://{place}"
    finally:
        process.terminate()
        process.wait(10)


def ask(url: str, query: str) -> list[dict[str, Any]]:
    """Return the result of a query; empty while Prometheus does not answer."""
    try:
        answer = requests.get(f"{url}/api/v1/query", params={"query": query}, timeout=5)
    except requests.ConnectionError:
        return []
    result: list[dict[str, Any]] = answer.json()["data"]["result"] if answer.ok else []
    return result


def found(url: str, query: str) -> list[dict[str, Any]]:
    """Return the result of a query as soon as there is one; empty if there is none for twenty seconds."""
    until_s = time.monotonic() + 20
    while not (result := ask(url, query)) and time.monotonic() < until_s:
        time.sleep(0.1)
    return result


def test_a_real_prometheus_scrapes_a_farm(comfy_farm: Callable[..., RunningFarm], tmp_path: Path) -> None:
    """Jobs, their durations, and an instance that goes down; ``instance`` is the farm and ``backend`` an instance."""
    farm = comfy_farm(FARM)
    target = farm.control_url.removeprefix("http://")
    with prometheus(target, tmp_path) as url:
        assert found(url, "comfyfarm_backend_up == 1"), "it has not been scraped"
        requests.post(f"{farm['gpu-1'].url}/prompt", json={"prompt": text_to_image()}, timeout=5)
        (finished,) = found(url, 'comfyfarm_jobs_finished_total{outcome="success"} == 1')
        own = {"job": "comfyfarm", "instance": target}
        labels = {"__name__": "comfyfarm_jobs_finished_total", "backend": "gpu-1", "outcome": "success"}
        assert finished["metric"] == labels | own
        assert len(found(url, "comfyfarm_job_duration_seconds_count == 1")) == 1
        farm.control.crash("gpu-2")
        (down,) = found(url, "comfyfarm_backend_up == 0")
        assert down["metric"]["backend"] == "gpu-2"
        assert found(url, 'ALERTS{alertname="ComfyfarmBackendDown"}')[0]["metric"]["backend"] == "gpu-2"
        assert not ask(url, '{__name__=~"comfyfarm_.*_created"}')
        assert not ask(url, '{exported_instance!=""}')


def test_every_panel_of_the_dashboard_shows_something(
    comfy_farm: Callable[..., RunningFarm], tmp_path: Path
) -> None:
    """Each query as Grafana sends it, for all farms and instances."""
    farm = comfy_farm(FARM)
    farm.control.arm(do="status", at="reply", status=500, times=1)
    requests.get(f"{farm['gpu-1'].url}/queue", timeout=5)
    panels = json.loads((DOCS / "grafana-dashboard.json").read_text("utf-8"))["panels"]
    values = {"$job": ".*", "$backend": ".*", "$__rate_interval": "5s"}
    with prometheus(farm.control_url.removeprefix("http://"), tmp_path) as url:
        for panel in panels:
            for target in panel["targets"]:
                query = target["expr"]
                for name, value in values.items():
                    query = query.replace(name, value)
                assert found(url, query), (panel["title"], query)
