"""What does an instance show at ``/`` where ComfyUI's own page is not installed?  Who it is, and how to get that."""

from __future__ import annotations

from functools import cache
from html import escape
from importlib.resources import files
from string import Template
from urllib.parse import quote

from comfyfarm.config import InstanceConfig
from comfyfarm.server.http.answer import Answer

# A range is promised, as it is of the real page; whoever asks for one gets the whole, which is as right.
_HEADERS = (("Content-Type", "text/html"), ("Accept-Ranges", "bytes"))

_MODES = {
    "static": "every job answers with this picture, and no file is written",
    "dynamic": "every job writes a new picture under a name of its own",
}


def welcome(config: InstanceConfig, picture_name: str) -> Answer:
    """The small page of one instance.

    :param picture_name: of the input picture.
    """
    facts = {
        "name": config.name,
        "mode": config.mode,
        "meaning": _MODES[config.mode],
        "version": config.comfyui_version,
        "picture": quote(picture_name),
    }
    page = _template().substitute({key: escape(value) for key, value in facts.items()})
    return Answer(200, _HEADERS, page.encode())


@cache
def _template() -> Template:
    return Template(files("comfyfarm.config.recorded").joinpath("welcome.html").read_text("utf-8"))
