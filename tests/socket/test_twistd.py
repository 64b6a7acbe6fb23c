"""``twistd -n comfyfarm``: how it starts, refuses to, and ends; and clients that misbehave on real sockets."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from twisted.internet.task import deferLater
from twisted.internet.testing import MemoryReactorClock

from comfyfarm.clients.comfy_sync import SyncComfyClient
from comfyfarm.config import FarmConfig
from comfyfarm.events import SocketClosed, TextSent
from comfyfarm.events.encoding import as_object
from comfyfarm.events.saved_log import read_events
from comfyfarm.server.websocket.connection import MAX_BACKLOG_BYTES
from comfyfarm.testing import TwistedFarm
from comfyfarm.workflows import text_to_image

ROOT = Path(__file__).resolve().parents[2]
TWISTD = [sys.executable, "-c", "from twisted.scripts.twistd import run; run()", "-n", "--pidfile=", "comfyfarm"]
HANDSHAKE = (
    b"GET /ws?clientId=%b HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)

AnyConfig = dict[str, Any] | str | Path | FarmConfig
StartTwisted = Callable[[AnyConfig], Awaitable[TwistedFarm]]


def command(folder: Path, *options: str) -> dict[str, Any]:
    """How to run twistd in a folder of its own."""
    (folder / "tmp").mkdir(exist_ok=True)
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(folder / "tmp")}
    return {"args": [*TWISTD, *options], "cwd": folder, "env": environment}


def refused(folder: Path, *options: str) -> str:
    """What twistd says where it does not start: one line (beside its own log), and status 1."""
    ended: subprocess.CompletedProcess[str] = subprocess.run(
        **command(folder, *options), capture_output=True, text=True, timeout=30, check=False
    )
    lines = [line for line in (ended.stderr + ended.stdout).splitlines() if "twistd_unix" not in line]
    assert ended.returncode == 1, lines
    assert list((folder / "tmp").iterdir()) == []
    (line,) = lines
    return line.rpartition("[stderr#error] ")[2]


def free_ports(count: int) -> int:
    """The first of several ports in a row that are free now."""
    for first in range(20_000 + os.getpid() % 10_000, 32_000, count):
        with ExitStack() as taken:
            try:
                for port in range(first, first + count):
                    taken.enter_context(socket.create_server(("127.0.0.1", port)))
            except OSError:
                continue
            return first
    raise AssertionError("no free ports")


@contextmanager
def running(folder: Path, *options: str) -> Iterator[tuple[subprocess.Popen[bytes], dict[str, Any]]]:
    """Twistd, and what its ready file says."""
    ready = folder / "r.json"
    with (folder / "tmp.log").open("wb") as log:
        process = subprocess.Popen(
            **command(folder, "--ready-file", ready.name, *options), stdout=log, stderr=subprocess.STDOUT
        )
    try:
        deadline = time.monotonic() + 30
        while not ready.exists():
            try:
                status: int | None = process.wait(0.02)
            except subprocess.TimeoutExpired:
                status = None
            assert status is None, (folder / "tmp.log").read_text()
            assert time.monotonic() < deadline
        yield process, json.loads(ready.read_bytes())
    finally:
        process.kill()
        process.wait()


def test_a_bad_configuration_ends_twistd_with_one_line(tmp_path: Path) -> None:
    """File and place, status 1; no traceback, no help text, nothing left behind."""
    (tmp_path / "farm.toml").write_text('[[instance]]\nport = "x"\n')
    assert refused(tmp_path, "--config", "farm.toml") == "farm.toml: instance[0].port: expected int, got str"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["farm.toml", "tmp"]


def test_a_picture_that_is_none_ends_twistd_with_one_line(tmp_path: Path) -> None:
    """It is looked at before any port is opened; the place is that of the file's table."""
    (tmp_path / "cat.png").write_bytes(b"no picture")
    (tmp_path / "farm.toml").write_text(
        '[[instance]]\nname = "a{n}"\ncount = 3\nport = 0\n[[instance]]\nname = "b"\nport = 0\ninput = "cat.png"\n'
    )
    line = refused(tmp_path, "--config", "farm.toml", "--ready-file", "r.json")
    assert line.startswith("farm.toml: instance[1].input: ")
    assert "cat.png" in line
    assert not (tmp_path / "r.json").exists()


