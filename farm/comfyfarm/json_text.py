"""JSON with exactly the text of Python's ``json.dumps``, which is that of ComfyUI.

``json.dumps`` itself makes an encoder for each call, which takes three times as long as to encode a small value.
"""

import json
from collections.abc import Callable
from typing import Any


def text_encoder(*, sort_keys: bool = False) -> Callable[[Any], str]:
    """Return what encodes JSON values; a value must not contain itself."""
    slow = json.JSONEncoder(sort_keys=sort_keys)
    make: Any = getattr(json.encoder, "c_make_encoder", None)
    if make is None:    # a Python without the extension in C
        return slow.encode
    pieces = make(
        None,       # no look-out for values that contain themselves
        slow.default,
        json.encoder.encode_basestring_ascii,
        None,
        slow.key_separator,
        slow.item_separator,
        sort_keys,
        slow.skipkeys,
        slow.allow_nan,
    )
    return lambda value: "".join(pieces(value, 0))


encode_text = text_encoder()
"""Encodes a JSON value."""
