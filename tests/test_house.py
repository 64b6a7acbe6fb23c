"""The house stands: what each part of ``farm`` may know of the others, and of the world (docs/architecture.md).

Nothing is imported here; the source is read.  A new module needs a room in ``ROOMS``, or belongs to one that is there.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

# Each room and the rooms below it that it may use, from the ground up: arrows point up the page only, to lower floors.
ROOMS: dict[str, set[str]] = {
    # The ground: what a ComfyUI does.
    "farm.sim": set(),
    "farm.data": {"farm.sim"},
    "farm.ledger": {"farm.sim"},
    # What a farm is, before it is alive.
    "farm.decoding": {"farm.sim"},
    "farm.captured": {"farm.sim"},
    "farm.fault_tables": {"farm.decoding", "farm.sim"},
    "farm.scenarios": {"farm.decoding", "farm.fault_tables", "farm.sim"},
    "farm.config": {"farm.captured", "farm.decoding", "farm.fault_tables", "farm.scenarios", "farm.sim"},
    "farm.changes": {"farm.config", "farm.decoding", "farm.sim"},
    "farm.equipment": {"farm.captured", "farm.config", "farm.data", "farm.sim"},
    # Time, ports and small things, each for itself.
    "farm.clock": set(),
    "farm.alarm": {"farm.clock"},
    "farm.driver": {"farm.alarm", "farm.clock", "farm.sim"},
    "farm.telling": {"farm.alarm", "farm.clock", "farm.sim"},
    "farm.auto_mover": {"farm.clock"},
    "farm.timekeeper": {"farm.auto_mover", "farm.clock", "farm.ledger", "farm.sim"},
    "farm.tally": {"farm.ledger", "farm.sim"},
    "farm.frost": set(),
    "farm.ports": set(),
    "farm.log_file": {"farm.ledger", "farm.sim"},
    "farm.workflows": set(),
    "farm.refused": set(),
    # Clients, which know nothing of a farm.
    "farm.client_socket": {"farm.refused"},
    "farm.client": {"farm.client_socket", "farm.refused"},
    "farm.sync_client": {"farm.refused"},
    "farm.conformance": {"farm.client_socket"},
    "farm.capture": {"farm.captured", "farm.refused", "farm.sync_client"},
    # ComfyUI's wire.
    "farm.comfy.about": {"farm.sim"},
    "farm.comfy.site": {"farm.comfy.about", "farm.frost"},
    "farm.comfy": {
        *("farm.alarm", "farm.comfy.site", "farm.config", "farm.data", "farm.decoding", "farm.driver"),
        *("farm.fault_tables", "farm.sim", "farm.telling"),
    },
    "farm.comfy.routes": {"farm.comfy", "farm.data", "farm.sim"},
    # Living things.
    "farm.home": {"farm.clock", "farm.comfy", "farm.config", "farm.equipment", "farm.ledger", "farm.ports", "farm.sim"},
    "farm.epoch": {
        *("farm.alarm", "farm.comfy", "farm.comfy.routes", "farm.comfy.site", "farm.config", "farm.driver"),
        *("farm.frost", "farm.home", "farm.ports", "farm.sim"),
    },
    "farm.backend": {
        *("farm.changes", "farm.comfy", "farm.comfy.site", "farm.config", "farm.driver", "farm.epoch", "farm.home"),
        *("farm.ports", "farm.sim"),
    },
    "farm.stamps": {"farm.sim"},
    "farm.report": {"farm.ledger"},
    "farm.truth": {"farm.decoding", "farm.ledger", "farm.sim", "farm.stamps"},
    "farm.nemesis": {"farm.alarm", "farm.clock", "farm.ledger", "farm.sim", "farm.telling"},
    "farm.scenarios.player": {
        *("farm.alarm", "farm.backend", "farm.changes", "farm.clock", "farm.config", "farm.equipment"),
        *("farm.ledger", "farm.nemesis", "farm.scenarios", "farm.sim", "farm.workflows"),
    },
    "farm.control.bodies": {"farm.sim"},
    "farm.control.fault_bodies": {"farm.control.bodies", "farm.sim"},
    "farm.control.truth_bodies": {"farm.control.bodies", "farm.sim"},
    "farm.control.endpoints": {
        *("farm.control.bodies", "farm.control.fault_bodies", "farm.control.truth_bodies", "farm.ledger"),
    },
    "farm.control": {
        *("farm.changes", "farm.comfy", "farm.comfy.site", "farm.control.bodies", "farm.control.fault_bodies"),
        "farm.control.endpoints",
        *("farm.control.truth_bodies", "farm.decoding", "farm.equipment", "farm.fault_tables", "farm.ledger"),
        *("farm.ports", "farm.report", "farm.sim", "farm.timekeeper"),
    },
    "farm.service": {
        *("farm.backend", "farm.clock", "farm.comfy", "farm.config", "farm.control", "farm.data", "farm.equipment"),
        *("farm.home", "farm.ledger", "farm.log_file", "farm.ports", "farm.scenarios.player", "farm.sim", "farm.tally"),
        *("farm.nemesis", "farm.timekeeper", "farm.truth"),
    },
    # What steers a farm from outside.
    "farm.control_calls": {"farm.control.endpoints", "farm.ledger", "farm.refused", "farm.sim"},
    "farm.control_client": {
        *("farm.client", "farm.control.bodies", "farm.control.endpoints", "farm.control.fault_bodies"),
        *("farm.control.truth_bodies", "farm.control_calls", "farm.ledger", "farm.refused", "farm.sim"),
        *("farm.sync_client",),
    },
    # What a test may say of a run.
    "farm.evidence": {"farm.control.bodies", "farm.ledger", "farm.sim"},
    "farm.testing.remote": {
        *("farm.control.bodies", "farm.control.fault_bodies", "farm.control.truth_bodies", "farm.control_client"),
        *("farm.evidence", "farm.ledger", "farm.sim"),
    },
    # Front doors.
    "farm.child_config": set(),
    "farm.overlay": {"farm.child_config", "farm.config", "farm.decoding", "farm.fault_tables", "farm.scenarios"},
    "farm.child_main": set(),
    "farm.child": {"farm.child_config", "farm.control_calls", "farm.control_client", "farm.testing.remote"},
    "farm.memory_client": set(),
    "farm.testing": {
        *("farm.backend", "farm.child_config", "farm.client", "farm.clock", "farm.config", "farm.control"),
        *("farm.control.bodies", "farm.control.truth_bodies", "farm.control_client", "farm.evidence"),
        *("farm.fault_tables", "farm.ledger", "farm.memory_client", "farm.nemesis", "farm.ports", "farm.report"),
        *("farm.service", "farm.sim", "farm.truth"),
    },
    "farm.pytesting": {
        *("farm.child_config", "farm.config", "farm.decoding", "farm.evidence", "farm.ledger", "farm.overlay"),
    },
    "farm.pytest_plugin": {"farm.child", "farm.decoding", "farm.pytesting", "farm.sync_client", "farm.testing"},
    "farm.tap": {"farm.config", "farm.ports", "farm.service"},
    "farm.scenarios.command": {"farm.scenarios"},
    "farm.judge_command": {"farm.decoding", "farm.ledger"},
    "farm.report_command": {"farm.ledger", "farm.report"},
    "farm.cli": {
        *("farm.capture", "farm.conformance", "farm.judge_command", "farm.report_command", "farm.scenarios.command"),
    },
}

# Names that a room uses as types only, although they live above it.
TYPES_FROM_ABOVE = {
    ("farm.control", "farm.backend"): "what the control server controls",
    ("farm.control", "farm.service"): "what the control server controls",
}

# What each room may have from outside; a room that is not named here has the standard library only.
OUTSIDE: dict[str, set[str]] = {
    "farm.sim": {"msgspec", "regex", "simpleeval"},
    "farm.data": {"msgspec"},
    "farm.ledger": {"msgspec"},
    "farm.decoding": {"msgspec"},
    "farm.captured": {"msgspec"},
    "farm.config": {"msgspec"},
    "farm.scenarios": {"msgspec"},
    "farm.scenarios.player": {"twisted"},
    "farm.scenarios.command": {"rich"},
    "farm.judge_command": {"msgspec", "rich"},
    "farm.report": {"msgspec"},
    "farm.report_command": {"msgspec"},
    "farm.log_file": {"twisted"},
    "farm.changes": {"msgspec"},
    "farm.clock": {"twisted"},
    "farm.alarm": {"twisted"},
    "farm.telling": {"twisted"},
    "farm.nemesis": {"twisted"},
    "farm.auto_mover": {"twisted"},
    "farm.timekeeper": {"twisted"},
    "farm.driver": {"twisted"},
    "farm.frost": {"twisted"},
    "farm.ports": {"twisted"},
    "farm.client_socket": {"twisted", "wsproto"},
    "farm.client": {"treq", "twisted"},
    "farm.conformance": {"PIL", "msgspec", "rich", "treq", "twisted"},
    "farm.comfy.site": {"twisted"},
    "farm.comfy": {"PIL", "klein", "multipart", "twisted", "werkzeug", "wsproto", "zope"},
    "farm.comfy.routes": {"twisted", "werkzeug"},
    "farm.home": {"twisted"},
    "farm.epoch": {"klein", "twisted"},
    "farm.backend": {"twisted"},
    "farm.control.bodies": {"msgspec"},
    "farm.control.endpoints": {"msgspec"},
    "farm.control.fault_bodies": {"msgspec"},
    "farm.control.truth_bodies": {"msgspec"},
    "farm.stamps": {"PIL"},
    "farm.truth": {"msgspec"},
    "farm.control_calls": {"msgspec"},
    "farm.control_client": {"treq", "twisted"},
    "farm.control": {"klein", "msgspec", "twisted", "werkzeug"},
    "farm.service": {"msgspec", "twisted"},
    "farm.child_main": {"twisted"},
    "farm.memory_client": {"twisted", "wsproto"},
    "farm.testing": {"msgspec", "twisted"},
    "farm.evidence": {"msgspec"},
    "farm.overlay": {"msgspec"},
    "farm.pytesting": {"_pytest", "pytest"},
    "farm.pytest_plugin": {"pytest", "pytest_twisted", "twisted"},
    "farm.tap": {"twisted"},
}

PURE = ("farm.sim", "farm.ledger")
WORLDLY = {
    *("asyncio", "concurrent", "ctypes", "fcntl", "glob", "http", "io", "logging", "mmap", "multiprocessing", "os"),
    *("platform", "secrets", "select", "selectors", "shutil", "signal", "socket", "ssl", "subprocess", "sys"),
    *("tempfile", "threading", "time", "urllib"),
}
HARMLESS = {"urllib.parse"}     # takes texts apart
ONLY = {        # of these the pure floors take nothing but
    "random": {"Random"},
    "datetime": {"UTC", "datetime", "timedelta"},
    "pathlib": {"PurePosixPath"},
    "uuid": {"UUID"},
}
ASKS_THE_CLOCK = {"now", "today", "utcnow", "uuid1", "uuid4", "monotonic", "perf_counter"}
TELLS_THE_TIME = {      # the only modules that may ask the machine for the time or for chance, and why
    "farm.child": "it waits for a process",
    "farm.client": "a client draws its own id",
    "farm.conformance.command": "ids for a real server must not repeat over runs",
    "farm.service": "a seed is drawn where the configuration has none",
    "farm.sync_client": "it waits without a reactor",
    "farm.tap": "the wall clock at the start",
    "farm.testing.in_reactor": "the wall clock at the start",
    "farm.testing.remote": "it waits for a process",
}
SCHEDULING = (
    *("cache", "execution", "history", "input_checks", "instance", "machine", "naming", "nodes", "queue", "worker"),
)
LATE = ("farm.child", "farm.child_config", "farm.cli", "farm.pytest_plugin", "farm.sync_client", "farm.tap")


@dataclass(frozen=True)
class Import:
    """One name that a module asks for.

    :ivar module: the module that is asked, as far as the statement says.
    :ivar late: within a function.
    :ivar typing: for the type checker only.
    """

    module: str
    name: str
    line: int
    late: bool
    typing: bool


@dataclass(frozen=True)
class Source:
    """What one module of the farm says.

    :ivar calls: what it calls, as written.
    :ivar attributes: every name behind a dot.
    :ivar words: its texts of one line.
    :ivar is_open: it says what it is, and what it gives.
    """

    name: str
    is_package: bool
    imports: tuple[Import, ...]
    calls: tuple[str, ...]
    attributes: frozenset[str]
    words: frozenset[str]
    is_open: bool


@cache
def sources() -> dict[str, Source]:
    """The whole farm; the trees themselves are not kept, for they are big."""
    return {source.name: source for source in map(read, sorted((ROOT / "farm").rglob("*.py")))}


def read(path: Path) -> Source:
    parts = path.relative_to(ROOT).with_suffix("").parts
    is_package = parts[-1] == "__init__"
    package = parts[:-1]
    tree = ast.parse(path.read_text("utf-8"))
    nodes = list(ast.walk(tree))
    given = [node for node in tree.body if isinstance(node, ast.Assign | ast.AnnAssign)]
    texts = [node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)]
    return Source(
        name=".".join(package if is_package else parts),
        is_package=is_package,
        imports=tuple(read_imports(tree, package, late=False, typing=False)),
        calls=tuple(ast.unparse(node.func) for node in nodes if isinstance(node, ast.Call)),
        attributes=frozenset(node.attr for node in nodes if isinstance(node, ast.Attribute)),
        words=frozenset(text.lower() for text in texts if "\n" not in text),
        is_open=bool(ast.get_docstring(tree)) and (is_package or any("__all__" in ast.unparse(each) for each in given)),
    )


def read_imports(node: ast.AST, package: tuple[str, ...], *, late: bool, typing: bool) -> Iterator[Import]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            yield from (Import(each.name, "", child.lineno, late, typing) for each in child.names)
        elif isinstance(child, ast.ImportFrom):
            base = package[: len(package) - child.level + 1] if child.level else ()
            module = ".".join((*base, *((child.module,) if child.module else ())))
            yield from (Import(module, each.name, child.lineno, late, typing) for each in child.names)
        is_late = late or isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        is_typing = typing or (isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING")
        yield from read_imports(child, package, late=is_late, typing=is_typing)


def asked(each: Import) -> str:
    """The module of ours that an import means: ``from . import x`` may mean a module ``x``."""
    deeper = f"{each.module}.{each.name}"
    return deeper if deeper in sources() else each.module


def room(module: str) -> str | None:
    """The smallest room that a module is in."""
    inside = [name for name in ROOMS if module == name or module.startswith(name + ".")]
    return max(inside, key=len, default=None)


def is_ours(each: Import) -> bool:
    return each.module.split(".")[0] == "farm"


def everywhere(*rooms: str) -> list[tuple[Source, Import]]:
    """Every import of some rooms, or of the whole farm."""
    known = [each for each in sources().values() if not rooms or room(each.name) in rooms]
    return [(source, each) for source in known for each in source.imports]


def living_in(name: str) -> list[Source]:
    """The modules of a room."""
    return [source for source in sources().values() if room(source.name) == name]


def said(found: list[tuple[Source, Import]]) -> list[str]:
    """What is wrong, for people."""
    return [f"{source.name}:{each.line} imports {each.module} {each.name}".rstrip() for source, each in found]


def test_every_module_has_a_room() -> None:
    """Only the package itself is outside."""
    assert [name for name in sources() if room(name) is None] == ["farm"]
    assert sources()["farm"].imports == ()


def test_every_room_is_there_and_rests_on_lower_ones() -> None:
    """So no two rooms can lean on each other."""
    below: set[str] = set()
    for name, rests_on in ROOMS.items():
        assert rests_on <= below, name
        below.add(name)
    inhabited = {room(name) for name in sources()}
    assert set(ROOMS) - inhabited == set()
    assert set(OUTSIDE) <= set(ROOMS)


def test_arrows_point_down_only() -> None:
    """A room imports itself and those that it rests on, late or early."""
    wrong = []
    for source, each in everywhere():
        here, there = room(source.name), room(asked(each))
        if not is_ours(each) or asked(each) == "farm" or here is None or here == there:   # farm itself: its version
            continue
        is_a_type = each.typing and (here, there) in TYPES_FROM_ABOVE
        if there is None or not (there in ROOMS[here] or is_a_type):
            wrong.append((source, each))
    assert said(wrong) == []


def test_no_room_rests_on_one_that_it_does_not_use() -> None:
    """The table says what is, not what could be."""
    used = {(room(source.name), room(asked(each))) for source, each in everywhere() if is_ours(each)}
    idle = [f"{here} -> {there}" for here, rests_on in ROOMS.items() for there in rests_on if (here, there) not in used]
    assert idle == []


def test_modules_do_not_import_each_other_in_circles() -> None:
    """Also within a room, and also late: one can be read before the other."""
    needs: dict[str, set[str]] = {name: set() for name in sources()}
    for source, each in everywhere():
        if is_ours(each) and not each.typing and asked(each) != source.name:
            needs[source.name].add(asked(each))
    try:
        tuple(TopologicalSorter(needs).static_order())
    except CycleError as why:
        pytest.fail(" <- ".join(why.args[1]))


def test_each_room_has_from_outside_only_what_it_is_meant_to() -> None:
    """The standard library, and what the table says."""
    wrong = []
    for source, each in everywhere():
        root = each.module.split(".")[0]
        allowed = OUTSIDE.get(room(source.name) or "", set()) | sys.stdlib_module_names | {"farm"}
        if root not in allowed:
            wrong.append((source, each))
    assert said(wrong) == []


def test_nobody_asks_for_the_reactor_while_being_imported() -> None:
    """Or pytest-twisted's ``--reactor=`` and twistd's would come too late; only who runs a farm asks at all."""
    asking = []
    for source, each in everywhere():
        if f"{each.module}.{each.name}".rstrip(".").startswith("twisted.internet.reactor"):
            asking.append((source, each))
    assert said([(source, each) for source, each in asking if not each.late]) == []
    allowed = {"farm.child_main", "farm.client", "farm.conformance.in_reactor", "farm.pytest_plugin", "farm.tap"}
    assert {source.name for source, _ in asking} <= allowed


def test_front_doors_open_without_klein() -> None:
    """It imports the reactor, and takes half a second; so do treq and Pillow."""
    heavy = {"klein", "treq", "PIL", "rich"}
    for door in LATE:
        seen, ahead = set[str](), {door}
        while ahead:
            seen |= ahead
            early = [each for name in ahead for each in sources()[name].imports if not (each.late or each.typing)]
            outside = {each.module.split(".")[0] for each in early}
            assert not heavy & outside, (door, ahead)
            ahead = {asked(each) for each in early if is_ours(each)} & sources().keys() - seen


@pytest.mark.parametrize("name", PURE)
def test_the_pure_floors_have_no_way_to_reach_the_world(name: str) -> None:
    """No file, socket, thread, process or clock; chance only as a generator that is handed in."""
    wrong = []
    for source, each in everywhere(name):
        root = each.module.split(".")[0]
        is_more = root in ONLY and each.name not in ONLY[root]
        if (root in WORLDLY and each.module not in HARMLESS) or is_more:
            wrong.append((source, each))
    assert said(wrong) == []
    doing = {"open", "input", "print", "exec", "eval", "Random"}
    called = {(source.name, call) for source in living_in(name) for call in source.calls if call in doing}
    assert called == ({("farm.sim.seeds", "Random")} if name == "farm.sim" else set())


def test_only_a_few_ask_the_machine_for_the_time_or_for_chance() -> None:
    """Everybody else is told: then a run can be repeated."""
    found = set()
    for source, each in everywhere():
        if each.module == "time" or each.name in ("SystemRandom", "uuid1", "uuid4", "urandom", "token_hex"):
            found.add(source.name)
        if each.module == "random" and each.name not in ("Random", "SystemRandom"):
            found.add(source.name)
    found |= {source.name for source in sources().values() if source.attributes & ASKS_THE_CLOCK}
    assert found == TELLS_THE_TIME.keys()


def test_routes_know_nothing_of_scheduling() -> None:
    """A route parses, asks, answers: what happens when is the simulation's business."""
    parts = {f"farm.sim.{part}" for part in SCHEDULING} | {"farm.driver", "farm.clock"}
    wrong = [
        (source, each)
        for source, each in everywhere("farm.comfy.routes")
        if any(asked(each) == part or asked(each).startswith(part + ".") for part in parts)
    ]
    assert said(wrong) == []
    driving = {"driver", "advance", "catch_up", "set_alarm", "callLater"}
    assert [source.name for source in living_in("farm.comfy.routes") if source.attributes & driving] == []


