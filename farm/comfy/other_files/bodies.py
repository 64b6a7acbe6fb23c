"""How are the bytes of a mesh put together: glTF (text and binary), OBJ and STL?

Each is one triangle.
"""

from __future__ import annotations

import json
import struct
from base64 import b64encode
from typing import Any

from farm.sim.files import Written

from .labels import comments, labels

__all__ = ["glb", "gltf", "obj", "stl"]

_CORNERS = ((0, 0, 0), (1, 0, 0), (0, 1, 0))
_POINTS = b"".join(struct.pack("<3f", *corner) for corner in _CORNERS)
_FLOAT, _VERTICES = 5126, 34962


def glb(written: Written) -> bytes:
    """One binary file of glTF 2.0; prompt, workflow and stamp are extras of the asset, as ``SaveGLB`` has them."""
    text = json.dumps(_scene(written, {"byteLength": len(_POINTS)})).encode()
    chunks = _chunk(b"JSON", text + b" " * (-len(text) % 4)) + _chunk(b"BIN\0", _POINTS)
    return b"glTF" + struct.pack("<II", 2, 12 + len(chunks)) + chunks


def gltf(written: Written) -> bytes:
    """The same as one text."""
    uri = "data:application/octet-stream;base64," + b64encode(_POINTS).decode()
    return json.dumps(_scene(written, {"byteLength": len(_POINTS), "uri": uri}), indent=1).encode()


def _scene(written: Written, buffer: dict[str, Any]) -> dict[str, Any]:
    size = {"min": [0, 0, 0], "max": [1, 1, 0]}
    return {
        "asset": {"version": "2.0", "generator": "comfyfarm", "extras": labels(written)},
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"mesh": 0}],
        "meshes": [{"primitives": [{"attributes": {"POSITION": 0}}]}],
        "accessors": [{"bufferView": 0, "componentType": _FLOAT, "count": len(_CORNERS), "type": "VEC3", **size}],
        "bufferViews": [{"buffer": 0, "byteLength": len(_POINTS), "target": _VERTICES}],
        "buffers": [buffer],
    }


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack("<I", len(data)) + kind + data


def obj(written: Written) -> bytes:
    """Comments, three points and a face."""
    notes = [f"# {line}" for line in comments(written)]
    points = [f"v {x} {y} {z}" for x, y, z in _CORNERS]
    return "\n".join([*notes, *points, "f 1 2 3", ""]).encode()


def stl(written: Written) -> bytes:
    """The text kind, for a binary one has only 80 bytes for remarks: the stamp is the body's name."""
    *_, stamp = comments(written)
    points = [f"vertex {x} {y} {z}" for x, y, z in _CORNERS]
    facet = ["facet normal 0 0 1", "outer loop", *points, "endloop", "endfacet"]
    return "\n".join([f"solid {stamp}", *facet, "endsolid", ""]).encode()
