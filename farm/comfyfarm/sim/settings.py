"""How one instance behaves: the part of its configuration that the simulation reads."""

from __future__ import annotations

import re
from typing import Annotated, Literal

import msgspec

from comfyfarm.sim.distributions import Distribution
from comfyfarm.units import Size

LIVE = msgspec.Meta(extra={"live": True})
"""Stands at a field that may change while the instance runs (``PATCH /api/instances/{name}``)."""

Mode = Literal["static", "dynamic"]
Naming = Literal["counter", "prompt_id", "timestamp"]
PreviewMethod = Literal["none", "auto", "latent2rgb", "taesd"]
Validation = Literal["strict", "lenient", "off"]


class Timing(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How long things take on this machine; each a duration or a distribution (docs/timing.md).

    :ivar step: one sampling step of one picture of 512 x 512; larger pictures and batches take in proportion.
    :ivar node: any node, its steps, models and pictures apart.
    :ivar save: one picture written or sent.
    :ivar nodes: by node type, instead of ``node``.
    :ivar boot: from the start of the instance until it listens.
    :ivar load_per_gb: a model's way into memory, for each gigabyte.
    :ivar unload: a model's way out.
    :ivar upload: a file's way in, before its answer.
    :ivar jitter: how far any of them may be off by chance, as a share of it: 0.1 is 10 % either way.
    :ivar under_load: by how much each waiting job slows the running one, as a share.
    """

    step: Distribution = Distribution.fixed(15)
    node: Distribution = Distribution.fixed(3)
    save: Distribution = Distribution.fixed(10)
    nodes: dict[str, Distribution] = {}
    boot: Distribution = Distribution.fixed(0)
    load_per_gb: Distribution = Distribution.fixed(0)
    unload: Distribution = Distribution.fixed(0)
    upload: Distribution = Distribution.fixed(0)
    jitter: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.0
    under_load: Annotated[float, msgspec.Meta(ge=0, le=100)] = 0.0

    def node_span(self, class_type: str) -> Distribution:
        """How long one node of this type takes, its steps, models and pictures apart."""
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
    :ivar vram: how much the models in use may take together; ``None``: more than anybody needs.
    :ivar warm: the names of the models that are in memory from the start.
    :ivar cache: which results outlive a job: ``none``, ``ram`` (ComfyUI's own default), ``classic`` or ``lru:N``.
    :ivar history_limit: how many ended jobs are remembered.
    """

    mode: Annotated[Mode, LIVE] = "static"
    naming: Annotated[Naming, LIVE] = "counter"
    validation: Annotated[Validation, LIVE] = "strict"
    output_node: Annotated[str | None, LIVE] = None
    preview_method: Annotated[PreviewMethod, LIVE] = "none"
    vram: Annotated[Size | None, LIVE] = None
    warm: tuple[str, ...] = ()
    cache: Annotated[str, LIVE] = "none"
    history_limit: Annotated[int, LIVE] = 10_000
    timing: Annotated[Timing, LIVE] = Timing()

    def __post_init__(self) -> None:
        """Refuse what the types cannot.

        :raises ValueError: where a value is none of those that are taken.
        """
        if not re.fullmatch(r"none|ram|classic|lru:[1-9]\d*", self.cache):
            raise ValueError(f'cache: expected "none", "ram", "classic" or "lru:N", got {self.cache!r}')
        if self.history_limit < 1:
            raise ValueError(f"history_limit: expected at least 1, got {self.history_limit}")
