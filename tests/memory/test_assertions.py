"""Assertions about a run: when they fail, what they say, and what they wait for."""

from collections.abc import Callable
from typing import Any

import pytest

from comfyfarm.testing import ExpectationFailed, MemoryFarm
from comfyfarm.testing.expectations import expect_no_finding, expect_none_of
from comfyfarm.testing.waiting import WaitStep, steps_until_met
from comfyfarm.workflows import text_to_image

MakeFarm = Callable[..., MemoryFarm]
TWO = {"farm": {"delivery": "none"}, "instance": [{"name": "gpu-1"}, {"name": "gpu-2"}]}


@pytest.fixture
def farm(memory_farm: MakeFarm) -> MemoryFarm:
    """Two instances."""
    return memory_farm(TWO)


def send(farm: MemoryFarm, job: str, on: str = "gpu-1", **extra: Any) -> str:
    """Submit a logical job."""
    body = {"prompt": text_to_image(**extra), "extra_data": {"comfyfarm_job": job}}
    prompt_id: str = farm[on].ask("POST", "/prompt", json=body).json()["prompt_id"]
    return prompt_id


def run_with_a_warning(farm: MemoryFarm) -> None:
    """Let two jobs run well and tell the user of one that it failed: the verdict is *pass*, with a warning."""
    send(farm, "barn")
    send(farm, "boat", "gpu-2")
    farm.run_until_idle()
    farm.order("barn").failed()


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
    with pytest.raises(ExpectationFailed, match="lost: barn was accepted by gpu-1"):
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


def test_real_time_that_is_up_is_not_called_simulated(farm: MemoryFarm) -> None:
    """Under auto, if the software under test keeps its sockets busy for so long that the clock does not jump."""
    farm.control("POST", "/api/clock", json={"auto": True})
    send(farm, "barn")
    seconds = iter(range(0, 1_000, 10))
    steps = steps_until_met(expect_no_finding("it is so", "unfinished"), farm.evidence, "20s", lambda: next(seconds))
    with pytest.raises(ExpectationFailed, match=r"not so: it is so \(after 30 s of real time, at 0 s; "):
        list(steps)


def test_what_moves_by_itself_is_waited_for(farm: MemoryFarm) -> None:
    """Under auto the clock jumps when the sockets are quiet."""
    farm.control("POST", "/api/clock", json={"auto": True})
    send(farm, "barn", steps=1000)
    farm.assert_all_finished(within="1h")
    assert farm.farm.time.now_ms() < 60_000


@pytest.mark.parametrize("wanted", ["fail", "unknown"])
def test_a_pass_that_was_not_expected_is_explained(farm: MemoryFarm, wanted: str) -> None:
    """Also if there are warnings, which count for no verdict."""
    run_with_a_warning(farm)
    assert [finding.severity for finding in farm.verdict().findings] == ["warning"]
    with pytest.raises(ExpectationFailed) as failed:
        farm.assert_verdict(wanted)
    first, second, third, *_ = str(failed.value).splitlines()
    assert first.startswith(f"not so: the verdict is {wanted} (at ")
    assert first.endswith("; the verdict is pass)")
    assert second == "    no finding is an error, and none is unknown"
    assert third == ""


def test_a_run_without_a_job_is_not_finished_and_no_pass(farm: MemoryFarm) -> None:
    """What must not happen has not happened, all the same."""
    with pytest.raises(ExpectationFailed, match=r"not so: all jobs are finished \(.*\n.*\n.*No job came: no req"):
        farm.assert_all_finished()
    with pytest.raises(ExpectationFailed, match=r"(?s)the verdict is unknown\).*unknown no_job: No job came"):
        farm.assert_verdict("pass", within="5s")
    farm.assert_verdict("unknown")
    farm.assert_nothing_ran_twice()


def test_the_number_of_jobs_can_be_asserted_with_anything(farm: MemoryFarm) -> None:
    """Logical ones: a job that is sent again is still one."""
    send(farm, "barn")
    crash(farm, "gpu-1")
    send(farm, "barn", "gpu-2")
    send(farm, "boat", "gpu-2")
    farm.run_until_idle()
    farm.assert_verdict("pass", jobs=2)
    farm.assert_all_finished(jobs=2)
    farm.assert_no("orphaned", "retry_storm", jobs=2)
    farm.assert_no_lost_jobs(jobs=2)
    farm.assert_nothing_ran_twice(jobs=2)
    farm.assert_nothing_delivered_twice(jobs=2)
    farm.assert_nothing_misattributed(jobs=2)
    farm.assert_no_false_completion(jobs=2)


