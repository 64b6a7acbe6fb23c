"""``comfyfarm conform`` on instances of comfyfarm: ``--self`` is full, and others are told why they differ."""

from __future__ import annotations

from comfyfarm.conformance.own import CAUSES
from comfyfarm.conformance.suite import chosen
from comfyfarm.testing.child import run_farm
from tests.support.commands import comfyfarm


def test_comfyfarm_itself_is_judged_on_a_farm_like_the_recorded_servers() -> None:
    """Samplers on an instance that has models; the other scenarios are in test_conformance.py, on the same farm."""
    done = comfyfarm("conform", "--self", "--only", "run_cached_rerun,models_lists,queue_clear_pending,sampler_*")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "score: 8/8 (100.0 %)" in done.stdout


def test_every_difference_of_a_default_instance_is_explained() -> None:
    """And each scenario that is named for a default setting does differ."""
    cache, models = CAUSES['cache = "ram"'], CAUSES["open_models = false"]
    with run_farm({"instance": [{"name": "a-{n}", "count": 4, "mode": "dynamic"}]}) as farm:
        done = comfyfarm("conform", *farm.urls, "--only", ",".join(cache | models))
    assert done.returncode == 1
    lines = done.stdout.partition("a-1, a-2, a-3, a-4: of comfyfarm")[2].splitlines()[1:]
    told = [line.partition(": ")[2].split(", ") for line in lines[:2]]
    assert [set(names) for names in told] == [cache, models]
    assert "no setting is known" not in done.stdout
    assert lines[-1] == "comfyfarm conform --self judges one that has them all."


def test_the_causes_name_scenarios_that_there_are() -> None:
    assert frozenset().union(*CAUSES.values()) <= {scenario.name for scenario in chosen()}


def test_a_server_is_named_or_comfyfarm_itself() -> None:
    for words in ([], ["--self", "http://127.0.0.1:1"]):
        done = comfyfarm("conform", *words)
        assert (done.returncode, done.stdout) == (2, "")
