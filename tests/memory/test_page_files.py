"""What does an instance give a browser: ComfyUI's own page where it is installed, else a small one?"""

import sys
from collections.abc import Callable, Iterator
from importlib import invalidate_caches
from pathlib import Path
from typing import Any

import pytest

from comfyfarm.config.equipment import own_stats
from comfyfarm.server.http.frontend import frontend, help_pages, templates
from comfyfarm.testing import MemoryFarm, MemoryInstance

Start = Callable[[Any], MemoryFarm]

CONFIG = {"instance": [{"name": "beta", "mode": "dynamic", "comfyui_version": "0.27.0"}]}
PACKAGE = "comfyui_frontend_package"
BIG = bytes(range(256)) * 2000      # more than one piece of a stream
FILES = {
    "index.html": b"<html>the real one</html>",
    "assets/app-1.js": b"let app;",
    "assets/app-1.js.map": BIG,
    "assets/style.css": b"p { color: red }",
    "assets/empty.css": b"",
    "assets/logo.png": b"\x89PNG",
    "assets/logo.webp": b"RIFF",
    "assets/font.woff2": b"wOF2",
    "a name+100%.txt": b"text",
    "extensions/core/b.js": b"",
    "extensions/core/a/deeper.js": b"",
    "extensions/core/about.txt": b"",
}
UNSERVED = {"content-type": "application/octet-stream", "content-length": "0"}


