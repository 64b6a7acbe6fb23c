"""The check for requests from pages of another site."""

import pytest

from comfyfarm.server.http.headers import is_foreign

HERE = "127.0.0.1:8188"


@pytest.mark.parametrize(
    ("host", "origin"),
    [
        (HERE, "http://127.0.0.1:8188"),
        (HERE, "https://127.0.0.1:8188"),
        (HERE, "http://127.0.0.1"),             # a side without a port is compared by its name
        ("127.0.0.1", "http://127.0.0.1:9999"),
        ("LocalHost:8188", "http://LOCALHOST:8188"),
        ("[::1]:8188", "http://[::1]:8188"),
        ("[::1]", "http://[::1]:8188"),
        (HERE, "null"),
        (HERE, ""),
        (HERE, None),
        (None, "http://evil.example"),
        ("", "http://evil.example"),
        ("example.com", "http://evil.example"),     # only a server on this machine is guarded
        ("192.168.0.5:8188", "http://evil.example"),
        (HERE, "file://"),
    ],
)
def test_its_own_pages_and_plain_clients_pass(host: str | None, origin: str | None) -> None:
    assert not is_foreign(host, origin, None)


@pytest.mark.parametrize(
    ("host", "origin"),
    [
        (HERE, "http://evil.example"),
        (HERE, "http://evil.example:8188"),
        (HERE, "http://127.0.0.1:9999"),
        (HERE, "http://localhost:8188"),        # ComfyUI compares the texts
        ("localhost:8188", "http://127.0.0.1:8188"),
        ("127.0.0.9:8188", "http://127.0.0.1:8188"),
        ("[::1]:8188", "http://[::1]:8189"),
        ("[::1]", "http://localhost"),
        (HERE, "http://127.0.0.1.evil.example"),
    ],
)
def test_pages_of_other_sites_are_foreign(host: str, origin: str) -> None:
    assert is_foreign(host, origin, None)


@pytest.mark.parametrize(("site", "foreign"), [("cross-site", True), ("same-site", False), ("same-origin", False)])
def test_a_browser_says_itself_where_a_request_comes_from(site: str, foreign: bool) -> None:
    """``Sec-Fetch-Site``, whatever the names are."""
    assert is_foreign(None, None, site) is foreign
    assert is_foreign("example.com", "http://example.com", site) is foreign


@pytest.mark.parametrize(
    ("host", "origin"),
    [
        (HERE, "http://["),
        ("[", "http://127.0.0.1"),
        (HERE, "http://[x]"),
        (HERE, "http://127.0.0.1:abc"),
        (HERE, "http://evil.example:99999"),
        ("localhost:abc", "http://localhost"),
        ("::1", "http://[::1]:8188"),           # IPv6 without brackets: what follows the first colon is no port
        ("fe80::1:8188", "http://localhost"),
    ],
)
def test_a_name_that_is_none_makes_comfyui_raise(host: str, origin: str) -> None:
    """The gate answers 500 then."""
    with pytest.raises(ValueError, match=r"IPv6|address|[Pp]ort"):
        is_foreign(host, origin, None)
