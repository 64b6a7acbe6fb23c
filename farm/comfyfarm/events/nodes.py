"""Events of the nodes of a running job, their previews and their files."""

from typing import Any

import msgspec

from comfyfarm.events.base import Event, Folder


class NodeStarted(Event, frozen=True, kw_only=True):
    """A node began to run.

    :ivar parent: the node that has put it into the job while it ran; empty for a node of the prompt.
    """

    prompt_id: str
    node: str
    class_type: str
    parent: str = ""


class Preview(msgspec.Struct, frozen=True):
    """A preview picture that is sent with a progress message.

    :ivar image_type: ``image/jpeg`` or ``image/png``.
    :ivar colour: ``0xRRGGBB`` if all its pixels have this colour, else ``None``.
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
    """A node sent a picture over the websocket, with its progress."""

    prompt_id: str
    node: str
    value: int
    max: int
    preview: Preview

    @property
    def is_result(self) -> bool:
        """True for a picture of ``SaveImageWebsocket``; the previews of samplers are JPEGs."""
        return self.preview.image_type == "image/png"


class TextSent(Event, frozen=True, kw_only=True):
    """A node sent a text to all websockets, not only to that of the job's client."""

    prompt_id: str
    node: str
    text: str


class Written(Event, frozen=True, kw_only=True):
    """A picture was written.

    :ivar size_bytes: 0 in logs of early versions.
    """

    prompt_id: str
    node: str
    folder: Folder
    subfolder: str
    name: str
    size_bytes: int = 0


class FileRemoved(Event, frozen=True, kw_only=True):
    """A fault removed a job's file; ``FileAppeared`` follows if the fault only delays it."""

    prompt_id: str
    node: str
    folder: Folder
    subfolder: str
    name: str


class FileAppeared(Event, frozen=True, kw_only=True):
    """A file that a fault delayed is available now."""

    prompt_id: str
    node: str
    folder: Folder
    subfolder: str
    name: str


class FileCut(Event, frozen=True, kw_only=True):
    """A fault truncated a job's file to this size."""

    prompt_id: str
    node: str
    folder: Folder
    subfolder: str
    name: str
    size_bytes: int


class NodeFinished(Event, frozen=True, kw_only=True):
    """A node finished, or its cached output was shown again.

    :ivar output: ComfyUI's ``ui`` dictionary; ``None`` if the node shows nothing.
    :ivar shown_as: the node id that clients receive; differs from ``node`` if ``output_node`` names another.
    :ivar cached: it did not run.
    """

    prompt_id: str
    node: str
    shown_as: str
    output: dict[str, Any] | None = None
    cached: bool = False
