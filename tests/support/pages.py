"""The code blocks of the README and of docs/, and which of them the suite runs.

The title of a block, which readers see on the site, decides what becomes of it:

``title="examples/suites/suite.test.mjs"``  a file of the project, which has the block word for word
``title="config.toml"``                     the name under which the blocks of the page find it
``title="Not run: ..."``                    it is not run, for that reason
``title="Run by ..."``                      it is run there
"""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]

IN_A_WHEEL = "Run by ./scripts/nightly wheel"

_BLOCK = re.compile(r'^( *)```(\w*)(?: title="([^"\n]+)")?\n(.*?)^\1```$', re.MULTILINE | re.DOTALL)
_FENCE = re.compile(r"^ *```", re.MULTILINE)
_INSTANCE = "[[instance]]\n"


@dataclass(frozen=True)
class Block:
    """A fenced block of code; ``title`` is empty for most."""

    language: str
    title: str
    text: str

    @property
    def is_excerpt(self) -> bool:
        return "/" in self.title and (ROOT / self.title).is_file()

    @property
    def file_name(self) -> str:
        """The name of the file that it is on its page, or nothing."""
        return self.title if re.fullmatch(r"[\w.-]+", self.title) else ""

    @property
    def is_run(self) -> bool:
        return not self.title or bool(self.file_name)


def read_blocks(page: Path) -> list[Block]:
    text = page.read_text("utf-8")
    blocks = [Block(found[2], found[3] or "", dedent(found[4])) for found in _BLOCK.finditer(text)]
    assert len(blocks) * 2 == len(_FENCE.findall(text)), f"{page.name}: a fence that is no block of code"
    return blocks


def blocks_to_run(page: Path, language: str) -> list[Block]:
    return [block for block in read_blocks(page) if block.language == language and block.is_run]


def pages_with(language: str) -> list[str]:
    """Return the names of the pages of docs/ that have a block to run."""
    return [page.name for page in PAGES[1:] if blocks_to_run(page, language)]


def whole_configuration(block: Block, page: Path) -> str:
    """Return a configuration; one without instances is added to the first farm of its page."""
    if _INSTANCE in block.text:
        return block.text
    farms = (other.text for other in blocks_to_run(page, "toml") if _INSTANCE in other.text)
    first = next(farms, f'{_INSTANCE}name = "gpu-1"\n')
    instances = first[first.index(_INSTANCE) :].partition("[[fault]]")[0].partition("[[scenario]]")[0]
    return f"{instances}\n{block.text}"


def write_first_test(folder: Path) -> None:
    """Write the files of docs/first-test.md, and its commands as ``commands.sh``."""
    blocks = read_blocks(ROOT / "docs" / "first-test.md")
    commands = [block.text for block in blocks if block.title == IN_A_WHEEL]
    files = {block.file_name: block.text for block in blocks if block.file_name}
    for name, text in (*files.items(), ("commands.sh", "".join(commands))):
        (folder / name).write_text(text)


if __name__ == "__main__":
    write_first_test(Path(sys.argv[1]))
