"""The texts in a file (prompt, workflow, stamp), under keys that every format can hold."""

from collections.abc import Mapping

from comfyfarm.sim.files import FileContent

STAMP_KEYWORD = "comfyfarm"
"""The key of the stamp, a file's proof of origin."""

EXIF_STAMP = 0x0131
"""The tag of the stamp in EXIF: the software's name."""

PREVIEW_COMMENT = b"comfyfarm preview"
"""The comment in the JPEGs that samplers send, by which one that is delivered as a picture is known."""

_LONGEST_KEY = 79


def labels(content: FileContent) -> Mapping[str, str]:
    """Return the texts that ComfyUI writes (prompt and workflow) and the farm's stamp, under plain keys."""
    texts = {_plain_key(key): value for key, value in content.text.items()}
    return texts | {STAMP_KEYWORD: content.stamp}


def utf8(text: str) -> bytes:
    """Encode a text, also one with a lone surrogate."""
    return text.encode("utf-8", "replace")


def _plain_key(key: str) -> str:
    # A client may send any key in extra_pnginfo; a Vorbis comment, the strictest, allows " " to "}" but no "=".
    plain = "".join(letter if " " <= letter <= "}" and letter != "=" else "_" for letter in key)
    return plain[:_LONGEST_KEY] or "text"
