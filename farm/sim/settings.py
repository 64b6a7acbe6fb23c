"""How one instance behaves: the part of its configuration that the simulation reads."""

from __future__ import annotations

import re
from typing import Literal

import msgspec

from .units import Duration

__all__ = ["Mode", "Naming", "Settings", "Timing", "Validation"]

Mode = Literal["static", "dynamic"]
Naming = Literal["counter", "prompt_id", "timestamp"]
PreviewMethod = Literal["none", "auto", "latent2rgb", "taesd"]
Validation = Literal["strict", "lenient", "off"]


class Timing(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How long things take on this machine.

    :ivar step: one sampling step.
    :ivar node: any node, sampling and saving apart.
    :ivar save: one picture written or shown.
    :ivar nodes: by node type, instead of ``node``; for a sampler, beside its steps.
    """

    step: Duration = Duration(15)
    node: Duration = Duration(3)
    save: Duration = Duration(10)
    nodes: dict[str, Duration] = {}

    def node_ms(self, class_type: str) -> int:
        """How long one node of this type takes, its steps and pictures apart."""
        return self.nodes.get(class_type, self.node)


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What an instance does with a job.

    :ivar mode: ``static``: every output names the input picture and nothing is written; ``dynamic``: a new file
        for every picture.
    :ivar naming: what makes a dynamic file's name unique.
    :ivar validation: ``strict`` refuses what ComfyUI refuses; ``lenient`` lets unknown node types and names pass;
        ``off`` lets any object of nodes pass.
    :ivar output_node: the one node id under which all outputs of a job are reported, whatever the workflow says;
        ``None`` for ComfyUI's way.
    :ivar preview_method: the server's default for pictures while sampling.
    :ivar cache: which results outlive a job: ``none``, ``ram`` (ComfyUI's own default), ``classic`` or ``lru:N``.
    :ivar history_limit: how many ended jobs are remembered.
    """

    mode: Mode = "static"
    naming: Naming = "counter"
    validation: Validation = "strict"
    output_node: str | None = None
    preview_method: PreviewMethod = "none"
    cache: str = "none"
    history_limit: int = 10_000
    timing: Timing = Timing()

    def __post_init__(self) -> None:
        """Refuse what the types cannot.

        :raises ValueError: where a value is none of those that are taken.
        """
        if not re.fullmatch(r"none|ram|classic|lru:[1-9]\d*", self.cache):
            raise ValueError(f'cache: expected "none", "ram", "classic" or "lru:N", got {self.cache!r}')
        if self.history_limit < 1:
            raise ValueError(f"history_limit: expected at least 1, got {self.history_limit}")
