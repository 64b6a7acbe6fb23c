"""What a node rule answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from comfyfarm.events.base import Folder
from comfyfarm.sim.values import Latent, Picture


@dataclass(frozen=True)
class Save:
    """Files to be written.

    :ivar picture: what they show, one file for each picture; of a sound, a latent or a body only the number counts.
    :ivar prefix: ComfyUI's ``filename_prefix``; ``None`` for a preview under a temporary name.
    :ivar suffix: of the file name, ``.png`` or another; says what bytes the file holds.
    :ivar animated: all pictures go into one file.
    :ivar key: under which the node shows the files.
    """

    picture: Picture
    folder: Folder
    prefix: str | None
    suffix: str = ".png"
    animated: bool = False
    key: str = "images"


@dataclass(frozen=True)
class NodeOutcome:
    """What a node comes to.

    :ivar values: by output slot.
    :ivar steps: how many steps it reports progress for; 0 for none.
    :ivar latent: what it samples, for the size of previews.
    :ivar saves: files that it writes; several under one key are shown as one list.
    :ivar sends: pictures that it sends over the websocket instead.
    :ivar ui: what it shows apart from files, or ``None`` for nothing.
    :ivar text: what it tells every websocket while it runs.
    """

    values: tuple[Any, ...] = ()
    steps: int = 0
    latent: Latent | None = None
    saves: tuple[Save, ...] = ()
    sends: Picture | None = None
    ui: Mapping[str, Any] | None = None
    text: str | None = None


def merged(outcomes: list[NodeOutcome], values: tuple[Any, ...]) -> NodeOutcome:
    """What several runs of one node come to."""
    shown = [outcome.ui for outcome in outcomes if outcome.ui is not None]
    keys = dict.fromkeys(key for ui in shown for key in ui)
    sent = [outcome.sends for outcome in outcomes if outcome.sends is not None]
    return NodeOutcome(
        values=values,
        steps=sum(outcome.steps for outcome in outcomes),
        latent=next((outcome.latent for outcome in outcomes if outcome.latent is not None), None),
        saves=tuple(save for outcome in outcomes for save in outcome.saves),
        sends=sent[0].showing(look for each in sent for look in each.looks) if sent else None,
        ui={key: [item for ui in shown for item in ui.get(key, ())] for key in keys} if shown else None,
        text=outcomes[-1].text,
    )
