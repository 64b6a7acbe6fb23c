"""Messages that clients receive when websockets open and close."""

from comfyfarm.conformance.describe import describe_message
from comfyfarm.conformance.families.http import loopback
from comfyfarm.conformance.scenario import Family, preview, slow
from comfyfarm.conformance.session import Session

family = Family("websocket")

_CLOSE_S = 0.1      # a server removes a socket only some time after the closing handshake


@family.scenario
async def ws_origin(session: Session) -> None:
    """A page of another origin cannot open a websocket."""
    loopback(session)
    upgrade = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "Y29tZnlmYXJtIHRlc3QhIQ==",
        "Origin": "http://evil.example",
    }
    reply = await session.request("GET /ws?clientId=foreign", headers=upgrade, record=False)
    session.note("an upgrade from a foreign page", status=reply.status)


@family.scenario
async def ws_reconnect_same_id_old_closes(session: Session) -> None:
    """The newest websocket of an id receives the messages; once an older one closes, it receives none."""
    old = await session.listen()
    new = await session.listen(old.client_id)
    await session.until_quiet()
    await session.run(preview(session.fresh()), new)
    session.record(old, title="the older socket")
    session.record(new, title="the newer socket")
    start = len(new.received)
    await old.close()
    await session.pause(_CLOSE_S)
    job = await session.submit(preview(session.fresh()), new)
    await session.until_done(job)
    session.record(new, title="the newer socket after the older closed", start=start)
    session.note("the newer socket", is_open=new.is_open)


@family.scenario
async def ws_close_then_reconnect(session: Session) -> None:
    """Messages sent while the client is disconnected are lost."""
    before = await session.listen()
    await before.close()
    await session.pause(_CLOSE_S)
    job = await session.submit(preview(session.fresh()), before)
    await session.until_done(job)
    after = await session.listen(before.client_id)
    await session.until_quiet()
    session.record(after)
    await session.run(preview(session.fresh()), after)
    session.record(after)


@family.scenario
async def ws_reconnect_while_running(session: Session) -> None:
    """A client that reconnects receives the running node, and then the rest of its job's messages."""
    before = await session.listen()
    job = await session.submit(slow(session.fresh(), 9), before)
    await session.wait_for_message(before, "executing", node="3")
    await before.close()
    await session.pause(_CLOSE_S / 2)
    after = await session.listen(before.client_id)
    other = await session.listen()
    await session.until_done(job, listener=after)
    messages = [describe_message(message) for message in after.received]
    kinds = sorted({kind for message in messages for kind in message})
    session.note("the second message", **{kind: sorted(data) for kind, data in messages[1].items()})
    session.note("all messages", kinds=kinds, last=messages[-1])
    session.record(other)
