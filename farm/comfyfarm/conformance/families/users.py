"""Settings, and the files of a user."""

from typing import Any

from comfyfarm.conformance.scenario import Family
from comfyfarm.conformance.session import Session

family = Family("users")


@family.scenario
async def settings_roundtrip(session: Session) -> None:
    """Settings are written one by one or together, and read back."""
    key = f"Conformance.{session.tag}"
    one = f"/settings/{key}"
    await session.get(f"{one}")
    await session.request(f"POST {one}", json={"a": [1, None]})
    await session.get(f"{one}")
    await session.request("POST /settings", json={key: 5, f"{key}.b": "x"})
    await session.get(
        "/settings", view=lambda settings: {name: settings[name] for name in settings if name.startswith(key)}
    )
    await session.request(f"POST {one}", data=b"zzz", as_line=f"POST {one} zzz")
    await session.request("POST /settings", json=[1], as_line="POST /settings [1]")
    await session.request(f"POST /api{one}", as_line=f"POST /api{one} without a body")
    await session.get(f"/api{one}")


@family.scenario
async def userdata_files(session: Session) -> None:
    """User files are written, listed, moved and deleted."""
    folder = session.tag
    file = f"/userdata/{folder}%2Fa.json"
    await session.get(f"{file}")
    await session.request(f"POST {file}", data=b'{"x":1}')
    await session.get(f"{file}")
    await session.request(f"POST {file}?overwrite=false", data=b"2")
    await session.request(f"POST {file}?overwrite=true&full_info=true", data=b"22", view=_facts)
    for more in ("", "&full_info=true", "&split=true"):
        await session.get(f"/userdata?dir={folder}{more}")
    await session.request(f"POST /userdata/{folder}%2Fs%2Fb.txt", data=b"b")
    for more in ("", "&split=true"):
        await session.get(f"/userdata?dir={folder}&recurse=true{more}", view=sorted)
    for query in (f"?path={folder}", f"?path={folder}%2Fa.json", "?path=nosuch", "?path=../.."):
        await session.get(f"/v2/userdata{query}")
    await session.get("/v2/userdata", view=lambda found: type(found).__name__)
    first, second, third = (f"{folder}%2F{name}" for name in ("a.json", "c.json", "d.json"))
    deep = f"{folder}%2Fs%2Fb.txt"
    await session.request(f"POST /userdata/{first}/move/{second}")
    await session.get(f"/userdata/{first}")
    await session.request(f"POST /userdata/{second}/move/{deep}?overwrite=false")
    await session.request(f"POST /userdata/{second}/move/{third}?full_info=true", view=sorted)
    await session.request(f"POST /userdata/nosuch{folder}/move/x")
    for file in (third, third, deep):
        await session.request(f"DELETE /userdata/{file}")


def _facts(info: dict[str, Any]) -> dict[str, Any]:
    """Keep the path and the size; reduce the times to their types."""
    return {key: value if key in ("path", "size") else type(value).__name__ for key, value in info.items()}


@family.scenario
async def userdata_errors(session: Session) -> None:
    """Folders that are missing or outside the user's folder are refused."""
    for query in ("", "?dir=", f"?dir=nosuchdir_{session.tag}", "?dir=../..", "?dir=/etc"):
        await session.get(f"/userdata{query}")
    for file in ("..%2F..%2Fx", "%2Fetc%2Fpasswd", "a/b"):
        await session.get(f"/userdata/{file}")
    await session.request("POST /userdata/..%2F..%2Fx", data=b"1")
    await session.request("DELETE /userdata/..%2Fx")
    await session.request("PUT /userdata/x", data=b"1")
