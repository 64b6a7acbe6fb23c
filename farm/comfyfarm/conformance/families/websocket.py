"""Who hears what when websockets come and go."""

from __future__ import annotations

from comfyfarm.conformance.described import describe_message
from comfyfarm.conformance.families.http import loopback
from comfyfarm.conformance.graphs import preview, slow
from comfyfarm.conformance.scenario import Family
from comfyfarm.conformance.visit import Session

family = Family("websocket", "who hears what when websockets come and go")

_FORGOTTEN_S = 0.1      # a server forgets a socket only after it has said goodbye to it


@family.scenario
async def ws_origin(visit: Session) -> None:
    """Pages of other origins get no websocket."""
    loopback(visit)
    upgrade = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "Y29tZnlmYXJtIHRlc3QhIQ==",
        "Origin": "http://evil.example",
    }
    reply = await visit.peek("GET /ws?clientId=foreign", headers=upgrade)
    visit.note("an upgrade from a foreign page", status=reply.status)


@family.scenario
async def ws_reconnect_same_id_old_closes(visit: Session) -> None:
    """The newer socket of an id takes over; when the older one closes, the newer goes deaf."""
    old = await visit.listen()
    new = await visit.listen(old.client_id)
    await visit.until_quiet()
    job = await visit.submit(preview(visit.fresh()), new)
    await visit.until_over(job, heard_by=new)
    visit.tell(old, title="the older socket")
    visit.tell(new, title="the newer socket")
    heard = len(new.heard)
    await old.close()
    await visit.pause(_FORGOTTEN_S)
    job = await visit.submit(preview(visit.fresh()), new)
    await visit.until_over(job)
    visit.tell(new, title="the newer socket after the older closed", start=heard)
    visit.note("the newer socket", is_open=new.is_open)


@family.scenario
async def ws_close_then_reconnect(visit: Session) -> None:
    """What happens while nobody listens is not told later."""
    before = await visit.listen()
    await before.close()
    await visit.pause(_FORGOTTEN_S)
    job = await visit.submit(preview(visit.fresh()), before)
    await visit.until_over(job)
    after = await visit.listen(before.client_id)
    await visit.until_quiet()
    visit.tell(after)
    await visit.run(preview(visit.fresh()), after)
    visit.tell(after)


@family.scenario
async def ws_reconnect_while_running(visit: Session) -> None:
    """Whoever comes back is told which node runs, and then hears the rest of its job."""
    before = await visit.listen()
    job = await visit.submit(slow(visit.fresh(), 9), before)
    await visit.handles(before, "executing", node="3")
    await before.close()
    await visit.pause(_FORGOTTEN_S / 2)
    after = await visit.listen(before.client_id)
    other = await visit.listen()
    await visit.until_over(job, heard_by=after)
    told = [describe_message(message) for message in after.heard]
    kinds = sorted({kind for message in told for kind in message})
    visit.note("the second message", **{kind: sorted(data) for kind, data in told[1].items()})
    visit.note("all messages", kinds=kinds, last=told[-1])
    visit.tell(other)