def test_a_taken_port_ends_twistd_and_names_the_instance(tmp_path: Path) -> None:
    """Status 1; the other instance was not served, and nothing was written."""
    first = free_ports(2)
    (tmp_path / "farm.toml").write_text('[[instance]]\nname = "a"\n[[instance]]\nname = "b"\nport = 1\n')
    with socket.create_server(("127.0.0.1", first + 1)):
        options = ("--config", "farm.toml", "--port", str(first), "--control-port", "0", "--data-dir", "data")
        line = refused(tmp_path, *options)
    assert line == f"b: port {first + 1} cannot be had: Address already in use"
    assert not (tmp_path / "data").exists()


def test_an_old_python_multipart_ends_twistd_with_one_line_that_says_what_to_do(tmp_path: Path) -> None:
    """It brings a folder of the name of the module that the farm needs, and Python takes the folder."""
    (tmp_path / "multipart").mkdir()
    (tmp_path / "multipart" / "__init__.py").write_text("class MultipartParser: pass\n")
    assert refused(tmp_path) == (
        "comfyfarm needs the package multipart, which python-multipart before 0.0.13 hides: "
        "pip install --upgrade python-multipart"
    )


def test_a_farm_lives_and_ends_leaving_nothing_but_what_was_asked_for(tmp_path: Path) -> None:
    """Ports count up from ``--port``; SIGTERM ends it within a moment, also under open connections and running jobs."""
    first = free_ports(2)
    (tmp_path / "farm.toml").write_text(
        '[farm]\nlog = "run.jsonl"\n'
        '[[instance]]\nname = "a"\n'
        '[[instance]]\nname = "b"\nport = 1\nmode = "dynamic"\ntiming.nodes.KSampler = "1h"\n'
    )
    options = ("--config", "farm.toml", "--port", str(first), "--control-port", "0", "--seed", "7", "--speed", "10")
    with running(tmp_path, *options, "--disable-static-return") as (process, ready):
        urls = {name: each["url"] for name, each in ready["instances"].items()}
        assert urls == {"a": f"http://127.0.0.1:{first}", "b": f"http://127.0.0.1:{first + 1}"}
        assert {each["mode"] for each in ready["instances"].values()} == {"dynamic"}
        a, b = (SyncComfyClient(url) for url in urls.values())
        a.wait_for_completion(a.submit_workflow(text_to_image()))
        (file,) = a.get_output_files(next(iter(a.get_history())))
        assert a.download(file).startswith(b"\x89PNG")
        assert Path(ready["instances"]["a"]["output_dir"], file["filename"]).is_file()
        b.submit_workflow(text_to_image())
        with (
            socket.create_connection(("127.0.0.1", first)) as half_sent,
            socket.create_connection(("127.0.0.1", first + 1)) as listening,
        ):
            half_sent.sendall(b"POST /prompt HTTP/1.1\r\nContent-Length: 100\r\n\r\n{")
            listening.sendall(HANDSHAKE % b"me")
            assert listening.recv(12) == b"HTTP/1.1 101"
            before = time.monotonic()
            process.send_signal(signal.SIGTERM)
            assert process.wait(10) == -signal.SIGTERM
            assert time.monotonic() - before < 2      # a second is promised, of a machine that has nothing else to do
    assert list((tmp_path / "tmp").iterdir()) == []
    assert {path.name for path in tmp_path.iterdir()} == {"farm.toml", "run.jsonl", "tmp", "tmp.log"}
    assert "Traceback" not in (tmp_path / "tmp.log").read_text()
    lines = (tmp_path / "run.jsonl").read_bytes().splitlines()
    told = [as_object(event) for event in read_events(lines, lambda text, _seq: pytest.fail(text))]
    assert told[0]["kind"] == "configured"
    farm = {"clock": "real", "seed": 7, "speed": 10.0, "fault_headers": False}
    assert told[0]["config"]["farm"].items() >= farm.items()
    assert [event["seq"] for event in told] == list(range(1, len(told) + 1))
    kinds = {(event.get("instance"), event["kind"]) for event in told}
    assert kinds >= {("a", "finished"), ("a", "written"), ("b", "taken"), ("b", "socket_opened"), ("a", "exchanged")}
    assert str(first) not in (tmp_path / "run.jsonl").read_text()


