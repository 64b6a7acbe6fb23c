"""ComfyUI's wire: its HTTP routes, its websocket, its files."""
