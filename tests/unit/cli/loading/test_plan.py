"""The plan of ``comfyfarm load``: which workflows, when, and where to."""

from __future__ import annotations

import json
from collections import Counter
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any

import pytest

from comfyfarm.cli.loading.jobs import LoadJob, Target
from comfyfarm.cli.loading.plan import POLICIES, Kind, NoWorkflow, Plan
from comfyfarm.workflows import text_to_image

TARGETS = [Target(name, f"http://{name}", None) for name in ("a", "b", "c")]


def jobs(*kinds: str, **settings: Any) -> list[LoadJob]:
    parsed = [Kind.parse(kind) for kind in kinds or ("text-to-image",)]
    return Plan(kinds=parsed, **{"count": None, **settings}).jobs(Random(7))


def test_without_a_rate_all_jobs_are_sent_at_once_and_all_differ() -> None:
    made = jobs(count=24)
    assert {job.due_s for job in made} == {0.0}
    assert [job.number for job in made] == list(range(1, 25))
    assert len({job.text for job in made}) == len({job.prompt_id for job in made}) == 24


def test_a_rate_spaces_the_jobs() -> None:
    assert [job.due_s for job in jobs(rate=4.0, for_s=1.0)] == [0.0, 0.25, 0.5, 0.75]
    assert [job.due_s for job in jobs(rate=4.0, count=2, for_s=1.0)] == [0.0, 0.25]


def test_random_gaps_have_the_mean_of_the_rate() -> None:
    times = [job.due_s for job in jobs(rate=10.0, is_poisson=True, count=2001)]
    gaps = [later - earlier for earlier, later in pairwise(times)]
    assert 0.09 < sum(gaps) / len(gaps) < 0.11
    assert min(gaps) < 0.01
    assert max(gaps) > 0.4


def test_a_mix_follows_the_weights() -> None:
    drawn = Counter(job.workflow for job in jobs("text-to-image=3", "batch", count=4000))
    assert 2800 < drawn["text-to-image"] < 3200


@pytest.mark.parametrize(
    ("policy", "chosen"), [("round-robin", ["a", "b", "c", "a"]), ("shortest", ["b", "b", "b", "b"])]
)
def test_a_policy_chooses_the_server(policy: str, chosen: list[str]) -> None:
    open_jobs = {"a": 2, "b": 0, "c": 1}
    assert [POLICIES[policy](TARGETS, open_jobs, number, Random(1)).name for number in range(1, 5)] == chosen


def test_a_random_policy_uses_all_servers() -> None:
    chance = Random(1)
    assert {POLICIES["random"](TARGETS, {}, number, chance).name for number in range(50)} == {"a", "b", "c"}


def test_each_job_of_a_file_gets_a_seed_of_its_own(tmp_path: Path) -> None:
    """Else a server would find the result in its cache; a seed that comes over a link stays."""
    linked = text_to_image(seed=1)
    linked["3"]["inputs"]["seed"] = ["12", 0]
    for name, content in (("plain.json", text_to_image(seed=1)), ("body.json", {"prompt": linked})):
        (tmp_path / name).write_text(json.dumps(content))
    (job,) = jobs(count=1)
    plain, body = (Kind.parse(str(tmp_path / name)) for name in ("plain.json", "body.json=2"))
    assert plain.make(job, None, 77) == text_to_image(seed=77)
    assert plain.make(job, None, 78) == text_to_image(seed=78)
    assert (body.weight, body.make(job, None, 77)["3"]["inputs"]["seed"]) == (2.0, ["12", 0])


def test_a_built_in_workflow_takes_the_checkpoint_that_the_server_has() -> None:
    (job,) = jobs(count=1)
    made = Kind.parse("two-passes").make(job, "sdxl.safetensors", 5)
    assert made["4"]["inputs"]["ckpt_name"] == "sdxl.safetensors"
    assert {made[node]["inputs"]["seed"] for node in ("3", "11")} == {5}
    assert made["6"]["inputs"]["text"] == job.text


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "No such file or directory, and no built-in workflow is called so (there are: text-to-image, batch,"),
        ("{", "Expecting property name"),
        ("[]", "expected an object of nodes"),
        ('{"nodes": [], "links": []}', "a workflow of the page; save it with Export (API)"),
    ],
)
def test_what_is_no_workflow_is_refused_in_one_line(tmp_path: Path, content: str | None, says: str) -> None:
    path = tmp_path / "x.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(NoWorkflow) as refused:
        Kind.parse(str(path))
    assert str(refused.value).startswith(f"{path}: {says}")