async def turns(farm: TwistedFarm, until: Callable[[], bool], most: int = 20_000) -> None:
    """Let the reactor turn until something holds."""
    for _ in range(most):
        if until():
            return
        await deferLater(farm.farm.reactor, 0)
    raise AssertionError("it never came")


def connected(farm: TwistedFarm, client_id: bytes, *, buffer_bytes: int | None = None) -> socket.socket:
    """A websocket, opened by hand on a plain socket."""
    number = int(farm["gpu"].url.rpartition(":")[2])
    plain = socket.socket()
    if buffer_bytes is not None:
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer_bytes)
    plain.connect(("127.0.0.1", number))
    plain.setblocking(False)
    plain.sendall(HANDSHAKE % client_id)
    return plain


@pytest_twisted.ensureDeferred
async def test_a_client_that_stops_reading_is_dropped_and_the_others_hear_on(twisted_farm: StartTwisted) -> None:
    """It costs a bounded amount of memory; one that reads hears every message."""
    farm = await twisted_farm({"instance": [{"name": "gpu"}]})
    backend = farm["gpu"].backend
    sockets = backend.process.parts.hub.recipients
    piece = "x" * (1 << 20)
    heard = 0

    def read() -> bool:
        nonlocal heard
        while True:
            try:
                data = reader.recv(1 << 20)
            except BlockingIOError:
                return False
            assert data
            heard += len(data)

    with connected(farm, b"slow", buffer_bytes=4096), connected(farm, b"quick") as reader:
        await turns(farm, lambda: len(sockets(None)) == 2)
        (slow,) = sockets("slow")
        max_backlog = 0
        for number in range(60):
            backend.publish(TextSent(at_ms=number, prompt_id="p", node="1", text=piece))
            max_backlog = max(max_backlog, slow.writer.backlog_bytes)
            await turns(farm, lambda: read() or heard > (1 << 20) * (number + 1))  # noqa: B023 (called at once)
        assert MAX_BACKLOG_BYTES < max_backlog < MAX_BACKLOG_BYTES + (2 << 20)
        await turns(farm, lambda: len(sockets(None)) == 1)
        (closed,) = farm.farm.log.of(SocketClosed)
        assert (closed.client_id, closed.reason) == ("slow", "too slow")
        assert heard > 60 << 20
    assert await farm["gpu"].client.wait(await farm["gpu"].client.submit(text_to_image(steps=1)))


@pytest_twisted.ensureDeferred
async def test_a_client_that_pauses_and_reads_on_keeps_its_socket(twisted_farm: StartTwisted) -> None:
    """What it is owed comes, and is forgotten."""
    farm = await twisted_farm({"instance": [{"name": "gpu"}]})
    backend = farm["gpu"].backend
    with connected(farm, b"slow", buffer_bytes=4096) as plain:
        await turns(farm, lambda: len(backend.process.parts.hub.recipients(None)) == 1)
        (slow,) = backend.process.parts.hub.recipients("slow")
        for _ in range(8):
            backend.publish(TextSent(at_ms=0, prompt_id="p", node="1", text="x" * (1 << 20)))
        assert slow.writer.backlog_bytes > 4 << 20

        def drained() -> bool:
            with suppress(BlockingIOError):
                plain.recv(1 << 20)
            return slow.writer.backlog_bytes == 0

        await turns(farm, drained, most=200_000)
        assert not slow.writer.too_slow
        assert list(farm.farm.log.of(SocketClosed)) == []


