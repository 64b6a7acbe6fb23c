"""A farm of mock ComfyUI servers."""

__all__ = ["__version__"]

__version__ = "0.1.0"
