"""Latents (safetensors), drawings (SVG) and meshes (GLB, glTF, OBJ, PLY, STL)."""

import json
import struct
from base64 import b64encode
from typing import Any
from xml.sax.saxutils import escape

from comfyfarm.server.media.metadata import labels
from comfyfarm.sim.files import FileContent

_LATENT_BYTES = 16
_CORNERS = ((0, 0, 0), (1, 0, 0), (0, 1, 0))
_CORNER_TEXTS = tuple(" ".join(map(str, corner)) for corner in _CORNERS)
_POINTS = b"".join(struct.pack("<3f", *corner) for corner in _CORNERS)
_FLOAT, _VERTICES = 5126, 34962


def latent(content: FileContent) -> bytes:
    """Encode a safetensors file as ``SaveLatent`` does: one small tensor, and an empty one that marks the version."""
    empty = {"dtype": "F32", "shape": [0], "data_offsets": [_LATENT_BYTES, _LATENT_BYTES]}
    head = {
        "__metadata__": labels(content),
        "latent_tensor": {"dtype": "F32", "shape": [1, 4, 1, 1], "data_offsets": [0, _LATENT_BYTES]},
        "latent_format_version_0": empty,
    }
    text = json.dumps(head).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + bytes(_LATENT_BYTES)


def svg(content: FileContent) -> bytes:
    """Encode a grey square with the texts as its metadata."""
    texts = json.dumps(labels(content))
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        '<svg xmlns="http://www.w3.org/2000/svg" width="64" height="64" viewBox="0 0 64 64">\n'
        f"<metadata>{escape(texts)}</metadata>\n"
        '<rect width="64" height="64" fill="#808080"/>\n'
        "</svg>\n"
    ).encode()


def glb(content: FileContent) -> bytes:
    """Encode a binary glTF 2.0 file with one triangle; as in ``SaveGLB``, the texts are extras of the asset."""
    text = json.dumps(_scene(content)).encode()
    chunks = _chunk(b"JSON", text + b" " * (-len(text) % 4)) + _chunk(b"BIN\0", _POINTS)
    return b"glTF" + struct.pack("<II", 2, 12 + len(chunks)) + chunks


def gltf(content: FileContent) -> bytes:
    """Encode the scene of :func:`glb` as a glTF file with its data inside."""
    scene = _scene(content)
    scene["buffers"][0]["uri"] = f"data:application/octet-stream;base64,{b64encode(_POINTS).decode()}"
    return json.dumps(scene).encode()


def obj(content: FileContent) -> bytes:
    """Encode a triangle with the texts as a comment; so do the next two functions."""
    return _lines(f"# {_on_one_line(content)}", *(f"v {corner}" for corner in _CORNER_TEXTS), "f 1 2 3")


def ply(content: FileContent) -> bytes:
    return _lines(
        "ply", "format ascii 1.0", f"comment {_on_one_line(content)}",
        f"element vertex {len(_CORNERS)}", "property float x", "property float y", "property float z",
        "element face 1", "property list uchar int vertex_indices", "end_header", *_CORNER_TEXTS, "3 0 1 2",
    )  # fmt: skip


def stl(content: FileContent) -> bytes:
    corners = (f"vertex {corner}" for corner in _CORNER_TEXTS)
    head = f"solid {_on_one_line(content)}"
    return _lines(head, "facet normal 0 0 1", "outer loop", *corners, "endloop", "endfacet", "endsolid")


def _on_one_line(content: FileContent) -> str:
    return json.dumps(labels(content))


def _lines(*lines: str) -> bytes:
    return "\n".join((*lines, "")).encode()


def _scene(content: FileContent) -> dict[str, Any]:
    size = {"min": [0, 0, 0], "max": [1, 1, 0]}
    return {
        "asset": {"version": "2.0", "generator": "comfyfarm", "extras": labels(content)},
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"mesh": 0}],
        "meshes": [{"primitives": [{"attributes": {"POSITION": 0}}]}],
        "accessors": [{"bufferView": 0, "componentType": _FLOAT, "count": len(_CORNERS), "type": "VEC3", **size}],
        "bufferViews": [{"buffer": 0, "byteLength": len(_POINTS), "target": _VERTICES}],
        "buffers": [{"byteLength": len(_POINTS)}],
    }


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack("<I", len(data)) + kind + data
