"""What the event log keeps of a request."""

import json

import pytest
from twisted.web.http_headers import Headers

from comfyfarm.server.http.request_content import REDACTED, shown_body, shown_headers, traceparent

TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@pytest.mark.parametrize("value", ["", "00-4bf9-00f0-01", TRACE.upper(), f"{TRACE} x", "x" * 5000])
def test_a_traceparent_of_another_form_is_none(value: str) -> None:
    assert traceparent(Headers({"traceparent": [value]})) == ""


def test_a_traceparent_is_kept_as_it_is() -> None:
    assert traceparent(Headers({"Traceparent": [TRACE]})) == TRACE
    assert traceparent(Headers()) == ""


def test_headers_that_hold_secrets_are_redacted() -> None:
    fields = {"Authorization": ["Bearer me"], "cookie": ["a=b"], "X-Request-Id": ["one", "two"], "Host": ["h\xe9"]}
    assert shown_headers(Headers(fields)).splitlines() == [
        f"Authorization: {REDACTED}", f"Cookie: {REDACTED}", "X-Request-Id: one", "X-Request-Id: two",
        "Host: h\xc3\xa9",
    ]


@pytest.mark.parametrize("key", ["api_key_comfy_org", "auth_token_comfy_org", "Token", "password"])
@pytest.mark.parametrize("value", ["s3cret", 'quo"te', "back\\slash", "\\", ""])
def test_secrets_in_a_body_are_redacted_and_nothing_else(key: str, value: str) -> None:
    body = {"prompt": {"1": {"inputs": {"text": "token"}}}, "extra_data": {key: value, "order": "17"}}
    shown = json.loads(shown_body(json.dumps(body).encode()))
    assert shown == {**body, "extra_data": {key: REDACTED, "order": "17"}}


def test_a_long_body_is_cut_and_one_that_is_no_text_is_only_counted() -> None:
    assert shown_body(b"a" * 70_000) == "a" * 65_536 + " [70000 characters]"
    assert shown_body(b"\xff\xd8\xff") == "[3 bytes]"
    assert shown_body(b"") == ""
