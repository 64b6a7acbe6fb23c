"""ComfyUI's HTTP routes, a module for each family.

A route parses, asks, answers.  It is a function of the instance's :class:`~comfyfarm.server.api.ComfyApi` and the
request, registered on ``ComfyApi.app``; importing a module of this package registers its routes.
"""

from __future__ import annotations

from comfyfarm.server.routes import (
    assets,
    cancel,
    extras,
    files,
    info,
    internal,
    models,
    page,
    prompts,
    queue,
    socket,
    userdata,
    users,
)

__all__ = [
    "assets",
    "cancel",
    "extras",
    "files",
    "info",
    "internal",
    "models",
    "page",
    "prompts",
    "queue",
    "socket",
    "userdata",
    "users",
]
