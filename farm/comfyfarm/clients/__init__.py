"""Clients of any ComfyUI server, and of a farm's control server; for blocking code, asyncio and Twisted."""

from typing import TYPE_CHECKING

from comfyfarm import lazy_exports

if TYPE_CHECKING:
    from comfyfarm.clients.comfy import ComfyClient as ComfyClient
    from comfyfarm.clients.comfy_sync import HttpStatusError as HttpStatusError
    from comfyfarm.clients.comfy_sync import SyncComfyClient as SyncComfyClient
    from comfyfarm.clients.control import AsyncFarmControl as AsyncFarmControl
    from comfyfarm.clients.control import FarmControl as FarmControl
    from comfyfarm.clients.control import SyncFarmControl as SyncFarmControl
    from comfyfarm.clients.websocket import ComfyWebSocket as ComfyWebSocket
    from comfyfarm.clients.websocket import Message as Message
else:
    __all__, __getattr__ = lazy_exports(
        __name__,
        {
            "clients.comfy": ["ComfyClient"],
            "clients.comfy_sync": ["HttpStatusError", "SyncComfyClient"],
            "clients.control": ["AsyncFarmControl", "FarmControl", "SyncFarmControl"],
            "clients.websocket": ["ComfyWebSocket", "Message"],
        },
    )
