"""ComfyUI's HTTP routes, one module for each family.

A route is a function of the instance's :class:`~comfyfarm.server.api.ComfyApi` and the request.  It parses the request,
calls the simulation or the files, and answers.  Importing a module registers its routes on ``ComfyApi.app``.
"""

from comfyfarm.server.routes import extras, files, info, internal, page, prompts, queue, socket, users

__all__ = ["extras", "files", "info", "internal", "page", "prompts", "queue", "socket", "users"]
