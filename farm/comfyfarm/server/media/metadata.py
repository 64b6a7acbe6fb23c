"""What a file says about itself, in words that every format can hold."""

from __future__ import annotations

from collections.abc import Mapping

from comfyfarm.sim.files import FileContent

STAMP_KEYWORD = "comfyfarm"
"""The name under which a file keeps its proof of origin."""

_LONGEST_KEY = 79


def labels(written: FileContent) -> Mapping[str, str]:
    """The texts that ComfyUI writes (prompt and workflow), and our stamp, by names without anything odd."""
    texts = {_plain(key): value for key, value in written.text.items()}
    return texts | {STAMP_KEYWORD: written.stamp}


def utf8(text: str) -> bytes:
    """The bytes of a text, even of one with half a character in it."""
    return text.encode("utf-8", "replace")


def _plain(key: str) -> str:
    # The keys of extra_pnginfo are whatever a client sent; a Vorbis comment, the strictest, has " " to "}" but no "=".
    return (
        "".join(message if " " <= message <= "}" and message != "=" else "_" for message in key)[:_LONGEST_KEY]
        or "text"
    )
