"""docs/metrics.md, the rules and the dashboard: they have the metrics that there are."""

import json
import re
from pathlib import Path

import pytest

from comfyfarm.control.metrics import METRICS

DOCS = Path(__file__).parents[3] / "docs"


def test_the_page_has_every_metric_with_its_type_and_labels() -> None:
    page = (DOCS / "metrics.md").read_text("utf-8")
    rows = re.findall(r"^\| `(comfyfarm_\w+)` \| (\w+) \| (.*?) ?\|", page, re.MULTILINE)
    documented = [(name, kind, tuple(re.findall(r"`(\w+)`", labels))) for name, kind, labels in rows]
    assert documented == [(metric.name, metric.kind, metric.labels) for metric in METRICS]


@pytest.mark.parametrize("file", ["prometheus-rules.yml", "grafana-dashboard.json"])
def test_what_rules_and_panels_ask_for_is_there(file: str) -> None:
    asked = set(re.findall(r"\bcomfyfarm_\w+", (DOCS / file).read_text("utf-8").replace(":comfyfarm_", ":")))
    names = {metric.name for metric in METRICS}
    histograms = {metric.name for metric in METRICS if metric.kind == "histogram"}
    assert len(asked) > 4
    assert asked <= names | {f"{name}_bucket" for name in histograms}


def test_the_dashboard_asks_the_data_source_that_is_chosen_and_no_panel_lies_on_another() -> None:
    dashboard = json.loads((DOCS / "grafana-dashboard.json").read_text("utf-8"))
    places: set[tuple[int, int]] = set()
    for panel in dashboard["panels"]:
        assert {target["datasource"]["uid"] for target in panel["targets"]} == {"${datasource}"}
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not places & cells
        places |= cells
    assert {variable["name"] for variable in dashboard["templating"]["list"]} == {"datasource", "job", "backend"}
