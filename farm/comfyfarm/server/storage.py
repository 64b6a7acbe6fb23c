"""The part of an instance that outlives its processes."""

from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Self, get_args

from comfyfarm.config import InstanceConfig
from comfyfarm.config.recorded import DEFAULT_PICTURE
from comfyfarm.events.base import Folder
from comfyfarm.seeds import Seeds
from comfyfarm.server.context import FarmContext
from comfyfarm.server.files.disk import Disk
from comfyfarm.server.files.users import Users
from comfyfarm.server.media.pictures import ImageRenderer
from comfyfarm.server.time.turns import at_once
from comfyfarm.sim.naming import Namer
from comfyfarm.versions import behaviour_of


@dataclass(eq=False)
class InstanceStorage:
    """The part of an instance that all its processes use: folders, users, file name counters, random streams.

    :ivar seeds: the instance's own.
    :ivar ids: the random stream of prompt ids.
    :ivar sids: the random stream of the ids of websocket clients that name none.
    :ivar picture_name: the file name of the input picture.
    """

    seeds: Seeds
    ids: Random
    sids: Random
    disk: Disk
    namer: Namer
    users: Users
    renderer: ImageRenderer
    picture_name: str

    @classmethod
    def of(cls, config: InstanceConfig, context: FarmContext, renderer: ImageRenderer) -> Self:
        """Make the storage of an instance; nothing is written yet."""
        folder, seeds = context.data_dir / config.name, context.seeds.of(config.name)
        output_dir = Path(config.output_dir) if config.output_dir else folder / "output"
        disk = Disk(folder / "input", output_dir, folder / "temp", renderer)
        return cls(
            seeds=seeds,
            ids=seeds.stream("prompt_id"),
            sids=seeds.stream("sid"),
            disk=disk,
            namer=Namer(disk, config.naming, seeds.stream("temp_letters"), behaviour_of(config.comfyui_version)),
            users=Users(folder, config.multi_user, seeds.stream("users"), behaviour_of(config.comfyui_version)),
            renderer=renderer,
            picture_name=Path(config.input).name if config.input else DEFAULT_PICTURE,
        )

    @property
    def static_name(self) -> str:
        """The name of a static instance's picture: a client that joins it to ``output_dir`` finds the file."""
        return f"../input/{self.picture_name}"

    def prepare(self) -> None:
        """Make the folders and write the pictures that are there from the start."""
        for folder in get_args(Folder):
            self.disk.make_directory(folder, "")
        self.disk.provide(self.picture_name, self.renderer.input_picture)
        self.disk.provide_example()

    def tidy(self, *, keep_uploads: bool = False) -> Generator[None, None, None]:
        """Remove the files that end with a process, in steps: temporary ones, and uploads unless they are kept."""
        yield from self.disk.empty_temp()
        if not keep_uploads:
            yield from self.disk.remove_uploads()

    def clear(self, *, keep_outputs: bool) -> None:
        """Remove every file that the instance has written."""
        self.users.remove_files()
        if keep_outputs:
            at_once(self.tidy())
        else:
            self.disk.remove_all()
