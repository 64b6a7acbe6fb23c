"""What a farm's description says, with its defaults."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from comfyfarm.config.scenarios.scenario import Scenario
from comfyfarm.faults.fault import Fault
from comfyfarm.sim.catalogue.declared import DeclaredType
from comfyfarm.sim.catalogue.models import Model, check_sizes
from comfyfarm.sim.settings import LIVE, Settings
from comfyfarm.units import Size

_FIRST_PORT = 8188


class FarmSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """``[farm]``.

    :ivar host: where every port is bound; anything but loopback is a deliberate choice.
    :ivar control_port: of the control server; 0 for any free port.
    :ivar seed: decides every draw; ``None``: one is drawn, and told in the log.
    :ivar clock: ``real``: time passes by itself; ``virtual``: it stands until it is moved.
    :ivar speed: how many simulated seconds pass in a real one.
    :ivar data_dir: where each instance's folders live; ``None``: a fresh temporary folder.
    :ivar log: a file that takes every event as a line of JSON; ``None`` for none.
    :ivar fault_headers: whether a client may bring a fault for its one request, in ``X-Comfyfarm-Fault``.
    """

    host: str = "127.0.0.1"
    control_port: int = 8180
    seed: int | None = None
    clock: Literal["real", "virtual"] = "real"
    speed: float = 1.0
    data_dir: str | None = None
    log: str | None = None
    fault_headers: bool = False


class InstanceConfig(Settings, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """``[[instance]]``: one ComfyUI.

    :ivar port: 0 for any free port.
    :ivar input: the input picture; ``None``: the one that ships with the package.
    :ivar output_dir: where dynamic files go; ``None``: a folder of its own under ``data_dir``.
    :ivar keep_outputs: whether the files stay when the farm stops.
    :ivar models: the exact model files by folder, each with its size or without; a folder that is not named is open.
    :ivar open_models: whether the folders that ``models`` does not name take any file name; else they are empty.
    :ivar missing_nodes: node types that it does not have, although its catalogue does.
    :ivar node_types: those that it has beside its catalogue, or instead.
    :ivar object_info: a real server's ``/object_info`` in a file, instead of the catalogue that ships with us.
    :ivar captured: a directory that ``comfyfarm capture`` wrote: a real server's node types, models and facts.
    :ivar comfyui_version: which ComfyUI it is; what it can do follows the nearest version we know.
    :ivar enable_cors: the origin that web pages may come from, ``True`` for any; ``False``: only its own.
    :ivar max_upload_size: of any body.
    :ivar multi_user: whether it keeps settings and files by user.
    """

    name: str = "comfyui"
    port: int = _FIRST_PORT
    input: str | None = None
    output_dir: str | None = None
    keep_outputs: Annotated[bool, LIVE] = False
    models: Annotated[dict[str, tuple[Model, ...]], LIVE] = {}  # noqa: RUF012 (msgspec copies an empty default)
    open_models: Annotated[bool, LIVE] = True
    missing_nodes: Annotated[tuple[str, ...], LIVE] = ()
    node_types: dict[str, DeclaredType] = {}  # noqa: RUF012
    object_info: str | None = None
    captured: str | None = None
    comfyui_version: str = "0.25.0"
    enable_cors: bool | str = False
    max_upload_size: Size = Size(100 * 1024 * 1024)
    multi_user: bool = False

    def __post_init__(self) -> None:
        """Refuse what contradicts itself, and let declared node types take the time that they say.

        :raises ValueError: naming the key.
        """
        super().__post_init__()
        check_sizes(self.models)
        for index, name in enumerate(self.missing_nodes):
            if name in self.node_types:
                raise ValueError(f"missing_nodes[{index}]: {name!r} is declared in node_types")
        said = {name: each.duration for name, each in self.node_types.items() if each.duration is not None}
        timing = msgspec.structs.replace(self.timing, nodes={**said, **self.timing.nodes})
        msgspec.structs.force_setattr(self, "timing", timing)


class FarmConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The whole farm.

    :ivar instance: in the order of the file; ``count`` and ``profile`` are resolved.
    :ivar fault: what goes wrong on purpose, armed from the start.
    :ivar scenario: what happens on purpose, each thing at its moment; its settings are in ``instance`` already.
    :ivar tables: by instance, which ``[[instance]]`` of the file it comes from; empty where there was no file.
    """

    farm: FarmSettings = FarmSettings()
    instance: tuple[InstanceConfig, ...] = (InstanceConfig(),)
    fault: tuple[Fault, ...] = ()
    scenario: tuple[Scenario, ...] = ()
    tables: tuple[int, ...] = ()

    def place(self, index: int) -> str:
        """Where the file describes an instance, for what is said about it."""
        return f"instance[{self.tables[index] if self.tables else index}]"


class Overrides(msgspec.Struct, frozen=True, kw_only=True):
    """What the command line says over the file; ``None`` where it says nothing.

    :ivar port: of the first instance; the others count up. 0 gives each any free port.
    :ivar disable_static_return: every instance becomes dynamic.
    """

    port: int | None = None
    control_port: int | None = None
    seed: int | None = None
    speed: float | None = None
    data_dir: str | None = None
    disable_static_return: bool = False
