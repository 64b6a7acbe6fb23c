"""Assertions about a run: when they fail, what they say, and what they wait for."""

from collections.abc import Callable
from typing import Any

import pytest

from comfyfarm.testing import ExpectationFailed, MemoryFarm
from comfyfarm.workflows import text_to_image

MakeFarm = Callable[..., MemoryFarm]
TWO = {"instance": [{"name": "gpu-1"}, {"name": "gpu-2"}]}


@pytest.fixture
def farm(memory_farm: MakeFarm) -> MemoryFarm:
    """Two instances."""
    return memory_farm(TWO)


def send(farm: MemoryFarm, job: str, on: str = "gpu-1", **extra: Any) -> str:
    """Submit a logical job."""
    body = {"prompt": text_to_image(**extra), "extra_data": {"comfyfarm_job": job}}
    prompt_id: str = farm[on].ask("POST", "/prompt", json=body).json()["prompt_id"]
    return prompt_id


def crash(farm: MemoryFarm, name: str, **body: Any) -> None:
    assert farm.control("POST", f"/api/instances/{name}/crash", json=body).status == 200


def test_of_a_good_run_everything_can_be_asserted(farm: MemoryFarm) -> None:
    send(farm, "barn")
    farm.run_until_idle()
    farm.assert_verdict("pass")
    farm.assert_all_finished()
    farm.assert_no_lost_jobs()
    farm.assert_nothing_ran_twice()
    farm.assert_nothing_delivered_twice()
    farm.assert_nothing_misattributed()
    farm.assert_no_false_completion()
    farm.assert_no("retry_storm", "orphaned", "resubmitted")


def test_the_error_tells_what_happened(farm: MemoryFarm) -> None:
    """The finding's sentence, and a line for each instance."""
    send(farm, "barn")
    send(farm, "barn", "gpu-2")
    farm.run_until_idle()
    with pytest.raises(AssertionError) as failed:
        farm.assert_nothing_ran_twice()
    text = str(failed.value)
    assert text.startswith("not so: nothing ran twice (at ")
    assert "    error ran_twice: barn ran 2 times to its end, on gpu-1 at" in text
    assert [line.split()[0] for line in text.splitlines() if line.startswith("gpu-")] == ["gpu-1", "gpu-2"]
    assert "A barn" in text
    assert isinstance(failed.value, ExpectationFailed)
    assert [each.finding for each in failed.value.findings] == ["ran_twice"]


@pytest.mark.parametrize("name", ["a_delivery_of_what_did_not_run", "two_deliveries", "somebody_elses"])
def test_what_a_client_delivers_is_looked_at(farm: MemoryFarm, name: str) -> None:
    """Too early; twice; another's picture."""
    mine, other = send(farm, "mine"), send(farm, "other")
    if name == "a_delivery_of_what_did_not_run":
        farm.delivered("mine", prompt_id=mine)
        with pytest.raises(ExpectationFailed, match="false_completion"):
            farm.assert_no_false_completion()
        return
    farm.run_until_idle()
    farm.delivered("mine", prompt_id=other if name == "somebody_elses" else mine)
    if name == "somebody_elses":
        with pytest.raises(ExpectationFailed, match="misattributed"):
            farm.assert_nothing_misattributed()
        return
    farm.assert_nothing_delivered_twice()
    farm.delivered("mine", prompt_id=mine)
    with pytest.raises(ExpectationFailed, match="delivered_twice"):
        farm.assert_nothing_delivered_twice()


def test_a_job_that_goes_down_is_lost_until_it_is_sent_again(farm: MemoryFarm) -> None:
    """At once, without the time that the verdict gives a client."""
    send(farm, "barn", steps=100)
    crash(farm, "gpu-1")
    with pytest.raises(ExpectationFailed, match="lost: barn was taken on by gpu-1"):
        farm.assert_no_lost_jobs()
    assert farm.verdict().verdict == "unknown"
    send(farm, "barn", "gpu-2")
    farm.assert_no_lost_jobs()


def test_the_farm_is_moved_until_it_is_so(farm: MemoryFarm) -> None:
    """And hardly farther."""
    send(farm, "barn")
    with pytest.raises(ExpectationFailed, match="barn still runs on gpu-1"):
        farm.assert_all_finished()
    farm.assert_all_finished(within="20s")
    assert farm.farm.time.now_ms() < 1000


def test_the_farm_is_moved_no_farther_than_said(farm: MemoryFarm) -> None:
    send(farm, "barn", steps=10_000)
    with pytest.raises(ExpectationFailed, match="after 5 s of simulated time"):
        farm.assert_all_finished(within=5)
    assert farm.farm.time.now_ms() == 5000


def test_time_passes_where_nothing_is_due_any_more(farm: MemoryFarm) -> None:
    """The verdict gives a client 30 seconds, and nothing else happens in them."""
    send(farm, "barn")
    crash(farm, "gpu-1")
    farm.assert_verdict("unknown")
    farm.assert_verdict("fail", within="40s")
    with pytest.raises(ExpectationFailed, match="lost"):
        farm.assert_verdict("pass")


def test_what_moves_by_itself_is_waited_for(farm: MemoryFarm) -> None:
    """Under auto the clock jumps when the sockets are quiet."""
    farm.control("POST", "/api/clock", json={"auto": True})
    send(farm, "barn", steps=1000)
    farm.assert_all_finished(within="1h")
    assert farm.farm.time.now_ms() < 60_000


def test_a_verdict_that_nothing_speaks_against_can_be_wrong_too(farm: MemoryFarm) -> None:
    with pytest.raises(ExpectationFailed, match=r"not so: the verdict is fail .*\n.*nothing against anybody"):
        farm.assert_verdict("fail")


def test_a_farm_that_was_stopped_can_still_be_asked(farm: MemoryFarm) -> None:
    send(farm, "barn")
    farm.run_until_idle()
    farm.stop()
    farm.assert_all_finished()
    farm.assert_verdict("pass", within="5s")
    with pytest.raises(ExpectationFailed, match="not so"):
        farm.assert_verdict("fail")


def test_names_that_mean_nothing_are_refused(farm: MemoryFarm) -> None:
    """An assertion that cannot fail proves nothing."""
    with pytest.raises(ValueError, match=r"no finding 'lots' .*retry_storm"):
        farm.assert_no("lots")
    with pytest.raises(ValueError, match="expected the name of a finding"):
        farm.assert_no()
    with pytest.raises(ValueError, match="no verdict 'passed'"):
        farm.assert_verdict("passed")
    with pytest.raises(ValueError, match="5 parsecs"):
        farm.assert_all_finished(within="5 parsecs")