@pytest_twisted.ensureDeferred
async def test_a_client_that_pings_and_does_not_read_is_not_read_either(twisted_farm: StartTwisted) -> None:
    """Until it reads its pongs; then it gets all of them."""
    farm = await twisted_farm({"instance": [{"name": "gpu"}]})
    ping, pong_bytes, most_bytes = b"\x89\xfd\0\0\0\0" + b"x" * 125, 127, 32 << 20
    pings, sent_bytes, heard_bytes = ping * 1000, 0, 0
    with connected(farm, b"me", buffer_bytes=4096) as plain:
        await turns(farm, lambda: len(farm["gpu"].backend.process.parts.hub.recipients(None)) == 1)
        refusals = 0
        while refusals < 100 and sent_bytes < most_bytes:
            try:
                sent_bytes += plain.send(pings[sent_bytes % len(ping) :])
                refusals = 0
            except BlockingIOError:
                refusals += 1
            await deferLater(farm.farm.reactor, 0)
        assert sent_bytes < most_bytes

        def read() -> bool:
            nonlocal heard_bytes
            with suppress(BlockingIOError):
                heard_bytes += len(plain.recv(1 << 20))
            return heard_bytes >= sent_bytes // len(ping) * pong_bytes

        await turns(farm, read, most=200_000)
        assert list(farm.farm.log.of(SocketClosed)) == []


@pytest_twisted.ensureDeferred
async def test_a_half_sent_body_and_a_client_that_hangs_up_harm_nobody(twisted_farm: StartTwisted) -> None:
    """Others are served meanwhile; nothing of it is taken on, and nothing is logged as an error."""
    farm = await twisted_farm({"instance": [{"name": "gpu"}]})
    gpu = farm["gpu"]
    number = int(gpu.url.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", number)) as half_sent:
        half_sent.sendall(b'POST /prompt HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{"prompt": {')
        assert await gpu.client.wait(await gpu.client.submit(text_to_image(steps=1)))
        await turns(farm, lambda: len(gpu.backend.site.channels) >= 2)
    await turns(farm, lambda: len(gpu.backend.site.channels) == 1)
    assert len(await gpu.client.history()) == 1


@pytest.mark.parametrize("option", [("--port", "abc"), ("--speed", "fast"), ("--nope", "1"), ("word",)])
def test_a_bad_option_is_refused_without_a_traceback(option: tuple[str, ...]) -> None:
    """As twistd refuses any: with its help, and the reason last."""
    from twisted.python.usage import UsageError

    from comfyfarm.tap import Options

    with pytest.raises(UsageError):
        Options().parseOptions(option)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--data-dir", "file"], "{here}/file: Not a directory"),
        (["--data-dir", "theirs"], "{here}/theirs/comfyui/input/kernie_512x768.jpg: File exists"),
        (["--config", "log.toml"], "nowhere/run.jsonl: No such file or directory"),
        (["--config", "out.toml"], "{here}/file: Not a directory"),
        (["--ready-file", "nowhere/r.json"], "nowhere/r.json: No such file or directory"),
        (["--ready-file", "theirs"], "theirs: Is a directory"),
    ],
)
def test_a_place_that_cannot_be_written_ends_the_farm_with_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: list[str], said: str
) -> None:
    """It is named, and what is wrong with it; no file is left behind.  (In this process: a child takes longer.)"""
    from comfyfarm.control.app import CannotStart, FarmApp
    from comfyfarm.server.farm import make_farm
    from comfyfarm.server.ports import MemoryPort
    from comfyfarm.tap import Options

    monkeypatch.chdir(tmp_path)
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    (tmp_path / "file").write_bytes(b"")
    theirs = tmp_path / "theirs/comfyui/input/kernie_512x768.jpg"
    theirs.parent.mkdir(parents=True)
    theirs.write_bytes(b"another picture")
    (tmp_path / "log.toml").write_text('[farm]\nlog = "nowhere/run.jsonl"\n')
    (tmp_path / "out.toml").write_text('[[instance]]\noutput_dir = "file"\n')
    before = sorted(tmp_path.rglob("*"))
    wanted = Options()
    wanted.parseOptions(options)
    reactor: Any = MemoryReactorClock()
    farm = make_farm(
        wanted.farm, reactor=reactor, clock=reactor, bind=lambda _, port: MemoryPort(reactor, port), unix_ms=0
    )
    app = FarmApp(farm, Path(wanted["ready-file"]) if wanted["ready-file"] else None)
    with pytest.raises(CannotStart) as caught:
        app.startService()
    assert str(caught.value) == said.format(here=tmp_path)
    left = set(tmp_path.rglob("*")) - set(before)
    assert not {path for path in left if path.is_file()}
    assert list((tmp_path / "tmp").iterdir()) == []
    assert theirs.read_bytes() == b"another picture"
