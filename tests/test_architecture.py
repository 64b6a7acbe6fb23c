"""The architecture: which package may import which, and what only few may do (docs/architecture.md).

Nothing is imported here; the source is read.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parent.parent / "farm"

# From the ground up: a part imports from lines above its own only, early or late, also for the type checker.
LAYERS = (
    ("units", "seeds", "versions", "workflows", "json_text"),
    ("events",),
    ("faults",),
    ("sim",),
    ("config", "analysis"),
    ("server",),
    ("control",),
    ("clients",),
    ("conformance", "testing"),
    ("cli", "tap", "pytest_plugin"),
)
PURE = ("units", "seeds", "versions", "workflows", "json_text", "events", "faults", "sim", "analysis")

OUTSIDE = {     # what a part imports beside the standard library
    "events": {"msgspec"},
    "faults": {"msgspec"},
    "sim": {"msgspec", "regex", "simpleeval"},
    "config": {"msgspec"},
    "analysis": {"msgspec"},
    "server": {"PIL", "klein", "msgspec", "multipart", "twisted", "werkzeug", "zope"},
    "control": {"klein", "msgspec", "twisted", "werkzeug"},
    "clients": {"msgspec", "treq", "twisted", "wsproto"},
    "conformance": {"PIL", "rich", "treq", "twisted"},
    "testing": {"_pytest", "msgspec", "pytest", "twisted", "wsproto"},
    "cli": {"PIL", "click", "msgspec", "rich", "twisted"},
    "tap": {"twisted"},
    "pytest_plugin": {"pytest", "pytest_twisted", "twisted"},
}
# What a pure part may not import: files, sockets, threads, processes, clocks, chance.
IMPURE = {
    *("asyncio", "concurrent", "ctypes", "fcntl", "glob", "http", "io", "logging", "mmap", "multiprocessing", "os"),
    *("platform", "secrets", "select", "selectors", "shutil", "signal", "socket", "ssl", "subprocess"),
    *("tempfile", "threading", "time", "urllib"),
}
ONLY = {        # of these a pure part imports nothing but
    "datetime": {"UTC", "datetime", "timedelta"},
    "pathlib": {"PurePosixPath"},
    "random": {"Random"},
    "sys": {"intern"},
    "uuid": {"UUID"},
}
ASKS_THE_CLOCK = {"now", "today", "utcnow", "uuid1", "uuid4", "monotonic", "perf_counter"}
TIME_AND_CHANCE = {     # the only modules that ask the machine for the time or for chance, and why
    "cli.common": "a command waits for a farm",
    "cli.load": "seeds that a server has not seen, and how long a load takes",
    "cli.loading.jobs": "a client draws its own ids",
    "cli.conform": "ids for a real server must not repeat over runs",
    "clients.comfy": "a client draws its own id",
    "clients.comfy_sync": "it waits without a reactor",
    "control.access": "a token must not be guessed",
    "control.launch": "the wall clock at the start",
    "server.farm": "a seed is drawn if the configuration has none",
    "server.time.monotonic": "a reactor is given a clock that never goes back",
    "testing.child": "it waits for a process",
    "testing.remote": "it waits without a reactor",
    "testing.twisted_farm": "the wall clock at the start",
}
REACTOR = {"cli.run", "clients.comfy", "control.launch", "pytest_plugin", "testing.child_main"}
LIGHT = ("cli.main", "clients", "clients.comfy_sync", "config.sources", "pytest_plugin", "tap", "testing",
         "testing.child", "testing.plugin.servers")
SCHEDULING = ("sim.cache", "sim.execution", "sim.instance", "sim.jobs", "sim.machine", "sim.naming", "sim.nodes",
              "sim.prompt.input_checks", "sim.prompt.node_checks", "sim.worker", "server.time")


@dataclass(frozen=True)
class Import:
    """One imported name.

    :ivar importer: the importing module, without ``comfyfarm.`` in front, as everywhere here.
    :ivar module: the module of ours that is imported from, or the outside module.
    :ivar is_late: it stands within a function.
    :ivar is_typing: it stands under ``if TYPE_CHECKING``.
    """

    importer: str
    module: str
    name: str
    is_ours: bool
    is_late: bool
    is_typing: bool

    @property
    def root(self) -> str:
        return self.module.split(".")[0]


@cache
def trees() -> dict[str, ast.Module]:
    paths = sorted((SOURCE / "comfyfarm").rglob("*.py"))
    return {_name(path): ast.parse(path.read_text("utf-8")) for path in paths}


def _name(path: Path) -> str:
    parts = path.relative_to(SOURCE / "comfyfarm").with_suffix("").parts
    return ".".join(parts).removesuffix("__init__").removesuffix(".")


@cache
def imports() -> tuple[Import, ...]:
    return tuple(
        found for name, tree in trees().items() for found in _imports(name, tree, is_late=False, is_typing=False)
    )


def _imports(importer: str, node: ast.AST, *, is_late: bool, is_typing: bool) -> Iterator[Import]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            pairs = [(alias.name, "") for alias in child.names]
        elif isinstance(child, ast.ImportFrom):
            assert not child.level, f"{importer}: imports are absolute"
            pairs = [(child.module or "", alias.name) for alias in child.names]
        else:
            late = is_late or isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            typing = is_typing or (isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING")
            yield from _imports(importer, child, is_late=late, is_typing=typing)
            continue
        for module, name in pairs:
            ours = module == "comfyfarm" or module.startswith("comfyfarm.")
            short = module.removeprefix("comfyfarm").removeprefix(".") if ours else module
            deeper = f"{short}.{name}".removeprefix(".")    # ``from package import x`` may mean a module ``x``
            yield Import(importer, deeper if ours and deeper in trees() else short, name, ours, is_late, is_typing)


def part(module: str) -> str:
    return module.partition(".")[0]


def level(name: str) -> int:
    return next(index for index, layer in enumerate(LAYERS) if name in layer)


def within(module: str, places: tuple[str, ...]) -> bool:
    return any(module == place or module.startswith(f"{place}.") for place in places)


def shown(wrong: list[Import]) -> list[str]:
    return [f"{found.importer} imports {found.module} {found.name}".rstrip() for found in wrong]


def test_every_part_has_its_place() -> None:
    assert {part(name) for name in trees()} - {""} == {name for layer in LAYERS for name in layer}


def test_arrows_point_down_only() -> None:
    wrong = [
        found
        for found in imports()
        if found.is_ours and found.importer and found.module and part(found.importer) != part(found.module)
        and level(part(found.module)) >= level(part(found.importer))
    ]
    assert shown(wrong) == []


def test_modules_do_not_import_each_other_in_circles() -> None:
    """Neither late nor for the type checker: one can be read before the other."""
    needs: dict[str, set[str]] = {name: set() for name in trees()}
    for found in imports():
        if found.is_ours and found.module != found.importer:
            needs[found.importer].add(found.module)
    try:
        tuple(TopologicalSorter(needs).static_order())
    except CycleError as error:
        pytest.fail(" <- ".join(error.args[1]))


def test_each_part_has_from_outside_what_the_table_says() -> None:
    used: dict[str, set[str]] = {}
    for found in imports():
        if not found.is_ours and found.root not in sys.stdlib_module_names:
            used.setdefault(part(found.importer), set()).add(found.root)
    assert used == OUTSIDE


def test_the_pure_parts_have_no_way_to_reach_the_world() -> None:
    """No file, socket, thread, process or clock; chance only as a generator that is handed in."""
    wrong = [
        found
        for found in imports()
        if part(found.importer) in PURE
        and not found.is_ours
        and (
            (found.root in IMPURE and found.module != "urllib.parse")
            or found.name not in ONLY.get(found.root, {found.name})
        )
    ]
    assert shown(wrong) == []
    called = {"open", "input", "print", "exec", "eval", "Random"}
    found_calls = {
        (name, ast.unparse(node.func))
        for name, tree in trees().items()
        if part(name) in PURE
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and ast.unparse(node.func) in called
    }
    assert found_calls == {("seeds", "Random")}


def test_only_a_few_ask_the_machine_for_the_time_or_for_chance() -> None:
    """All others are told: then a run can be repeated."""
    found = {
        one.importer
        for one in imports()
        if one.module in ("secrets", "time") or one.name in ("SystemRandom", "uuid1", "uuid4", "urandom", "token_hex")
        or (one.module == "random" and one.name not in ("Random", "SystemRandom"))
    }
    for name, tree in trees().items():
        if any(isinstance(node, ast.Attribute) and node.attr in ASKS_THE_CLOCK for node in ast.walk(tree)):
            found.add(name)
    assert found == TIME_AND_CHANCE.keys()


def test_nobody_asks_for_the_reactor_while_being_imported() -> None:
    """Else ``--reactor=`` of pytest-twisted and of twistd would come too late."""
    asking = [one for one in imports() if f"{one.module}.{one.name}".rstrip(".").startswith("twisted.internet.reactor")]
    assert shown([one for one in asking if not one.is_late]) == []
    assert {one.importer for one in asking} <= REACTOR


def test_entry_points_load_nothing_heavy() -> None:
    """Klein imports the reactor and takes half a second; treq, Pillow and rich take their time, too."""
    for entry in LIGHT:
        seen, ahead = set[str](), {entry}
        while ahead:
            seen |= ahead
            early = [one for one in imports() if one.importer in ahead and not (one.is_late or one.is_typing)]
            assert not {"klein", "treq", "PIL", "rich"} & {one.root for one in early if not one.is_ours}, (entry, ahead)
            packages = {one.module.rpartition(".")[0] for one in early if one.is_ours}
            ahead = ({one.module for one in early if one.is_ours} | packages) & trees().keys() - seen


def test_routes_know_nothing_of_scheduling() -> None:
    """A route parses, calls, answers: what happens when is the simulation's business."""
    assert (
        shown([one for one in imports() if within(one.importer, ("server.routes",)) and within(one.module, SCHEDULING)])
        == []
    )
    driving = {"driver", "advance", "catch_up", "set_alarm", "callLater"}
    used = {
        name
        for name, tree in trees().items()
        if within(name, ("server.routes",))
        and any(isinstance(node, ast.Attribute) and node.attr in driving for node in ast.walk(tree))
    }
    assert used == set()


