"""The rules of access to the control server: requests of foreign web pages and without the token are refused.

A page that somebody has open in a browser can send requests to any port of this machine.  So a request that comes from
another origin is refused, and so is one for a host name that is not this farm's: a foreign name may resolve to this
machine (DNS rebinding).  If the farm is open to other machines, a token is required, too.  See docs/control-api.md,
"Access".
"""

import secrets
from base64 import b64encode
from collections.abc import Collection
from dataclasses import dataclass, field
from hashlib import sha256
from http.cookies import CookieError, SimpleCookie
from ipaddress import ip_address
from socket import gethostname
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

from klein.resource import KleinResource
from twisted.web.resource import Resource
from twisted.web.server import Request

from comfyfarm.analysis.report.style import SCRIPT
from comfyfarm.config.values import FarmSettings, is_loopback
from comfyfarm.control.routing import answer
from comfyfarm.control.schema.farm import Problem

COOKIE = "comfyfarm_token"
_WITHOUT_TOKEN = (b"/healthz",)
_REPORT_SCRIPT = b64encode(sha256(SCRIPT.encode()).digest()).decode()
_POLICY = (
    f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{_REPORT_SCRIPT}'; img-src data:;"
    " base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self';"
    " base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_ON_EVERYTHING = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
)


def new_token() -> str:
    return secrets.token_urlsafe(24)


@dataclass(frozen=True)
class Refusal:
    """The answer to a request that is not allowed."""

    status: int
    error: str


@dataclass(frozen=True)
class Access:
    """The rules of one control server.

    :ivar token: ``None``: none is required.
    :ivar names: the host names under which the farm is known, beside IP addresses and ``localhost``.
    """

    token: str | None = None
    names: Collection[str] = ()

    @classmethod
    def of(cls, settings: FarmSettings) -> "Access":
        """Return the rules by the configuration; a farm that is open to other machines gets a token if it has none."""
        token = settings.control_token
        if token is None and not is_loopback(settings.host):
            token = new_token()
        return cls(token, tuple(name.lower() for name in (settings.host, settings.url_host, gethostname())))

    def refusal(self, request: Request) -> Refusal | None:
        """Return why a request is refused; ``None`` if it is allowed."""
        host = _header(request, b"host")
        if not self._is_own(host):
            return Refusal(403, f"Host: {host!r} is no name of this farm (it has: {', '.join(self._all_names())})")
        origin, site = _header(request, b"origin"), _header(request, b"sec-fetch-site")
        own = (f"http://{host}".lower(), f"https://{host}".lower())
        if site == "cross-site" or (origin and origin.lower() not in own):
            return Refusal(403, f"Origin: a page of {origin or 'another site'} may not use this farm")
        if self.token is None or request.path in _WITHOUT_TOKEN or self._has_token(request):
            return None
        return Refusal(401, f"the control token is missing: send 'Authorization: Bearer TOKEN', or the cookie {COOKIE}")

    def _is_own(self, host: str) -> bool:
        try:
            name = (urlsplit(f"//{host}").hostname or "").rstrip(".")
        except ValueError:
            return False
        return name in self._all_names() or name.endswith(".localhost") or _is_address(name)

    def _all_names(self) -> list[str]:
        return [*dict.fromkeys(("localhost", *self.names))]

    def _has_token(self, request: Request) -> bool:
        scheme, _, bearer = _header(request, b"authorization").partition(" ")
        found = [bearer.strip()] if scheme.lower() == "bearer" else []
        return any(self.is_token(text) for text in (*found, _cookie(_header(request, b"cookie"))))

    def is_token(self, text: str) -> bool:
        return self.token is not None and secrets.compare_digest(text.encode(), self.token.encode())


@dataclass(eq=False)
class GuardedResource(Resource):
    """The control server's routes, for requests that are allowed."""

    access: Access
    routes: KleinResource
    isLeaf: bool = field(default=True, init=False)

    def __post_init__(self) -> None:
        super().__init__()

    def render(self, request: Request) -> Any:
        """Handle a request, or refuse it; ``?token=`` in the URL of a page is exchanged for a cookie."""
        is_page = request.path == b"/" or request.path.startswith(b"/page/")
        request.setHeader(b"content-security-policy", (_PAGE_POLICY if is_page else _POLICY).encode())
        for name, value in _ON_EVERYTHING:
            request.setHeader(name, value)
        refusal = self.access.refusal(request)
        if refusal is not None and refusal.status == 401 and request.method == b"GET" and self._exchange(request):
            return b""
        if refusal is not None:
            if refusal.status == 401:
                request.setHeader(b"www-authenticate", b"Bearer")
            return answer(request, Problem(refusal.error), refusal.status)
        return self.routes.render(request)

    def _exchange(self, request: Request) -> bool:
        """Return whether the URL has the token; then the answer sets the cookie and leads to the URL without it."""
        path, _, query = request.uri.decode("latin-1").partition("?")
        pairs = parse_qsl(query, keep_blank_values=True)
        if not any(key == "token" and self.access.is_token(value) for key, value in pairs):
            return False
        rest = urlencode([(key, value) for key, value in pairs if key != "token"])
        request.setResponseCode(303)
        request.setHeader(b"location", f"{path}?{rest}".rstrip("?").encode("latin-1"))
        cookie = f"{COOKIE}={quote(self.access.token or '')}; Path=/; HttpOnly; SameSite=Strict"
        request.setHeader(b"set-cookie", cookie.encode())
        request.setHeader(b"content-length", b"0")
        return True


def _header(request: Request, name: bytes) -> str:
    return request.requestHeaders.getRawHeaders(name, [b""])[-1].decode("latin-1")


def _cookie(header: str) -> str:
    try:
        found = SimpleCookie(header).get(COOKIE)
    except CookieError:
        return ""
    return "" if found is None else found.value


def _is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True
