"""The requests as the journal keeps them."""

from collections.abc import Callable

from comfyfarm.testing import MemoryFarm
from comfyfarm.workflows import text_to_image

Start = Callable[..., MemoryFarm]

TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def test_a_request_is_found_by_the_trace_of_the_service_that_sent_it(memory_farm: Start) -> None:
    farm = memory_farm({"instance": [{"name": "gpu-1"}]})
    farm["gpu-1"].ask("POST", "/prompt", json={"prompt": text_to_image()}, headers={"traceparent": TRACE})
    (request,) = farm.log.requests(route="/prompt")
    assert (request.traceparent, request.request_headers, request.request_body) == (TRACE, "", "")


def test_headers_and_bodies_are_kept_on_request(memory_farm: Start) -> None:
    """Of requests that are served directly, that take the long way, and that no route serves."""
    farm = memory_farm({"farm": {"journal_bodies": True}, "instance": [{"name": "gpu-1"}]})
    body = {"prompt": text_to_image(), "extra_data": {"api_key_comfy_org": "s3cret"}}
    farm["gpu-1"].ask("POST", "/prompt", json=body, headers={"X-Request-Id": "17"})
    farm.control("POST", "/api/faults", json={"do": "status", "status": 503, "at": "submit", "times": 1})
    farm["gpu-1"].ask("POST", "/prompt", json=body, headers={"X-Request-Id": "18"})
    farm["gpu-1"].ask("POST", "/nowhere", json={"a": 1})
    direct, faulty = farm.log.requests(route="/prompt")
    for request, number in ((direct, "17"), (faulty, "18")):
        assert f"X-Request-Id: {number}" in request.request_headers.splitlines()
        assert '"api_key_comfy_org": "[redacted]"' in request.request_body
        assert "s3cret" not in request.request_body
    assert farm.log.requests(route="/nowhere")[0].request_body == '{"a": 1}'
