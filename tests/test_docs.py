"""The pages: what can run runs as it is written, and the site has no broken link (blocks in sh: tests/socket)."""

import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from comfyfarm.cli.main import main
from tests.support.pages import PAGES, ROOT, blocks_to_run, pages_with, read_blocks, whole_configuration

pytest_plugins = ["pytester"]

TEST = re.compile(r"^(?:async )?def test_", re.MULTILINE)
OPTIONS = (
    "-W", "error", "-W", "default::DeprecationWarning:twisted.*", "-o", "asyncio_default_fixture_loop_scope=function",
)  # fmt: skip
DOCS = ROOT / "docs"
FIRST_TEST = DOCS / "first-test.md"


def run_pytest(
    pytester: pytest.Pytester, request: pytest.FixtureRequest, files: dict[str, str]
) -> pytest.RunResult:
    """Run test files, with warnings as errors."""
    pytester.makepyfile(**files)
    installed = request.config.pluginmanager.hasplugin("comfyfarm")
    plugin = [] if installed else ["-p", "comfyfarm.pytest_plugin"]
    return pytester.runpytest_subprocess(*OPTIONS, *plugin)


@pytest.mark.parametrize("page", ["../README.md", *pages_with("python")])
def test_every_example_runs_as_written(page: str, pytester: pytest.Pytester, request: pytest.FixtureRequest) -> None:
    """Each block is a file of its own; one run for the whole page."""
    blocks = blocks_to_run(DOCS / page, "python")
    names = (block.file_name.removesuffix(".py") or f"test_block_{number:02}" for number, block in enumerate(blocks))
    result = run_pytest(pytester, request, {name: block.text for name, block in zip(names, blocks, strict=True)})
    assert result.ret == pytest.ExitCode.OK
    assert result.parseoutcomes() == {"passed": sum(len(TEST.findall(block.text)) for block in blocks)}


def test_the_bug_of_the_first_test_is_found(pytester: pytest.Pytester, request: pytest.FixtureRequest) -> None:
    """The page shows what is printed."""
    (lost,) = (block.text for block in read_blocks(FIRST_TEST) if block.title == "Run by tests/test_docs.py")
    files = {block.file_name.removesuffix(".py"): block.text for block in blocks_to_run(FIRST_TEST, "python")}
    result = run_pytest(pytester, request, {**files, "test_pool": f"{files['test_pool']}\n\n{lost}"})
    assert result.parseoutcomes() == {"passed": 2, "failed": 1}
    for text in (FIRST_TEST.read_text("utf-8"), result.stdout.str()):
        assert "error ran_twice: cb014ca6582d1d22 ran 2 times to its end, on gpu-" in text
        assert "; its first submission, to gpu-1, was never answered." in text


@pytest.mark.parametrize("page", pages_with("toml"))
def test_every_configuration_is_one(page: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A block without instances is about the first farm of its page."""
    for number, block in enumerate(blocks_to_run(DOCS / page, "toml")):
        file = tmp_path / f"{number}.toml"
        file.write_text(whole_configuration(block, DOCS / page))
        assert main(["check", str(file)]) == 0, block.text + capsys.readouterr().err


def test_what_is_shown_of_a_file_stands_in_it() -> None:
    """Word for word."""
    shown = [block for page in PAGES for block in read_blocks(page) if block.is_excerpt]
    assert {block.language for block in shown} == {"js", "python"}
    for block in shown:
        assert block.text in (ROOT / block.title).read_text("utf-8"), block.title


def test_a_block_that_is_not_run_says_why() -> None:
    """A mistyped title would leave a block out."""
    titles = [block.title for page in PAGES for block in read_blocks(page) if not (block.is_run or block.is_excerpt)]
    for title in titles:
        assert re.match(r"Not run: \w|Run by [\w./]+", title), title
        for path in re.findall(r"[\w.]*/[\w./]+", title.removeprefix("Not run: ")):
            assert (ROOT / path).is_file(), title


class Links(HTMLParser):
    """What a page links to, and what it loads."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.links: set[str] = set()
        self.loaded: set[str] = set()
        self.feed(page.read_text("utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        if link := values.get("src") or values.get("href"):
            (self.links if tag == "a" else self.loaded).add(link)


def build_site(folder: Path) -> subprocess.CompletedProcess[str]:
    """Build the site of a folder that has the project's zensical.toml and docs/."""
    command = [sys.executable, "-m", "zensical", "build", "--strict"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, check=False)


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder without the rest of the project, as a web server has it: links out of docs/ lead nowhere."""
    folder = tmp_path_factory.mktemp("sources")
    shutil.copytree(DOCS, folder / "docs")
    shutil.copy(ROOT / "zensical.toml", folder)
    return folder


def test_the_site_is_built_and_none_of_its_links_is_broken(sources: Path) -> None:
    """Zensical looks at links to pages and sections; here pictures and links out of docs/ count, too."""
    done = build_site(sources)
    assert done.returncode == 0, done.stdout + done.stderr
    site = sources / "site"
    pages = {file: Links(file) for file in site.rglob("*.html") if file.name != "404.html"}
    assert len(pages) == len(PAGES) - 1
    for file, page in pages.items():
        for link in sorted(page.links | page.loaded):
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                assert link not in page.loaded, f"{file.relative_to(site)} loads {link}"
                continue
            target = (file.parent / unquote(parts.path)).resolve() if parts.path else file
            target = target / "index.html" if target.is_dir() else target
            assert target.is_relative_to(site.resolve()), f"{file.relative_to(site)}: {link}"
            assert target.is_file(), f"{file.relative_to(site)}: {link}"


def test_a_link_to_a_page_or_a_section_that_is_not_there_fails_the_build(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "zensical.toml").write_text('[project]\nsite_name = "a"\n')
    for link, says in (("nowhere.md", "page does not exist"), ("index.md#nowhere", "anchor does not exist")):
        (tmp_path / "docs" / "index.md").write_text(f"# A\n\n[a]({link})\n")
        done = build_site(tmp_path)
        assert done.returncode != 0
        assert says in done.stdout + done.stderr


def test_every_page_is_in_the_navigation() -> None:
    named = re.findall(r'"([\w-]+\.md)"', (ROOT / "zensical.toml").read_text("utf-8"))
    assert sorted(named) == [page.name for page in PAGES[1:]]


def test_the_links_of_the_readme_lead_somewhere() -> None:
    text = (ROOT / "README.md").read_text("utf-8")
    links = [link.partition("#")[0] for link in re.findall(r"\]\(([^)]+)\)", text) if "://" not in link]
    assert [link for link in links if not (ROOT / link).exists()] == []
