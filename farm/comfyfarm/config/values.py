"""A farm's configuration as values, with all defaults."""

import re
from ipaddress import ip_address
from typing import Annotated, Literal

import msgspec

from comfyfarm.config.scenarios.scenario import Scenario
from comfyfarm.events.orders import DeliveryMode
from comfyfarm.faults.fault import Fault
from comfyfarm.sim.catalogue.declared import DeclaredType
from comfyfarm.sim.catalogue.models import Model, check_sizes
from comfyfarm.sim.prompt.job_names import JobNames
from comfyfarm.sim.settings import LIVE, Settings
from comfyfarm.units import Size
from comfyfarm.versions import DEFAULT

_FIRST_PORT = 8188
_TOKEN = re.compile(r"[A-Za-z0-9._~-]{8,}")


def is_loopback(host: str) -> bool:
    """Return whether a host name or address reaches no other machine."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class FarmSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """``[farm]``.

    :ivar host: the address that every port is bound to.
    :ivar control: whether there is a control server.
    :ivar advertise_host: the host in the URLs that the farm tells; ``None``: ``host``.
    :ivar control_port: of the control server; 0: any free port.
    :ivar control_token: what its clients have to send; ``None``: nothing if ``host`` is a loopback address, else one is
        drawn, and logged.
    :ivar seed: decides every random draw; ``None``: one is drawn, and logged.
    :ivar clock: ``real``: simulated time passes by itself; ``virtual``: it stands still until it is moved.
    :ivar speed: the simulated seconds in a real one.
    :ivar data_dir: the folder of the instances' folders; ``None``: a new temporary folder.
    :ivar log: a file that gets every event as a line of JSON; ``None``: no file.
    :ivar fault_headers: whether a client may send a fault for its one request in ``X-Comfyfarm-Fault``.
    :ivar journal_bodies: whether headers and bodies of requests are kept in the event log.
    :ivar job_name: where the name of a job is found in a submission that has none of the farm's own.
    :ivar delivery: what counts as delivered, unless a trial says otherwise; ``None``: what the log shows.
    """

    host: str = "127.0.0.1"
    control: bool = True
    advertise_host: str | None = None
    control_port: int = 8180
    control_token: str | None = None
    seed: int | None = None
    clock: Literal["real", "virtual"] = "real"
    speed: float = 1.0
    data_dir: str | None = None
    log: str | None = None
    fault_headers: bool = False
    journal_bodies: bool = False
    job_name: str = "prompt"
    delivery: DeliveryMode | None = None

    def __post_init__(self) -> None:
        JobNames(self.job_name)     # raises if it has none of the known forms
        if self.control_token is not None and not _TOKEN.fullmatch(self.control_token):
            raise ValueError("control_token: expected at least 8 letters, digits or ._~-")

    @property
    def url_host(self) -> str:
        """The host in the URLs that the farm tells."""
        return self.advertise_host or self.host


class InstanceConfig(Settings, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """``[[instance]]``: one ComfyUI.

    :ivar port: 0: any free port.
    :ivar input: the file of the input picture; ``None``: the one that ships with the package.
    :ivar output_dir: the folder of dynamic files; ``None``: a folder of its own under ``data_dir``.
    :ivar keep_outputs: whether the files stay when the farm stops.
    :ivar models: the exact model files by folder, with or without sizes.
    :ivar open_models: whether folders that ``models`` does not name accept any file name; else they are empty.
    :ivar api_nodes: whether it has ComfyUI's API node types, unless they are captured.
    :ivar missing_nodes: node types of the catalogue that the instance does not have.
    :ivar node_types: node types in addition to those of the catalogue, or in place of them.
    :ivar object_info: a file with a real server's ``/object_info``, instead of the catalogue of the package.
    :ivar captured: a directory that ``comfyfarm capture`` has written.
    :ivar comfyui_version: decides the behaviour and the node types, and is reported.
    :ivar enable_cors: the origin that web pages may come from; ``True``: any; ``False``: only the instance's own.
    :ivar max_upload_size: the limit of every request body.
    :ivar multi_user: whether settings and files are kept for each user.
    """

    name: str = "comfyui"
    port: int = _FIRST_PORT
    input: str | None = None
    output_dir: str | None = None
    keep_outputs: Annotated[bool, LIVE] = False
    models: Annotated[dict[str, tuple[Model, ...]], LIVE] = {}  # noqa: RUF012 (msgspec copies an empty default)
    open_models: Annotated[bool, LIVE] = True
    api_nodes: bool = True
    missing_nodes: Annotated[tuple[str, ...], LIVE] = ()
    node_types: dict[str, DeclaredType] = {}  # noqa: RUF012
    object_info: str | None = None
    captured: str | None = None
    comfyui_version: str = DEFAULT
    enable_cors: bool | str = False
    max_upload_size: Size = Size(100 * 1024 * 1024)
    multi_user: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        check_sizes(self.models)
        for index, name in enumerate(self.missing_nodes):
            if name in self.node_types:
                raise ValueError(f"missing_nodes[{index}]: {name!r} is declared in node_types")
        # The durations of declared node types are defaults of timing.nodes.
        durations = {name: kind.duration for name, kind in self.node_types.items() if kind.duration is not None}
        timing = msgspec.structs.replace(self.timing, nodes={**durations, **self.timing.nodes})
        msgspec.structs.force_setattr(self, "timing", timing)


class FarmConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The whole farm.

    :ivar instance: in the order of the file; ``count``, ``profile`` and the settings of scenarios are merged in.
    :ivar fault: the faults that are armed from the start.
    :ivar tables: for each instance, the index of its ``[[instance]]``; empty: there was no file.
    :ivar profiles: for each instance, the name of its ``[profile.NAME]`` or an empty text; empty: there was no file.
    """

    farm: FarmSettings = FarmSettings()
    instance: tuple[InstanceConfig, ...] = (InstanceConfig(),)
    fault: tuple[Fault, ...] = ()
    scenario: tuple[Scenario, ...] = ()
    tables: tuple[int, ...] = ()
    profiles: tuple[str, ...] = ()

    def place(self, index: int) -> str:
        """Return the place of an instance in the file, for error messages."""
        return f"instance[{self.tables[index] if self.tables else index}]"

    def profile(self, index: int) -> str:
        """Return the name of an instance's profile; empty for none."""
        return self.profiles[index] if self.profiles else ""


class Overrides(msgspec.Struct, frozen=True, kw_only=True):
    """The options of the command line that replace values of the file; ``None``: the option is absent.

    :ivar port: of the first instance, the others get consecutive ports; 0: each gets any free port.
    :ivar disable_static_return: every instance becomes dynamic.
    """

    host: str | None = None
    advertise_host: str | None = None
    port: int | None = None
    control_port: int | None = None
    control_token: str | None = None
    seed: int | None = None
    speed: float | None = None
    data_dir: str | None = None
    log: str | None = None
    disable_static_return: bool = False
