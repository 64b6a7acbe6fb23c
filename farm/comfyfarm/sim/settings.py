"""The settings of one instance: the part of its configuration that the simulation reads."""

import re
from typing import Annotated, Literal

import msgspec

from comfyfarm.sim.distributions import Distribution
from comfyfarm.units import Size

LIVE = msgspec.Meta(extra={"live": True})
"""Marks a field that may change while the instance runs (``PATCH /api/instances/{name}``)."""

Mode = Literal["static", "dynamic"]
Naming = Literal["counter", "prompt_id", "timestamp"]
PreviewMethod = Literal["none", "auto", "latent2rgb", "taesd"]
Validation = Literal["strict", "lenient", "off"]


class Timing(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The durations of one machine; each is fixed or a distribution (docs/timing.md).

    :ivar step: one sampling step of one picture of 512 x 512; larger pictures and batches take in proportion.
    :ivar node: any node, without its steps, models and pictures.
    :ivar megapixel: a million pixels that a node makes of other pictures, unless ``nodes`` has its type.
    :ivar save: one picture that is written or sent.
    :ivar nodes: by node type, instead of ``node``.
    :ivar boot: from the start of the instance until it listens.
    :ivar load_per_gb: the load of a model into memory, for each gigabyte.
    :ivar unload: the unload of a model.
    :ivar upload: the upload of a file, before the answer.
    :ivar jitter: random deviation of each duration at most, as a share of it: 0.1 is 10 % either way.
    :ivar under_load: slowdown of the running job for each waiting job, as a share.
    """

    step: Distribution = Distribution.fixed(15)
    node: Distribution = Distribution.fixed(3)
    megapixel: Distribution = Distribution.fixed(40)
    save: Distribution = Distribution.fixed(10)
    nodes: dict[str, Distribution] = {}
    boot: Distribution = Distribution.fixed(0)
    load_per_gb: Distribution = Distribution.fixed(0)
    unload: Distribution = Distribution.fixed(0)
    upload: Distribution = Distribution.fixed(0)
    jitter: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.0
    under_load: Annotated[float, msgspec.Meta(ge=0, le=100)] = 0.0

    def node_span(self, class_type: str) -> Distribution:
        return self.nodes.get(class_type, self.node)


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The treatment of jobs by an instance.

    :ivar mode: ``static``: every output names the input picture and nothing is written; ``dynamic``: a new file
        for every picture.
    :ivar naming: the part that makes a dynamic file's name unique.
    :ivar validation: ``strict`` refuses what ComfyUI refuses; ``lenient`` lets unknown node types, unknown
        names and missing input files pass; ``off`` lets any object of nodes pass.
    :ivar api_key_required: whether API nodes fail if the client has sent no key for ComfyUI's API.
    :ivar output_node: the one node id under which all outputs of a job are reported, instead of their own;
        ``None`` for ComfyUI's behaviour.
    :ivar preview_method: the server's default for pictures while sampling.
    :ivar vram: memory for models; ``None`` for no limit.
    :ivar warm: the names of the models that are in memory from the start.
    :ivar cache: which results outlive a job: ``none``, ``ram`` (ComfyUI's own default), ``classic`` or ``lru:N``.
    :ivar history_limit: number of ended jobs that are kept.
    """

    mode: Annotated[Mode, LIVE] = "static"
    naming: Annotated[Naming, LIVE] = "counter"
    validation: Annotated[Validation, LIVE] = "strict"
    api_key_required: Annotated[bool, LIVE] = False
    output_node: Annotated[str | None, LIVE] = None
    preview_method: Annotated[PreviewMethod, LIVE] = "none"
    vram: Annotated[Size | None, LIVE] = None
    warm: tuple[str, ...] = ()
    cache: Annotated[str, LIVE] = "none"
    history_limit: Annotated[int, LIVE] = 10_000
    timing: Annotated[Timing, LIVE] = Timing()

    def __post_init__(self) -> None:
        if not re.fullmatch(r"none|ram|classic|lru:[1-9]\d*", self.cache):
            raise ValueError(f'cache: expected "none", "ram", "classic" or "lru:N", got {self.cache!r}')
        if self.history_limit < 1:
            raise ValueError(f"history_limit: expected at least 1, got {self.history_limit}")
