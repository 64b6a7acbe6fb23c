"""Which picture does every instance have beside its own, because every real server has it?"""

from __future__ import annotations

from contextlib import suppress

from comfyfarm.server.files.disk import Disk
from comfyfarm.server.media.pictures import ImageRenderer
from comfyfarm.sim.values import Picture

EXAMPLE = "example.png"
_LONGER_SIDE = 256


def bring_example(disk: Disk, renderer: ImageRenderer) -> None:
    """Put a small copy of the input picture into ``input``; a user's own file of that name stays."""
    width, height = renderer.size
    scale = min(1.0, _LONGER_SIDE / max(width, height))
    small = Picture(max(1, round(width * scale)), max(1, round(height * scale)))
    with suppress(FileExistsError):
        disk.bring(EXAMPLE, renderer.preview_png(small))
