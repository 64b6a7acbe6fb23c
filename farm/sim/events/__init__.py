"""What happens in a farm, as frozen facts.

Each carries its own simulated time; the log adds ``seq`` when it is published.  Ports, paths of the machine and
wall-clock times are left out on purpose: two equal runs give equal logs.
"""

from .base import Event, snake_case
from .clients import Freed, HistoryDeleted, InterruptAsked, QueueCleared, QueueDeleted, Uploaded
from .farm import (
    ClockChanged,
    ClockMoved,
    Configured,
    ModelLoaded,
    ModelUnloaded,
    Paused,
    Reset,
    Resumed,
    ServerStarted,
    ServerStopped,
    SettingsChanged,
)
from .jobs import Cached, Failed, Finished, Interrupted, PromptRefused, Started, Submitted, Succeeded, Taken
from .nodes import NodeFinished, NodeStarted, PictureSent, Preview, Progressed, TextSent, Written
from .wire import Exchanged, FrameSent, SocketClosed, SocketOpened

__all__ = [
    "Cached",
    "ClockChanged",
    "ClockMoved",
    "Configured",
    "Event",
    "Exchanged",
    "Failed",
    "Finished",
    "FrameSent",
    "Freed",
    "HistoryDeleted",
    "InterruptAsked",
    "Interrupted",
    "ModelLoaded",
    "ModelUnloaded",
    "NodeFinished",
    "NodeStarted",
    "Paused",
    "PictureSent",
    "Preview",
    "Progressed",
    "PromptRefused",
    "QueueCleared",
    "QueueDeleted",
    "Reset",
    "Resumed",
    "ServerStarted",
    "ServerStopped",
    "SettingsChanged",
    "SocketClosed",
    "SocketOpened",
    "Started",
    "Submitted",
    "Succeeded",
    "Taken",
    "TextSent",
    "Uploaded",
    "Written",
    "snake_case",
]
