"""HTTP without any jobs: paths, methods, headers, and what the server reports about itself."""

from typing import Any
from urllib.parse import urlsplit

from comfyfarm.conformance.describe import shape
from comfyfarm.conformance.scenario import Family
from comfyfarm.conformance.session import NotPossible, Session

family = Family("http")


def _type(value: Any) -> str:
    return type(value).__name__


family.requests(
    "get_queue_empty",
    "The queue is empty, with and without the /api prefix.",
    "GET /queue",
    "GET /api/queue",
    "GET /queue?foo=1",
)
family.requests(
    "get_history_empty",
    "The history is empty, and an unknown job gives an empty object.",
    "GET /history",
    "GET /api/history",
    "GET /history/00000000-0000-0000-0000-000000000000",
    "GET /history/not-a-uuid",
)
family.requests(
    "view_metadata_errors",
    "Metadata of model files that do not exist is refused.",
    "GET /view_metadata/checkpoints",
    "GET /view_metadata/checkpoints?filename=a.png",
    "GET /view_metadata/checkpoints?filename=nope.safetensors",
    "GET /view_metadata/nofolder?filename=nope.safetensors",
)
family.requests(
    "root_page",
    "The web page and missing files beside it have cache headers that depend on the suffix.",
    "GET /",
    "GET /index.html",
    "GET /nope.js",
    "GET /nope.png",
    "GET /nope/deeper.css",
)
family.requests(
    "object_info_one",
    "A single node type can be requested; an unknown one gives an empty object.",
    "GET /object_info/EmptyImage",
    "GET /api/object_info/ImageInvert",
    "GET /object_info/NoSuchNode",
    "GET /object_info/",
)
family.requests(
    "wrong_methods",
    "A wrong method gives 405 with Allow, or the 404 of static files.",
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
    "HEAD gives the reply of GET without its body.",
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
    "A max_items or offset that is not an integer is a server error; negative values are accepted.",
    "GET /history?max_items=abc",
    "GET /history?offset=abc",
    "GET /history?max_items=",
    "GET /history?max_items=1.5",
    "GET /history?max_items=-1",
    "GET /history?offset=-5",
    "GET /history?max_items=0",
    "GET /history?max_items=0&offset=0",
    "GET /history?offset=99",
)


@family.scenario
async def features(session: Session) -> None:
    """The server lists its features."""
    await session.get("/features")
    await session.get("/api/features", view=shape)


@family.scenario
async def system_stats_shape(session: Session) -> None:
    """The system statistics have the keys and types of ComfyUI's."""
    await session.get("/system_stats", view=lambda stats: shape(stats, 4))


@family.scenario
async def models_lists(session: Session) -> None:
    """Both model APIs list the folders, which are empty."""
    await session.get("/models", "/models/checkpoints", "/models/nosuchfolder")
    await session.get("/models/configs", view=shape)
    await session.get("/experiment/models", view=lambda folders: sorted(folder["name"] for folder in folders))
    await session.get("/experiment/models/checkpoints", "/experiment/models/nope", "/embeddings")
    for index in ("0", "x", "99"):
        await session.get(f"/experiment/models/preview/checkpoints/{index}/nope.safetensors")


@family.scenario
async def misc_get_shapes(session: Session) -> None:
    """The routes that the web page requests when it loads."""
    await session.request("POST /settings", json={}, record=False)     # creates the user folder if there is none yet
    await session.get("/extensions", view=shape)
    await session.get("/i18n", "/workflow_templates", "/node_replacements", view=_type)
    await session.get("/global_subgraphs", view=lambda found: shape(next(iter(found.values()))) if found else {})
    await session.get("/global_subgraphs/nope", "/users")


