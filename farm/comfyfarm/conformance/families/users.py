"""Settings and the files that a user keeps on the server."""

from __future__ import annotations

from typing import Any

from comfyfarm.conformance.scenario import Family
from comfyfarm.conformance.visit import Session

family = Family("users", "settings and the files that a user keeps on the server")


@family.scenario
async def settings_roundtrip(visit: Session) -> None:
    """Settings are written one by one and several at once, and read back."""
    key = f"Conformance.{visit.tag}"
    one = f"/settings/{key}"
    await visit.ask(f"GET {one}")
    await visit.ask(f"POST {one}", json={"a": [1, None]})
    await visit.ask(f"GET {one}")
    await visit.ask("POST /settings", json={key: 5, f"{key}.b": "x"})
    await visit.ask("GET /settings", view=lambda found: {each: found[each] for each in found if each.startswith(key)})
    await visit.ask(f"POST {one}", data=b"zzz", as_line=f"POST {one} zzz")
    await visit.ask("POST /settings", json=[1], as_line="POST /settings [1]")
    await visit.ask(f"POST /api{one}", as_line=f"POST /api{one} without a body")
    await visit.ask(f"GET /api{one}")


@family.scenario
async def userdata_files(visit: Session) -> None:
    """Files are written, listed, moved and removed."""
    await _write_and_list(visit)
    await _move_and_remove(visit)


async def _write_and_list(visit: Session) -> None:
    folder = visit.tag
    file = f"/userdata/{folder}%2Fa.json"
    await visit.ask(f"GET {file}")
    await visit.ask(f"POST {file}", data=b'{"x":1}')
    await visit.ask(f"GET {file}")
    await visit.ask(f"POST {file}?overwrite=false", data=b"2")
    await visit.ask(f"POST {file}?overwrite=true&full_info=true", data=b"22", view=_facts)
    for more in ("", "&full_info=true", "&split=true"):
        await visit.ask(f"GET /userdata?dir={folder}{more}")
    await visit.ask(f"POST /userdata/{folder}%2Fs%2Fb.txt", data=b"b")
    for more in ("", "&split=true"):
        await visit.ask(f"GET /userdata?dir={folder}&recurse=true{more}", view=sorted)
    for query in (f"?path={folder}", f"?path={folder}%2Fa.json", "?path=nosuch", "?path=../.."):
        await visit.ask(f"GET /v2/userdata{query}")
    await visit.ask("GET /v2/userdata", view=lambda found: type(found).__name__)


def _facts(info: dict[str, Any]) -> dict[str, Any]:
    """Path and size as they are, of the times their types."""
    return {key: value if key in ("path", "size") else type(value).__name__ for key, value in info.items()}


async def _move_and_remove(visit: Session) -> None:
    folder = visit.tag
    first, second, third = (f"{folder}%2F{name}" for name in ("a.json", "c.json", "d.json"))
    deep = f"{folder}%2Fs%2Fb.txt"
    await visit.ask(f"POST /userdata/{first}/move/{second}")
    await visit.ask(f"GET /userdata/{first}")
    await visit.ask(f"POST /userdata/{second}/move/{deep}?overwrite=false")
    await visit.ask(f"POST /userdata/{second}/move/{third}?full_info=true", view=sorted)
    await visit.ask(f"POST /userdata/nosuch{folder}/move/x")
    for file in (third, third, deep):
        await visit.ask(f"DELETE /userdata/{file}")


@family.scenario
async def userdata_errors(visit: Session) -> None:
    """Folders that are missing, wrong, or lead out."""
    for query in ("", "?dir=", f"?dir=nosuchdir_{visit.tag}", "?dir=../..", "?dir=/etc"):
        await visit.ask(f"GET /userdata{query}")
    for file in ("..%2F..%2Fx", "%2Fetc%2Fpasswd", "a/b"):
        await visit.ask(f"GET /userdata/{file}")
    await visit.ask("POST /userdata/..%2F..%2Fx", data=b"1")
    await visit.ask("DELETE /userdata/..%2Fx")
    await visit.ask("PUT /userdata/x", data=b"1")
