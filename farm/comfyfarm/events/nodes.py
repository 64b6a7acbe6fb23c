"""What a node of the running job does, what it shows, and what becomes of its files."""

from __future__ import annotations

from typing import Any

import msgspec

from comfyfarm.events.base import Event, Folder


class NodeStarted(Event, frozen=True, kw_only=True):
    """The job reached a node."""

    prompt_id: str
    node: str
    class_type: str


class Preview(msgspec.Struct, frozen=True):
    """A picture of the work so far, sent along with a progress message.

    :ivar image_type: ``image/jpeg`` or ``image/png``.
    :ivar colour: ``0xRRGGBB`` where it is all of one colour, else ``None``.
    """

    width: int
    height: int
    image_type: str
    colour: int | None = None


class Progressed(Event, frozen=True, kw_only=True):
    """A node finished one of its steps."""

    prompt_id: str
    node: str
    value: int
    max: int


class PictureSent(Event, frozen=True, kw_only=True):
    """A node shows a picture over the websocket, with its progress."""

    prompt_id: str
    node: str
    value: int
    max: int
    preview: Preview


class TextSent(Event, frozen=True, kw_only=True):
    """A node shows a text over the websocket (to every socket, whoever submitted the job)."""

    prompt_id: str
    node: str
    text: str


class Written(Event, frozen=True, kw_only=True):
    """A picture was written."""

    prompt_id: str
    node: str
    folder: Folder
    subfolder: str
    name: str


class FileRemoved(Event, frozen=True, kw_only=True):
    """A fault took a job's file away; ``FileAppeared`` follows where it was only late."""

    prompt_id: str
    node: str
    folder: Folder
    subfolder: str
    name: str


class FileAppeared(Event, frozen=True, kw_only=True):
    """A file that a fault kept back is there now."""

    prompt_id: str
    node: str
    folder: Folder
    subfolder: str
    name: str


class FileCut(Event, frozen=True, kw_only=True):
    """A fault left only the beginning of a job's file.

    :ivar size_bytes: what is left.
    """

    prompt_id: str
    node: str
    folder: Folder
    subfolder: str
    name: str
    size_bytes: int


class NodeFinished(Event, frozen=True, kw_only=True):
    """A node is done, or its cached output is shown again.

    :ivar output: what it shows to the user (ComfyUI's ``ui``), or ``None``.
    :ivar shown_as: the node id under which clients hear of that; its own unless ``output_node`` names another.
    :ivar cached: it did not run.
    """

    prompt_id: str
    node: str
    shown_as: str
    output: dict[str, Any] | None = None
    cached: bool = False
