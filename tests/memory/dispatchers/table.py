"""The table of docs/verdict.md that says which bug is found at which level of cooperation.

``python -m tests.memory.dispatchers.table`` writes it.
"""

from __future__ import annotations

from pathlib import Path

from . import bugs_endings, bugs_pictures, bugs_sending
from .base import Dispatcher
from .bugs import BUGS
from .reports import LEVELS, Level
from .scenes import Outcome, play

PAGE = Path(__file__).parents[3] / "docs" / "verdict.md"
BEGIN, END = "<!-- dispatchers: begin -->\n", "<!-- dispatchers: end -->\n"


_MODULES = [module.__name__ for module in (bugs_sending, bugs_endings, bugs_pictures)]


_outcomes: dict[tuple[type[Dispatcher], Level], Outcome] = {}


def outcome(kind: type[Dispatcher], level: Level) -> Outcome:
    """Return what comes of a dispatcher with a bug in its scene; each is played once."""
    if (kind, level) not in _outcomes:
        _outcomes[kind, level] = play(BUGS[kind], kind, level)
    return _outcomes[kind, level]


def table() -> str:
    kinds = sorted(BUGS, key=lambda kind: _MODULES.index(kind.__module__))
    rows = [["dispatcher", *LEVELS], ["---"] * (1 + len(LEVELS))]
    rows += [[kind.__doc__ or "", *(outcome(kind, level).cell for level in LEVELS)] for kind in kinds]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def table_on_page() -> str:
    return PAGE.read_text("utf-8").partition(BEGIN)[2].partition(END)[0]


def write() -> None:
    before, _, rest = PAGE.read_text("utf-8").partition(BEGIN)
    PAGE.write_text(f"{before}{BEGIN}{table()}{END}{rest.partition(END)[2]}", "utf-8")


if __name__ == "__main__":
    write()