@pytest.fixture
def page(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """A package like ComfyUI's is installed; the folder is that of its page."""
    (tmp_path / PACKAGE / "static").mkdir(parents=True)
    (tmp_path / PACKAGE / "__init__.py").touch()
    (tmp_path / "secret.txt").write_bytes(b"not for the web")
    for name, content in FILES.items():
        path = tmp_path / PACKAGE / "static" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    monkeypatch.delitem(sys.modules, PACKAGE, raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    frontend.cache_clear()
    yield tmp_path / PACKAGE / "static"
    frontend.cache_clear()
    sys.modules.pop(PACKAGE, None)


@pytest.fixture
def no_page(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No such package is installed."""
    monkeypatch.setitem(sys.modules, PACKAGE, None)
    frontend.cache_clear()
    yield
    frontend.cache_clear()


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Callable[..., None]]:
    """Install packages: ``install(name, {path: content})``."""
    caches: tuple[Any, ...] = (frontend, help_pages, templates, own_stats)
    modules: list[str] = []

    def install(name: str, contents: dict[str, bytes], version: str = "9.8.7") -> None:
        module = name.replace("-", "_")
        modules.append(module)
        described = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n".encode()
        files = {f"{module}/{path}": content for path, content in contents.items()}
        for path, content in (*files.items(), (f"{module}-{version}.dist-info/METADATA", described)):
            file = tmp_path / "site" / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
        invalidate_caches()
        for cache in caches:
            cache.cache_clear()

    monkeypatch.syspath_prepend(tmp_path / "site")
    yield install
    for cache in caches:
        cache.cache_clear()
    for module in modules:
        sys.modules.pop(module, None)


@pytest.fixture
def beta(memory_farm: Start) -> MemoryInstance:
    return memory_farm(CONFIG)["beta"]


def facts(headers: dict[str, str], *names: str) -> dict[str, str]:
    return {name: headers[name] for name in names if name in headers}


# Without the extra.


@pytest.mark.usefixtures("no_page")
@pytest.mark.parametrize("path", ["/", "/api/"])
def test_without_the_real_page_a_small_one_says_what_this_is(beta: MemoryInstance, path: str) -> None:
    """Its name, mode and version, and how to get the real one."""
    reply = beta.ask("GET", path)
    assert reply.status == 200
    text = reply.body.decode()
    for word in ("beta", "dynamic", "0.27.0", "pip install 'comfyfarm[frontend]'", 'href="/object_info"'):
        assert word in text
    assert facts(reply.headers, "content-type", "cache-control", "pragma", "expires", "accept-ranges") == {
        "content-type": "text/html",
        "cache-control": "no-store, must-revalidate",
        "pragma": "no-cache",
        "expires": "0",
        "accept-ranges": "bytes",
    }


@pytest.mark.usefixtures("no_page")
def test_the_small_page_shows_the_input_picture(beta: MemoryInstance) -> None:
    """Its address is in the page."""
    path = beta.ask("GET", "/").body.decode().partition('src="')[2].partition('"')[0].replace("&amp;", "&")
    assert beta.ask("GET", path).headers["content-type"] == "image/jpeg"


@pytest.mark.usefixtures("no_page")
def test_without_the_real_page_its_files_are_not_there(beta: MemoryInstance) -> None:
    """As a server answers that has the page, but not the file; its folders are forbidden all the same."""
    assert beta.ask("GET", "/index.html").status == 200
    reply = beta.ask("GET", "/assets/app-1.js")
    assert (reply.status, reply.body, reply.headers["cache-control"]) == (404, b"", "no-store")
    assert beta.ask("GET", "/assets").status == 403
    names = beta.ask("GET", "/extensions").json()
    assert "/extensions/core/groupNode.js" in names


# With it.


@pytest.mark.usefixtures("page")
@pytest.mark.parametrize(("path", "is_kept"), [("/", False), ("/api/", False), ("/index.html", True)])
def test_the_real_page_is_served(beta: MemoryInstance, path: str, is_kept: bool) -> None:
    """Under its own name it may be kept, at the root never."""
    reply = beta.ask("GET", path)
    assert (reply.status, reply.body) == (200, FILES["index.html"])
    assert reply.headers["content-type"] == "text/html"
    assert reply.headers.get("cache-control") == (None if is_kept else "no-store, must-revalidate")


@pytest.mark.usefixtures("page")
@pytest.mark.parametrize(
    ("path", "content_type", "kept"),
    [
        ("/assets/app-1.js", "application/javascript", "no-store"),
        ("/assets/app-1.js.map", "application/octet-stream", None),
        ("/assets/style.css", "text/css", "no-store"),
        ("/assets/empty.css", "text/css", "no-store"),
        ("/assets/logo.png", "image/png", "public, max-age=86400"),
        ("/assets/logo.webp", "application/octet-stream", "public, max-age=86400"),
        ("/assets/font.woff2", "application/octet-stream", None),
        ("/assets%2Ffont.woff2", "application/octet-stream", None),
        ("/assets/./app-1.js", "application/javascript", "no-store"),
        ("/assets/../assets/app-1.js", "application/javascript", "no-store"),
        ("/a%20name+100%25.txt", "text/plain", None),
    ],
)
def test_every_file_of_the_page_is_served(
    beta: MemoryInstance, page: Path, path: str, content_type: str, kept: str | None
) -> None:
    """With the types that aiohttp knows, and ComfyUI's word on how long to keep it."""
    reply, head = beta.ask("GET", path), beta.ask("HEAD", path)
    assert reply.status == 200
    assert (reply.headers["content-type"], reply.headers.get("cache-control")) == (content_type, kept)
    assert reply.body in {file.read_bytes() for file in page.rglob("*.*") if file.is_file()}
    assert (head.status, head.headers, head.body) == (200, {**reply.headers, "date": head.headers["date"]}, b"")
    assert reply.headers["content-length"] == str(len(reply.body))


@pytest.mark.usefixtures("page")
def test_a_big_file_comes_whole_and_in_parts(beta: MemoryInstance) -> None:
    """It is streamed, which nobody sees."""
    path = "/assets/app-1.js.map"
    assert beta.ask("GET", path).body == BIG
    part = beta.ask("GET", path, headers={"Range": "bytes=7-400000"})
    assert (part.status, part.body) == (206, BIG[7:400001])
    assert part.headers["content-range"] == f"bytes 7-400000/{len(BIG)}"
    beyond = beta.ask("GET", path, headers={"Range": "bytes=600000-"})
    assert (beyond.status, beyond.headers["content-range"]) == (416, f"bytes */{len(BIG)}")


@pytest.mark.usefixtures("page")
def test_a_file_that_the_browser_has_is_not_sent_again(beta: MemoryInstance) -> None:
    """It is asked for by its tag or its date."""
    known = beta.ask("GET", "/assets/logo.png").headers
    for condition in ({"If-None-Match": known["etag"]}, {"If-Modified-Since": known["last-modified"]}):
        reply = beta.ask("GET", "/assets/logo.png", headers=condition)
        assert (reply.status, reply.body) == (304, b"")
        assert facts(reply.headers, "etag", "content-type", "cache-control") == {
            "etag": known["etag"],
            "cache-control": "public, max-age=86400",
        }


@pytest.mark.usefixtures("page")
@pytest.mark.parametrize(
    ("path", "kept"),
    [
        ("/nope", None),
        ("/nope.js", "no-store"),
        ("/nope.png", "public, max-age=86400"),
        ("/nope/deeper.css", "no-store"),
        ("/index.nope.json", "no-store"),
        ("/index.html/deeper", None),
        ("/api/index.html", None),
        ("/assets/", "forbidden"),
        ("/api/internal/logs", None),
        ("/jobs", None),
        ("/queue/", None),
        ("/interrupt", None),
        ("/%ff", None),
    ],
)
def test_what_is_not_there_is_answered_by_the_folder(beta: MemoryInstance, path: str, kept: str | None) -> None:
    """An empty 404, which a browser may keep like the file; for a folder 403."""
    reply, head = beta.ask("GET", path), beta.ask("HEAD", path)
    assert reply.status == head.status
    if kept == "forbidden":
        assert (reply.status, reply.body) == (403, b"403: Forbidden")
        assert reply.headers["content-type"] == "text/plain; charset=utf-8"
        return
    assert (reply.status, reply.headers.get("cache-control")) == (404, kept)
    assert facts(reply.headers, *UNSERVED) == UNSERVED
    assert "content-type" not in head.headers


@pytest.mark.parametrize(
    "path",
    [
        "/../../secret.txt",
        "/assets/../../../secret.txt",
        "/%2e%2e/%2e%2e/secret.txt",
        "/..%2f..%2fsecret.txt",
        "/link.txt",
        "/%2Fetc/hostname",
        "/a%00b",
        "/round.txt",
    ],
)
def test_there_is_no_way_out_of_the_folder(beta: MemoryInstance, page: Path, path: str) -> None:
    """Neither by dots nor by links, nor by names that no file has."""
    (page / "link.txt").symlink_to(page.parent.parent / "secret.txt")
    (page / "round.txt").symlink_to(page / "round.txt")
    reply = beta.ask("GET", path)
    assert (reply.status, reply.body) == (404, b"404: Not Found")
    assert "cache-control" not in reply.headers


@pytest.mark.usefixtures("page")
def test_the_page_is_only_read(beta: MemoryInstance) -> None:
    """Any other method is refused, and the refusal says so."""
    for path in ("/", "/index.html", "/nope.js"):
        reply = beta.ask("POST", path)
        assert (reply.status, reply.headers["allow"]) == (405, "GET,HEAD")
        assert reply.body == b"405: Method Not Allowed"
        assert "cache-control" not in reply.headers
    too_long = beta.ask("GET", "/" + "a" * 300)
    assert too_long.status == 500


@pytest.mark.usefixtures("page")
def test_the_scripts_that_the_page_loads_are_those_that_are_there(beta: MemoryInstance) -> None:
    """In a fixed order."""
    assert beta.ask("GET", "/extensions").json() == ["/extensions/core/a/deeper.js", "/extensions/core/b.js"]


@pytest.mark.usefixtures("page")
def test_the_page_finds_no_example_workflows(beta: MemoryInstance) -> None:
    """Empty lists, where an error would stand in the browser's console."""
    for name, content in (("index", []), ("index_logo", {}), ("fuse_options", None)):
        reply = beta.ask("GET", f"/templates/{name}.json")
        assert (reply.status, reply.headers["content-type"]) == (200, "application/json")
        assert reply.json() == content
    assert beta.ask("GET", "/templates/default.json").status == 404


# Beside it.


WORKFLOWS = {"templates/index.json": b'[{"title": "All"}]', "templates/one.json": b"{}"}
PICTURES = {"templates/one-1.webp": b"RIFF", "templates/song.wav": b"WAVE"}


@pytest.mark.usefixtures("page")
def test_installed_example_workflows_are_served(beta: MemoryInstance, install: Callable[..., None]) -> None:
    """They are spread over several packages; of what none of them has, the page says that it is not there."""
    install("comfyui-workflow-templates", {"__init__.py": b""})
    install("comfyui-workflow-templates-json", WORKFLOWS)
    install("comfyui-workflow-templates-media-api", {"__init__.py": b"", **PICTURES})
    assert beta.ask("GET", "/templates/index.json").json() == [{"title": "All"}]
    assert beta.ask("GET", "/templates/index.json").headers["cache-control"] == "no-store"
    picture = beta.ask("GET", "/templates/one-1.webp")
    assert (picture.body, picture.headers["cache-control"]) == (b"RIFF", "public, max-age=86400")
    sound = beta.ask("HEAD", "/templates/song.wav")
    assert (sound.status, sound.headers["content-type"], sound.headers["content-length"]) == (200, "audio/x-wav", "4")
    assert beta.ask("GET", "/templates/song.wav", headers={"Range": "bytes=1-2"}).body == b"AV"
    assert beta.ask("GET", "/templates/index_logo.json").json() == {}
    for name in ("nope.json", "", "../__init__.py", "a" * 300):
        assert beta.ask("GET", f"/templates/{name}").status == 404


@pytest.mark.usefixtures("no_page")
def test_installed_help_pages_are_served_without_the_page_too(
    beta: MemoryInstance, install: Callable[..., None]
) -> None:
    """Each package by itself, as a folder: with tags, ranges and a 404 of its own."""
    assert beta.ask("GET", "/docs/KSampler/en.md").status == 404
    install("comfyui-embedded-docs", {"docs/KSampler/en.md": b"# KSampler", "docs/KSampler/a.png": b"\x89PNG"})
    page = beta.ask("GET", "/docs/KSampler/en.md")
    assert (page.status, page.body, page.headers["content-type"]) == (200, b"# KSampler", "application/octet-stream")
    assert beta.ask("GET", "/docs/KSampler/en.md", headers={"If-None-Match": page.headers["etag"]}).status == 304
    assert beta.ask("GET", "/docs/KSampler/a.png").headers["cache-control"] == "public, max-age=86400"
    assert [beta.ask("GET", f"/docs/{path}").status for path in ("KSampler", "", "Nope/en.md")] == [403, 403, 404]
    assert beta.ask("GET", "/docs/../__init__.py").body == b"404: Not Found"
    assert beta.ask("POST", "/docs/KSampler/en.md").status == 405


def test_the_stats_tell_the_versions_of_the_packages_that_are_served(
    memory_farm: Start, install: Callable[..., None]
) -> None:
    """As a real server with newer packages than it asks for."""
    for name in ("comfyui-frontend-package", "comfyui-workflow-templates", "comfyui-embedded-docs"):
        install(name, {"__init__.py": b""})
    system = memory_farm(CONFIG)["beta"].ask("GET", "/system_stats").json()["system"]
    versions = {package["name"]: package["installed"] for package in system["comfy_package_versions"]}
    assert [versions[f"comfyui-{name}"] for name in ("frontend-package", "workflow-templates", "embedded-docs")] == [
        "9.8.7"
    ] * 3
    assert system["installed_templates_version"] == "9.8.7"
    assert system["required_frontend_version"] != "9.8.7"
