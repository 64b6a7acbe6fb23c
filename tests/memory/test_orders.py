"""What users order, as it is reported to the farm: over the control API, and by the farms of the fixtures."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from comfyfarm.events import Delivered, OrderReported
from comfyfarm.testing import MemoryFarm
from comfyfarm.workflows import text_to_image

Start = Callable[..., MemoryFarm]
DYNAMIC = {"instance": [{"name": "gpu-1", "mode": "dynamic"}]}


def report(farm: MemoryFarm, *orders: dict[str, Any]) -> Any:
    return farm.control("POST", "/api/orders", json={"orders": list(orders)})


def picture_of(farm: MemoryFarm, job: str) -> bytes:
    """Have a job done, and fetch its picture."""
    body = {"prompt": text_to_image(prefix=job), "extra_data": {"comfyfarm_job": job}}
    assert farm["gpu-1"].ask("POST", "/prompt", json=body).status == 200
    farm.run_until_idle()
    return farm["gpu-1"].ask("GET", f"/view?filename={job}_00001_.png").body


def test_several_orders_are_reported_in_one_call_with_their_moments(memory_farm: Start) -> None:
    farm = memory_farm(DYNAMIC)
    farm.advance("2s")
    failed = {"job": "boat", "state": "failed", "at_ms": 1_500, "why": "out of memory"}
    answer = report(farm, {"job": "barn", "at_ms": 500}, {"job": "boat"}, failed)
    assert (answer.status, answer.json()) == (200, {"seq": farm.farm.log.seq, "recorded": 3})
    first, second, third = farm.farm.log.of(OrderReported)
    assert (first.job, first.state, first.at_ms, first.when_ms) == ("barn", "asked", 2_000, 500)
    assert (second.job, second.when_ms) == ("boat", None)
    assert (third.job, third.state, third.when_ms, third.why) == ("boat", "failed", 1_500, "out of memory")


@pytest.mark.parametrize(
    ("orders", "error"),
    [
        ([{"job": "barn"}, {"job": "boat", "at_ms": 1}], "orders[1].at_ms: 1 is in the future; it is 0 now"),
        ([{"job": "barn"}, {"job": ""}], "orders[1].job: expected str of length >= 1"),
        ([{"job": "barn", "state": "delivered"}], "orders[0].state: "),
        ([{"job": "barn", "who": "Ann"}], "orders[0].who: "),
        ([], "orders: expected"),
    ],
)
def test_a_wrong_report_is_refused_with_all_others(memory_farm: Start, orders: list[Any], error: str) -> None:
    farm = memory_farm(DYNAMIC)
    answer = report(farm, *orders)
    assert answer.status in {400, 422}
    assert error in answer.json()["error"]
    assert list(farm.farm.log.of(OrderReported)) == []


def test_an_order_is_followed_from_the_wish_to_the_picture(memory_farm: Start) -> None:
    farm = memory_farm(DYNAMIC)
    barn, boat, bird = farm.orders("barn", "boat", "bird")
    picture = picture_of(farm, "barn")
    assert farm.verdict().verdict == "unknown"
    stamp = barn.delivered(picture=picture)
    assert stamp is not None
    assert stamp.job == "barn"
    boat.failed("no server has this model")
    bird.withdrawn()
    verdict = farm.verdict()
    assert (verdict.verdict, verdict.basis, verdict.delivery) == ("pass", "names", "told")
    assert (verdict.orders, verdict.delivered, verdict.told, verdict.withdrawn) == (3, 1, 1, 1)
    assert [event.job for event in farm.farm.log.of(Delivered)] == ["barn"]
    farm.assert_all_finished(jobs=1)


def test_an_order_that_is_never_sent_fails_by_its_name(memory_farm: Start) -> None:
    farm = memory_farm(DYNAMIC)
    farm.order("barn")
    farm.order("boat").delivered(picture=picture_of(farm, "boat"))
    farm.advance("30s")
    (finding,) = farm.verdict().findings
    assert (finding.finding, finding.severity, finding.job) == ("undelivered", "error", "barn")


def test_a_picture_that_nobody_fetches_fails_if_others_are_fetched(memory_farm: Start) -> None:
    farm = memory_farm(DYNAMIC)
    picture_of(farm, "barn")
    body = {"prompt": text_to_image(seed=2), "extra_data": {"comfyfarm_job": "boat"}}
    assert farm["gpu-1"].ask("POST", "/prompt", json=body).status == 200
    farm.run_until_idle()
    with pytest.raises(AssertionError, match="boat succeeded on gpu-1"):
        farm.assert_all_finished(within="31s")


@pytest.mark.parametrize(("delivery", "verdict"), [(None, "unknown"), ("folder", "pass"), ("http", "fail")])
def test_the_configuration_says_what_counts_as_delivered(
    memory_farm: Start, delivery: str | None, verdict: str
) -> None:
    farm = memory_farm({**DYNAMIC, "farm": {} if delivery is None else {"delivery": delivery}})
    assert farm["gpu-1"].ask("POST", "/prompt", json={"prompt": text_to_image()}).status == 200
    farm.advance("60s")
    assert farm.verdict().verdict == verdict