def test_the_simulation_knows_no_http() -> None:
    """No status, header, path or frame stands in its texts."""
    words = {"http", "websocket", "status_code", "content-type", "request"}
    found = {
        (name, node.value)
        for name, tree in trees().items()
        if part(name) == "sim"
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.lower() in words
    }
    assert found == set()


def test_only_one_place_makes_sites_ports_and_timers() -> None:
    """What is served is served alike, and what is due goes through one timer."""
    made: dict[str, set[str]] = {"Site": set(), "listenTCP": set(), "adoptStreamPort": set(), "callLater": set()}
    for name, tree in trees().items():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and (word := ast.unparse(node.func).rpartition(".")[2]) in made:
                made[word].add(name)
    assert made == {
        "Site": set(),
        "listenTCP": {"server.ports"},
        "adoptStreamPort": {"server.ports"},
        # The log file and batches of events are written in real time, as child processes end; turns are the reactor's.
        "callLater": {
            "control.routes.log",
            "control.routes.wait",
            "server.log_file",
            "server.snapshots",
            "server.ports",
            "server.time.clock",
            "server.time.clock_control",
            "server.time.turns",
        },
    }


def test_every_module_says_what_it_is() -> None:
    assert [name for name, tree in trees().items() if not ast.get_docstring(tree)] == []


def test_every_file_on_the_map_is_there() -> None:
    """Who merges or moves a module redraws docs/architecture.md."""
    page = (SOURCE.parent / "docs" / "architecture.md").read_text("utf-8")
    folders = (SOURCE, SOURCE.parent / "tests", SOURCE.parent / "benchmarks")
    files = [str(path) for folder in folders for path in folder.rglob("*.py")]
    named = set(re.findall(r"[\w/]+\.py\b", page))
    assert [name for name in sorted(named) if not any(file.endswith(f"/{name}") for file in files)] == []