@pytest.mark.parametrize(("jobs", "expected"), [(3, "3 jobs"), (1, "1 job")])
def test_fewer_or_more_jobs_than_expected_fail_the_assertion(farm: MemoryFarm, jobs: int, expected: str) -> None:
    """With a sentence that says how many came, and the hint only if more can still come."""
    run_with_a_warning(farm)
    with pytest.raises(ExpectationFailed) as failed:
        farm.assert_verdict("pass", jobs=jobs)
    first, *others = str(failed.value).splitlines()
    assert first.startswith(f"not so: {expected} came, and the verdict is pass (at ")
    assert first.endswith("; 2 jobs came; the verdict is pass)")
    assert ('    (it may be so a little later: within="5s")' in others) is (jobs == 3)
    assert failed.value.findings == ()


def test_jobs_that_are_missing_are_waited_for(farm: MemoryFarm) -> None:
    """As for anything else, as long as the test says."""
    send(farm, "barn")
    says = r"not so: 2 jobs came, and all jobs are finished \(after 5 s of simulated time, .*; 1 job came; "
    with pytest.raises(ExpectationFailed, match=says):
        farm.assert_all_finished(jobs=2, within="5s")
    send(farm, "boat", "gpu-2")
    farm.assert_all_finished(jobs=2, within="5s")


def test_software_on_sockets_is_given_real_time_to_send_its_jobs(farm: MemoryFarm) -> None:
    """A virtual clock on which nothing is due does not jump to the end of the time at once."""
    expectation = expect_none_of("lost", "no_job")
    steps = steps_until_met(expectation, farm.evidence, "1h", lambda: 0.0)
    assert next(steps) == WaitStep(advance_ms=18_000, pause_s=0.02)
    send(farm, "barn")
    assert list(steps) == []


def test_that_no_job_came_can_be_asserted_too(farm: MemoryFarm) -> None:
    farm.assert_all_finished(jobs=0)
    farm.assert_nothing_ran_twice(jobs=0)
    with pytest.raises(ExpectationFailed, match=r"(?s)not so: 2 jobs came, .*; 0 jobs came; .*No job came: no request"):
        farm.assert_nothing_ran_twice(jobs=2)
    send(farm, "barn")
    with pytest.raises(ExpectationFailed, match=r"not so: 0 jobs came, and nothing ran twice \(.*; 1 job came; "):
        farm.assert_nothing_ran_twice(jobs=0)


def test_only_what_contradicts_the_expected_verdict_is_listed(farm: MemoryFarm) -> None:
    """An outcome that is still open speaks against a pass, and not against *unknown*."""
    send(farm, "barn")
    send(farm, "barn", "gpu-2")
    farm.run_until_idle()
    send(farm, "boat")
    with pytest.raises(ExpectationFailed) as failed:
        farm.assert_verdict("unknown")
    assert [finding.finding for finding in failed.value.findings] == ["ran_twice"]
    with pytest.raises(ExpectationFailed) as failed:
        farm.assert_verdict("pass")
    assert [finding.finding for finding in failed.value.findings] == ["ran_twice", "unfinished"]
    assert "a little later" not in str(failed.value)     # what ran twice will have done so for ever


def test_a_verdict_with_other_bounds_is_named_so(farm: MemoryFarm) -> None:
    """With its own bounds the assertion fails, although the verdict is not *fail* with the usual ones."""
    send(farm, "barn", steps=100)
    crash(farm, "gpu-1")
    with pytest.raises(ExpectationFailed, match=r"no job is lost \(at .*; the verdict with reaction=0 is fail\)"):
        farm.assert_no_lost_jobs()
    assert farm.verdict().verdict == "unknown"


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
    with pytest.raises(ValueError, match="jobs: without a job the verdict is never pass"):
        farm.assert_verdict("pass", jobs=0)
    for jobs in (-1, True, "2"):
        with pytest.raises(ValueError, match=f"jobs: expected the number of logical jobs, got {jobs!r}"):
            farm.assert_nothing_ran_twice(jobs=jobs)  # type: ignore[arg-type]  # (what mypy cannot see)
    with pytest.raises(ValueError, match="5 parsecs"):
        farm.assert_all_finished(within="5 parsecs")


def test_a_failed_comparison_of_pytest_shows_a_farm_in_a_few_words(memory_farm: Callable[[Any], MemoryFarm]) -> None:
    """It writes the text of every object in the comparison; that of a farm would have the whole log."""
    farm = memory_farm({"instance": [{"name": "gpu-1"}]})
    farm["gpu-1"].ask("GET", "/queue")
    with farm.fault(do="crash", at="process", after="1h") as fault:
        for thing in (farm, farm["gpu-1"], farm.evidence, farm.farm, farm.farm.log, farm.app, fault):
            assert len(repr(thing)) < 1000
