"""A farm of mock ComfyUI servers."""