@family.scenario
async def internal_routes(session: Session) -> None:
    """Routes under /internal exist only without the /api prefix."""
    await session.get("/internal/logs", view=_type)
    await session.get("/internal/logs/raw", view=shape)
    await session.get("/internal/folder_paths", view=lambda folders: sorted(folders)[:5])
    await session.get("/internal/files/input", view=lambda names: "example.png [input]" in names)
    await session.get("/internal/files/bogus")
    subscribe = "PATCH /internal/logs/subscribe"
    await session.request(subscribe, data=b"", as_line=f"{subscribe} without a body")
    await session.request(subscribe, json={"clientId": "x"}, as_line=f"{subscribe} without enabled")
    await session.request(subscribe, json={"clientId": "nobody", "enabled": False})
    await session.get("/api/internal/logs")


@family.scenario
async def assets_disabled(session: Session) -> None:
    """The assets API is disabled."""
    await session.get("/api/assets", "/assets", "/api/tags")
    await session.request("HEAD /api/assets/hash/blake3:00")
    await session.request("POST /api/assets", data=b"x")
    await session.get("/view?filename=blake3:0000")


def loopback(session: Session) -> tuple[str, int]:
    """Return the host and port of the server.

    :raises NotPossible: if the host is not loopback: ComfyUI compares origins only then.
    """
    url = urlsplit(session.server.base_url)
    host = url.hostname or ""
    if host not in ("localhost", "127.0.0.1"):
        raise NotPossible("origins are compared only where the server is asked as localhost or 127.0.0.1")
    return host, url.port or 80


@family.scenario
async def options_requests(session: Session) -> None:
    """OPTIONS is answered on any path, but only for pages of the server's own origin."""
    loopback(session)
    for path in ("/prompt", "/queue", "/nope", "/api/prompt"):
        await session.request(f"OPTIONS {path}")
    for page, origin in (("a foreign", "http://evil.example"), ("its own", session.server.base_url)):
        headers = {"Origin": origin, "Access-Control-Request-Method": "POST"}
        await session.request("OPTIONS /prompt", headers=headers, as_line=f"OPTIONS /prompt from {page} page")


@family.scenario
async def origin_check(session: Session) -> None:
    """Requests from pages of other origins are refused, by Origin and by Sec-Fetch-Site."""
    host, port = loopback(session)
    origins = {
        "a foreign page": "http://evil.example",
        "a foreign page with a port": "http://evil.example:8188",
        "another port": f"http://{host}:{port + 1}",
        "its own page": session.server.base_url,
        "no port": f"http://{host}",
        "another name of the host": f"http://{'127.0.0.1' if host == 'localhost' else 'localhost'}:{port}",
        "null": "null",
        "its own page in capitals": f"HTTP://{host}:{port}",
    }
    for page, origin in origins.items():
        await session.request("GET /queue", headers={"Origin": origin}, as_line=f"GET /queue Origin: {page}")
    for site in ("cross-site", "same-origin", "same-site", "none"):
        headers = {"Sec-Fetch-Site": site}
        await session.request("GET /queue", headers=headers, as_line=f"GET /queue Sec-Fetch-Site: {site}")
    foreign = {"Origin": "http://evil.example"}
    await session.request("POST /prompt", json={}, headers=foreign, as_line="POST /prompt Origin: a foreign page")
    await session.request("GET /nope", headers={"Sec-Fetch-Site": "cross-site"}, as_line="GET /nope from another site")


@family.scenario
async def accept_html_errors(session: Session) -> None:
    """A client that accepts HTML gets an error page."""
    accept = {"Accept": "text/html"}
    await session.request("GET /nope", headers=accept, as_line="GET /nope Accept: text/html")
    await session.request("POST /prompt", data=b"{", headers=accept, as_line="POST /prompt { Accept: text/html")


@family.scenario
async def free_bodies(session: Session) -> None:
    """/free accepts any JSON object; other bodies are a server error."""
    for body in (
        "",
        "x",
        "[]",
        "{}",
        '{"unload_models": true}',
        '{"free_memory": true}',
        '{"unload_models": "yes", "free_memory": 0}',
    ):
        await session.request("POST /free", data=body.encode(), as_line=f"POST /free {body}")
