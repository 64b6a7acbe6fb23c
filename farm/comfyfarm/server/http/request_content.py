"""The facts of a request that the event log keeps: its trace, and with ``journal_bodies`` its content."""

import re

from twisted.web.http_headers import Headers

from comfyfarm.sim.prompt.submission import SECRETS

REDACTED = "[redacted]"
_MOST_CHARACTERS = 64 * 1024
_SECRET_HEADERS = {b"authorization", b"proxy-authorization", b"cookie", b"x-api-key", b"comfy-user-token"}
_SECRET_KEYS = "|".join((*SECRETS, "api_key", "access_token", "refresh_token", "password", "secret", "token"))
_SECRET = re.compile(rf'("(?:{_SECRET_KEYS})"\s*:\s*)"(?:[^"\\]|\\.)*"', re.IGNORECASE)
_TRACEPARENT = re.compile(rb"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}(-[\x21-\x7e]{1,64})?")


def traceparent(headers: Headers) -> str:
    """Return the header ``traceparent`` of W3C Trace Context; empty without one, or if it has another form."""
    values = headers.getRawHeaders(b"traceparent")
    if values is None or len(values) > 1 or not _TRACEPARENT.fullmatch(values[0]):
        return ""
    return values[0].decode("ascii")


def shown_headers(headers: Headers) -> str:
    """Return the fields of a request, a line for each; those that hold secrets are redacted."""
    fields = ((name, value) for name, values in headers.getAllRawHeaders() for value in values)
    return "\n".join(
        f"{name.decode('latin-1')}: {REDACTED if name.lower() in _SECRET_HEADERS else value.decode('latin-1')}"
        for name, value in fields
    )


def shown_body(body: bytes) -> str:
    """Return the first 65,536 characters of a body, secrets in its JSON redacted; of no text only its size."""
    try:
        text = body.decode()
    except UnicodeDecodeError:
        return f"[{len(body)} bytes]"
    text = _SECRET.sub(rf'\1"{REDACTED}"', text)
    return text if len(text) <= _MOST_CHARACTERS else f"{text[:_MOST_CHARACTERS]} [{len(text)} characters]"
