"""Uploads, masks, and everything that /view can do."""

from __future__ import annotations

import json
from io import BytesIO
from typing import Any

from PIL import Image

from comfyfarm.conformance.scenario import Family
from comfyfarm.conformance.visit import Session

family = Family("files", "uploads, masks, and everything that /view can do")

_TOO_MANY_BYTES = 100 * 1024 * 1024 + 10


def _png(edge: int = 8, alpha: int | None = None) -> bytes:
    """A red square."""
    file = BytesIO()
    image = Image.new("RGB", (edge, edge), (255, 0, 0))
    if alpha is not None:
        image.putalpha(alpha)
    image.save(file, "PNG")
    return file.getvalue()


@family.scenario
async def upload_image_basic(visit: Session) -> None:
    """The same content keeps its name, other content gets a new one; overwrite must be "true" or "1"."""
    name = f"{visit.tag}.png"
    for edge in (8, 8, 9, 9, 10):
        await visit.upload(name, _png(edge))
    for edge, overwrite in ((11, "true"), (12, "1"), (13, "false"), (14, "True")):
        await visit.upload(name, _png(edge), overwrite=overwrite)
    await visit.ask(f"GET /view?filename={name}&type=input")


@family.scenario
async def upload_image_places(visit: Session) -> None:
    """Subfolders and types, and a body that is no form."""
    tag, name = visit.tag, f"{visit.tag}.png"
    for subfolder in (f"sub_{tag}", f"a_{tag}/b"):
        await visit.upload(name, _png(), subfolder=subfolder)
    for kind in ("temp", "output", "input", "bogus"):
        await visit.upload(name, _png(), type=kind)
    await visit.upload(name, _png(), subfolder=f"./x_{tag}//y/")
    for place in (f"type=input&subfolder=sub_{tag}", "type=temp", "type=output"):
        await visit.ask(f"GET /view?filename={name}&{place}")
    await visit.ask("POST /api/upload/image", data=b"", as_line="POST /api/upload/image without a form")


@family.scenario
async def upload_too_large(visit: Session) -> None:
    """No body may be larger than 100 MiB."""
    await visit.ask("POST /prompt", data=bytes(_TOO_MANY_BYTES), as_line="POST /prompt 100 MiB + 10")
    await visit.upload(f"{visit.tag}.bin", bytes(_TOO_MANY_BYTES))
    await visit.ask(f"GET /view?filename={visit.tag}.bin&type=input")


@family.scenario
async def upload_mask(visit: Session) -> None:
    """A mask's alpha is laid over the picture that it names; where that is not there, nothing is written."""
    tag = visit.tag
    await visit.upload(f"{tag}.png", _png())
    await _mask(visit, 1, 100, json.dumps({"filename": f"{tag}.png", "type": "input", "subfolder": ""}), type="input")
    await visit.ask(f"GET /view?filename={tag}_m1.png&type=input")
    await _mask(visit, 2, 0)
    await _mask(visit, 3, 0, json.dumps({"filename": "nope.png", "type": "input"}))
    await visit.ask(f"GET /view?filename={tag}_m3.png&type=input")
    for number, original in ((4, "not json"), (5, json.dumps({"filename": "../x.png"})), (6, "{}")):
        await _mask(visit, number, 0, original)


async def _mask(visit: Session, number: int, alpha: int, original_ref: str | None = None, **fields: Any) -> None:
    named: dict[str, Any] = {} if original_ref is None else {"original_ref": original_ref}
    await visit.upload(f"{visit.tag}_m{number}.png", _png(alpha=alpha), to="/upload/mask", **named, **fields)


@family.scenario
async def view_variants(visit: Session) -> None:
    """Previews, channels, and names that say where they are."""
    name = f"{visit.tag}.png"
    await visit.upload(name, _png(alpha=77), quietly=True)
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
        await visit.ask(f"GET /view?filename={name}&type=input{more}")
    for suffix in ("%20[input]", "[input]", "%20[temp]", "%20[input]&type=bogus"):
        await visit.ask(f"GET /view?filename={name}{suffix}")
    await visit.ask(f"HEAD /view?filename={name}&type=input")
    await visit.ask(f"GET /api/view?filename={name}&type=input")


@family.scenario
async def view_errors_and_traversal(visit: Session) -> None:
    """Names that are missing, wrong, or lead out of their folder."""
    name = f"{visit.tag}.png"
    await visit.upload(name, _png(), quietly=True)
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
        await visit.ask(f"GET /view{query}")


@family.scenario
async def view_range_and_conditional(visit: Session) -> None:
    """Parts of a file, and the file only if it has changed."""
    name = f"{visit.tag}.txt"
    await visit.upload(name, b"0123456789", quietly=True)
    line = f"GET /view?filename={name}&type=input"
    for part in ("0-3", "4-", "-2", "5-99", "99-", "abc", "0-1,3-4"):
        await visit.ask(line, headers={"Range": f"bytes={part}"}, as_line=f"GET /view Range: bytes={part}")
    known = (await visit.peek(line)).headers
    visit.note("what can be asked for again", etag="etag" in known, last_modified="last-modified" in known)
    for header, given in (("If-Modified-Since", "last-modified"), ("If-None-Match", "etag")):
        await visit.ask(line, headers={header: known.get(given, "")}, as_line=f"GET /view {header}")
