"""What holds before any job runs: paths, methods, headers, what the server says of itself."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from comfyfarm.conformance.described import shape
from comfyfarm.conformance.scenario import Family
from comfyfarm.conformance.visit import NotPossible, Session

family = Family("http", "paths, methods, headers, what the server says of itself")


def _type(value: Any) -> str:
    return type(value).__name__


family.requests(
    "get_queue_empty",
    "An empty queue, with and without the /api prefix.",
    "GET /queue",
    "GET /api/queue",
    "GET /queue?foo=1",
)
family.requests(
    "get_history_empty",
    "An empty history, and jobs that it does not know.",
    "GET /history",
    "GET /api/history",
    "GET /history/00000000-0000-0000-0000-000000000000",
    "GET /history/not-a-uuid",
)
family.requests(
    "view_metadata_errors",
    "Metadata of model files that are not there.",
    "GET /view_metadata/checkpoints",
    "GET /view_metadata/checkpoints?filename=a.png",
    "GET /view_metadata/checkpoints?filename=nope.safetensors",
    "GET /view_metadata/nofolder?filename=nope.safetensors",
)
family.requests(
    "root_page",
    "The web page, and files beside it that are not there: cache headers go by the suffix.",
    "GET /",
    "GET /index.html",
    "GET /nope.js",
    "GET /nope.png",
    "GET /nope/deeper.css",
)
family.requests(
    "object_info_one",
    "One node type at a time, and one that there is not.",
    "GET /object_info/EmptyImage",
    "GET /api/object_info/ImageInvert",
    "GET /object_info/NoSuchNode",
    "GET /object_info/",
)
family.requests(
    "wrong_methods",
    "Methods that a path does not take: 405 with Allow, or the static 404.",
    "PUT /prompt",
    "DELETE /prompt",
    "DELETE /queue",
    "PUT /history",
    "GET /interrupt",
    "GET /free",
    "GET /upload/image",
    "GET /upload/mask",
    "POST /view",
    "POST /object_info",
    "POST /system_stats",
    "POST /ws",
    "PATCH /queue",
    "POST /api/jobs",
    "DELETE /api/history",
    "GET /api/interrupt",
    "POST /history/abc",
)
family.requests(
    "head_requests",
    "HEAD is GET without the body.",
    "HEAD /prompt",
    "HEAD /queue",
    "HEAD /history",
    "HEAD /system_stats",
    "HEAD /object_info/EmptyImage",
    "HEAD /nope",
    "HEAD /view?filename=nope.png",
    "HEAD /interrupt",
    "HEAD /api/jobs",
)
family.requests(
    "history_query_errors",
    "Windows of the history that make no sense.",
    *(
        f"GET /history?{query}"
        for query in (
            "max_items=abc",
            "offset=abc",
            "max_items=",
            "max_items=1.5",
            "max_items=-1",
            "offset=-5",
            "max_items=0",
            "max_items=0&offset=0",
            "offset=99",
        )
    ),
)


@family.scenario
async def features(visit: Session) -> None:
    """What the server can do."""
    await visit.ask("GET /features")
    await visit.ask("GET /api/features", view=shape)


@family.scenario
async def system_stats_shape(visit: Session) -> None:
    """The keys and types of what it says about its machine."""
    await visit.ask("GET /system_stats", view=lambda stats: shape(stats, 4))


@family.scenario
async def models_lists(visit: Session) -> None:
    """Model folders without model files, in both APIs."""
    await visit.ask("GET /models")
    await visit.ask("GET /models/checkpoints")
    await visit.ask("GET /models/nosuchfolder")
    await visit.ask("GET /models/configs", view=shape)
    await visit.ask("GET /experiment/models", view=lambda folders: sorted(each["name"] for each in folders))
    await visit.ask("GET /experiment/models/checkpoints")
    await visit.ask("GET /experiment/models/nope")
    await visit.ask("GET /embeddings")
    for index in ("0", "x", "99"):
        await visit.ask(f"GET /experiment/models/preview/checkpoints/{index}/nope.safetensors")


@family.scenario
async def misc_get_shapes(visit: Session) -> None:
    """What the web page asks for when it loads."""
    await visit.peek("POST /settings", json={})     # a server that has no user folder yet makes one
    await visit.ask("GET /extensions", view=shape)
    await visit.ask("GET /i18n", view=_type)
    await visit.ask("GET /workflow_templates", view=_type)
    await visit.ask("GET /node_replacements", view=_type)
    await visit.ask("GET /global_subgraphs", view=lambda found: shape(next(iter(found.values()))) if found else {})
    await visit.ask("GET /global_subgraphs/nope")
    await visit.ask("GET /users")


@family.scenario
async def internal_routes(visit: Session) -> None:
    """Routes under /internal, which have no /api twin."""
    await visit.ask("GET /internal/logs", view=_type)
    await visit.ask("GET /internal/logs/raw", view=shape)
    await visit.ask("GET /internal/folder_paths", view=lambda folders: sorted(folders)[:5])
    await visit.ask("GET /internal/files/input", view=lambda names: "example.png [input]" in names)
    await visit.ask("GET /internal/files/bogus")
    subscribe = "PATCH /internal/logs/subscribe"
    await visit.ask(subscribe, data=b"", as_line=f"{subscribe} without a body")
    await visit.ask(subscribe, json={"clientId": "x"}, as_line=f"{subscribe} without enabled")
    await visit.ask(subscribe, json={"clientId": "nobody", "enabled": False})
    await visit.ask("GET /api/internal/logs")


@family.scenario
async def assets_disabled(visit: Session) -> None:
    """The assets API says that it is off."""
    await visit.ask("GET /api/assets")
    await visit.ask("GET /assets")
    await visit.ask("GET /api/tags")
    await visit.ask("HEAD /api/assets/hash/blake3:00")
    await visit.ask("POST /api/assets", data=b"x")
    await visit.ask("GET /view?filename=blake3:0000")


def loopback(visit: Session) -> tuple[str, int]:
    """The host and port of a server whose address is loopback: only then are origins compared.

    :raises NotPossible: where it is another.
    """
    where = urlsplit(visit.server.base_url)
    host = where.hostname or ""
    if host not in ("localhost", "127.0.0.1"):
        raise NotPossible("origins are compared only where the server is asked as localhost or 127.0.0.1")
    return host, where.port or 80


@family.scenario
async def options_requests(visit: Session) -> None:
    """OPTIONS is answered on any path, to any page of its own origin."""
    loopback(visit)
    for path in ("/prompt", "/queue", "/nope", "/api/prompt"):
        await visit.ask(f"OPTIONS {path}")
    for whose, origin in (("a foreign", "http://evil.example"), ("its own", visit.server.base_url)):
        headers = {"Origin": origin, "Access-Control-Request-Method": "POST"}
        await visit.ask("OPTIONS /prompt", headers=headers, as_line=f"OPTIONS /prompt from {whose} page")


@family.scenario
async def origin_check(visit: Session) -> None:
    """Pages of other origins are refused, by Origin and by Sec-Fetch-Site."""
    host, port = loopback(visit)
    origins = {
        "a foreign page": "http://evil.example",
        "a foreign page with a port": "http://evil.example:8188",
        "another port": f"http://{host}:{port + 1}",
        "its own page": visit.server.base_url,
        "no port": f"http://{host}",
        "another name of the host": f"http://{'127.0.0.1' if host == 'localhost' else 'localhost'}:{port}",
        "null": "null",
        "its own page in capitals": f"HTTP://{host}:{port}",
    }
    for whose, origin in origins.items():
        await visit.ask("GET /queue", headers={"Origin": origin}, as_line=f"GET /queue Origin: {whose}")
    for site in ("cross-site", "same-origin", "same-site", "none"):
        await visit.ask("GET /queue", headers={"Sec-Fetch-Site": site}, as_line=f"GET /queue Sec-Fetch-Site: {site}")
    foreign = {"Origin": "http://evil.example"}
    await visit.ask("POST /prompt", json={}, headers=foreign, as_line="POST /prompt Origin: a foreign page")
    await visit.ask("GET /nope", headers={"Sec-Fetch-Site": "cross-site"}, as_line="GET /nope from another site")


@family.scenario
async def accept_html_errors(visit: Session) -> None:
    """Whoever accepts HTML gets an error page."""
    accept = {"Accept": "text/html"}
    await visit.ask("GET /nope", headers=accept, as_line="GET /nope Accept: text/html")
    await visit.ask("POST /prompt", data=b"{", headers=accept, as_line="POST /prompt { Accept: text/html")


@family.scenario
async def free_bodies(visit: Session) -> None:
    """What /free makes of bodies."""
    for body in (
        "",
        "x",
        "[]",
        "{}",
        '{"unload_models": true}',
        '{"free_memory": true}',
        '{"unload_models": "yes", "free_memory": 0}',
    ):
        await visit.ask("POST /free", data=body.encode(), as_line=f"POST /free {body}")
