"""Uploads, masks and /view."""

import json
from io import BytesIO
from typing import Any

from PIL import Image

from comfyfarm.conformance.scenario import Family
from comfyfarm.conformance.session import Session

family = Family("files")

_RED = (255, 0, 0)
_TOO_MANY_BYTES = 100 * 1024 * 1024 + 10


def png(width: int = 8, height: int = 8, color: tuple[int, int, int] = _RED, alpha: int | None = None) -> bytes:
    """Return a PNG file of one colour; ``alpha`` gives it an alpha channel."""
    file = BytesIO()
    image = Image.new("RGB", (width, height), color)
    if alpha is not None:
        image.putalpha(alpha)
    image.save(file, "PNG")
    return file.getvalue()


@family.scenario
async def upload_image_basic(session: Session) -> None:
    """An upload with the same content keeps its name, other content gets a new one; overwrite is "true" or "1"."""
    name = f"{session.tag}.png"
    for edge in (8, 8, 9, 9, 10):
        await session.upload(name, png(edge, edge))
    for edge, overwrite in ((11, "true"), (12, "1"), (13, "false"), (14, "True")):
        await session.upload(name, png(edge, edge), overwrite=overwrite)
    await session.get(f"/view?filename={name}&type=input")


@family.scenario
async def upload_image_places(session: Session) -> None:
    """Uploads go to subfolders and types; a body that is not a form is refused."""
    tag, name = session.tag, f"{session.tag}.png"
    for subfolder in (f"sub_{tag}", f"a_{tag}/b"):
        await session.upload(name, png(), subfolder=subfolder)
    for kind in ("temp", "output", "input", "bogus"):
        await session.upload(name, png(), type=kind)
    await session.upload(name, png(), subfolder=f"./x_{tag}//y/")
    for place in (f"type=input&subfolder=sub_{tag}", "type=temp", "type=output"):
        await session.get(f"/view?filename={name}&{place}")
    await session.request("POST /api/upload/image", data=b"", as_line="POST /api/upload/image without a form")


@family.scenario
async def upload_too_large(session: Session) -> None:
    """A body over 100 MiB is refused."""
    await session.request("POST /prompt", data=bytes(_TOO_MANY_BYTES), as_line="POST /prompt 100 MiB + 10")
    await session.upload(f"{session.tag}.bin", bytes(_TOO_MANY_BYTES))
    await session.get(f"/view?filename={session.tag}.bin&type=input")


@family.scenario
async def upload_mask(session: Session) -> None:
    """A mask's alpha replaces that of the picture it names; if there is no such picture, nothing is written."""
    tag = session.tag
    await session.upload(f"{tag}.png", png())
    await _mask(session, 1, 100, json.dumps({"filename": f"{tag}.png", "type": "input", "subfolder": ""}), type="input")
    await session.get(f"/view?filename={tag}_m1.png&type=input")
    await _mask(session, 2, 0)
    await _mask(session, 3, 0, json.dumps({"filename": "nope.png", "type": "input"}))
    await session.get(f"/view?filename={tag}_m3.png&type=input")
    for number, original in ((4, "not json"), (5, json.dumps({"filename": "../x.png"})), (6, "{}")):
        await _mask(session, number, 0, original)


async def _mask(session: Session, number: int, alpha: int, original_ref: str | None = None, **fields: Any) -> None:
    original: dict[str, Any] = {} if original_ref is None else {"original_ref": original_ref}
    await session.upload(f"{session.tag}_m{number}.png", png(alpha=alpha), to="/upload/mask", **original, **fields)


@family.scenario
async def view_variants(session: Session) -> None:
    """/view makes previews, extracts channels, and accepts names such as "x.png [input]"."""
    name = f"{session.tag}.png"
    await session.upload(name, png(alpha=77), record=False)
    for more in (
        "",
        "&preview=webp",
        "&preview=jpeg",
        "&preview=webp;50",
        "&preview=jpeg;10",
        "&preview=png",
        "&preview=",
        "&preview=webp;999",
        "&channel=rgb",
        "&channel=a",
        "&channel=rgba",
        "&channel=xyz",
        "&channel=rgb&preview=webp",
        "&channel=a&preview=jpeg",
        "&rand=0.5",
    ):
        await session.get(f"/view?filename={name}&type=input{more}")
    for suffix in ("%20[input]", "[input]", "%20[temp]", "%20[input]&type=bogus"):
        await session.get(f"/view?filename={name}{suffix}")
    await session.request(f"HEAD /view?filename={name}&type=input")
    await session.get(f"/api/view?filename={name}&type=input")


@family.scenario
async def view_errors_and_traversal(session: Session) -> None:
    """/view refuses names that are missing, unknown, or outside their folder."""
    name = f"{session.tag}.png"
    await session.upload(name, png(), record=False)
    for query in (
        "",
        "?filename=",
        "?filename=nope.png",
        "?filename=nope.png&type=input",
        f"?filename={name}&type=bogus",
        "?filename=../example.png&type=input",
        "?filename=..%2Fexample.png&type=input",
        "?filename=/etc/passwd",
        "?filename=%2Fetc%2Fpasswd",
        "?filename=a..b.png&type=input",
        f"?filename={name}&type=input&subfolder=..",
        f"?filename={name}&type=input&subfolder=../input",
        f"?filename={name}&type=input&subfolder=/etc",
        f"?filename={name}&type=input&subfolder=nosuch",
        f"?filename=sub/{name}&type=input",
        f"?filename={name}&type=input&subfolder=.",
        "?filename=[input]",
        "?filename=%20[input]",
        "?type=input",
        f"?filename={name}&type=",
    ):
        await session.get(f"/view{query}")


@family.scenario
async def view_range_and_conditional(session: Session) -> None:
    """/view serves byte ranges, and answers conditional requests."""
    name = f"{session.tag}.txt"
    await session.upload(name, b"0123456789", record=False)
    line = f"GET /view?filename={name}&type=input"
    for part in ("0-3", "4-", "-2", "5-99", "99-", "abc", "0-1,3-4"):
        await session.request(line, headers={"Range": f"bytes={part}"}, as_line=f"GET /view Range: bytes={part}")
    headers = (await session.request(line, record=False)).headers
    session.note("what can be asked for again", etag="etag" in headers, last_modified="last-modified" in headers)
    for header, validator in (("If-Modified-Since", "last-modified"), ("If-None-Match", "etag")):
        await session.request(line, headers={header: headers.get(validator, "")}, as_line=f"GET /view {header}")