def test_the_simulation_knows_no_http() -> None:
    """No status, header, path or frame: it says what happened, in its own words.

    But for what goes wrong on purpose: a fault names moments of the wire, and what is sent there, as plain values.
    """
    words = {"http", "websocket", "status_code", "content-type", "request"}
    found = {source.name: source.words & words for source in living_in("farm.sim") if source.words & words}
    assert [name for name in found if not name.startswith("farm.sim.faults.")] == []


def test_only_one_place_makes_sites_and_ports() -> None:
    """Everything that is served is served alike; speed work then has one place to go."""
    words = ("Site", "listenTCP", "adoptStreamPort", "callLater")
    made = {
        word: {each.name for each in sources().values() if any(call.rpartition(".")[2] == word for call in each.calls)}
        for word in words
    }
    assert made == {
        "Site": set(),
        "listenTCP": {"farm.ports"},
        "adoptStreamPort": {"farm.ports"},
        "callLater": {"farm.alarm", "farm.auto_mover", "farm.clock", "farm.control.wait"},
    }


def test_every_module_says_what_it_is_and_what_it_gives() -> None:
    """A docstring whose first line is for the reader, and ``__all__``."""
    silent = {name for name, source in sources().items() if not source.is_open}
    assert silent <= {"farm.pytest_plugin"}     # pytest's own way
