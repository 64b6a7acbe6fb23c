"""The names of logical jobs, as the setting ``job_name`` finds them in submissions."""

from __future__ import annotations

from typing import Any

import pytest

from comfyfarm.analysis.logical_jobs import is_hash
from comfyfarm.sim.prompt.job_names import JobNames, hash_in_steps, hash_of
from comfyfarm.sim.prompt.submission import PromptSource
from tests.support.instance_story import chain, finished, picture

NOBODY = PromptSource()
BODY = {
    "prompt": {"6": {"class_type": "CLIPTextEncode", "inputs": {"text": "a barn", "clip": ["4", 1], "seed.a": 7}}},
    "client_id": "me",
    "extra_data": {"order_id": 17, "meta": {"order": "17b"}, "paid": True},
}


@pytest.mark.parametrize(
    ("setting", "name"),
    [
        ("header:X-Request-Id", "r-1"),
        ("extra_data.order_id", "17"),
        ("extra_data.meta.order", "17b"),
        ("input:6.text", "a barn"),
        ("input:6.seed.a", "7"),
        ("client_id", "me"),
    ],
)
def test_the_name_is_where_the_setting_says(setting: str, name: str) -> None:
    assert JobNames(setting).of(BODY, PromptSource(header="r-1")) == name


@pytest.mark.parametrize(
    "setting",
    [
        *("header:X-Request-Id", "extra_data.nothing", "extra_data.meta", "extra_data.paid"),
        *("extra_data.order_id.deeper", "input:7.text", "input:6.clip", "prompt"),
    ],
)
def test_a_submission_without_the_value_is_known_by_the_hash_of_its_prompt(setting: str) -> None:
    assert JobNames(setting).of(BODY, NOBODY) == JobNames().of({"prompt": BODY["prompt"]}, NOBODY)
    assert is_hash(JobNames(setting).of(BODY, NOBODY))


@pytest.mark.parametrize("body", [{}, {"prompt": 5}, {"prompt": {"6": []}}, {"extra_data": [], "client_id": ["x"]}])
def test_no_body_is_too_strange_for_a_name(body: dict[str, Any]) -> None:
    for setting in ("header:X", "extra_data.a.b", "input:6.text", "client_id", "prompt", "each"):
        assert is_hash(JobNames(setting).of(body, NOBODY))


@pytest.mark.parametrize("setting", ["header:X-Request-Id", "extra_data.order_id", "client_id", "prompt", "each"])
def test_the_farms_own_name_comes_first(setting: str) -> None:
    own = {**BODY, "extra_data": {"comfyfarm_job": "mine", "order_id": 1}}
    assert JobNames(setting).of(own, PromptSource(job="by-header", header="r-1")) == "mine"
    assert JobNames(setting).of(BODY, PromptSource(job="by-header", header="r-1")) == "by-header"


def test_with_each_every_accepted_submission_is_a_job_of_its_own_and_a_refused_one_joins_the_next() -> None:
    names, body = JobNames("each"), {"prompt": picture()}
    refused = names.of(body, NOBODY)
    accepted = [refused]
    for _ in range(3):
        names.on_accepted(accepted[-1], NOBODY)
        accepted.append(names.of(body, NOBODY))
    assert len(set(accepted)) == 4
    assert all(map(is_hash, accepted))
    assert names.of({"prompt": picture(colour=1)}, NOBODY).endswith("1")


@pytest.mark.parametrize(
    ("prompt", "pauses"), [(chain(11_000), 3), (picture(), 0), ({}, 0), (["1"], 0), (None, 0)]
)
def test_a_prompt_is_hashed_in_steps_as_at_once(prompt: Any, pauses: int) -> None:
    assert finished(hash_in_steps(prompt)) == (hash_of(prompt), pauses)


def test_an_interrupt_is_for_a_job_only_if_a_submission_had_the_same_header() -> None:
    names, sender = JobNames("header:X-Request-Id"), PromptSource(header="r-1")
    assert names.known("r-1") == ""
    names.on_accepted(names.of(BODY, sender), sender)
    assert (names.known("r-1"), names.known("r-2"), names.known(None)) == ("r-1", "", "")
    assert JobNames().known("r-1") == ""


@pytest.mark.parametrize(
    "setting",
    [
        *("", "header", "header:", "header:a b", "extra_data", "extra_data.", "extra_data.a..b"),
        *("input:6", "input:.text", "Each"),
    ],
)
def test_a_setting_of_another_form_is_refused_with_the_forms_that_there_are(setting: str) -> None:
    with pytest.raises(ValueError, match=r'^job_name: expected "header:NAME", .* or "each", got'):
        JobNames(setting)
