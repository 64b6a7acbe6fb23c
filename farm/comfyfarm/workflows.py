"""Standard workflows."""

from collections.abc import Callable
from typing import Any


def text_to_image(
    seed: int = 0,
    prompt: str = "a barn",
    prefix: str = "ComfyUI",
    *,
    width: int = 512,
    height: int = 512,
    steps: int = 20,
    batch_size: int = 1,
) -> dict[str, Any]:
    """Return ComfyUI's standard text-to-image workflow, in the form that ``POST /prompt`` takes.

    Node ``"9"`` saves the pictures: ``batch_size`` files whose names begin with ``prefix``, which may contain
    subfolders and tokens (``"%year%/barn"``).  ``width`` and ``height`` are in pixels.  Each call returns a new
    dictionary, which the caller may change.
    """
    return {
        "3": {
            "class_type": "KSampler",
            "inputs": {
                "seed": seed,
                "steps": steps,
                "cfg": 7.0,
                "sampler_name": "euler",
                "scheduler": "normal",
                "denoise": 1.0,
                "model": ["4", 0],
                "positive": ["6", 0],
                "negative": ["7", 0],
                "latent_image": ["5", 0],
            },
        },
        "4": {
            "class_type": "CheckpointLoaderSimple",
            "inputs": {"ckpt_name": "v1-5-pruned-emaonly-fp16.safetensors"},
        },
        "5": {
            "class_type": "EmptyLatentImage",
            "inputs": {"width": width, "height": height, "batch_size": batch_size},
        },
        "6": {"class_type": "CLIPTextEncode", "inputs": {"text": prompt, "clip": ["4", 1]}},
        "7": {"class_type": "CLIPTextEncode", "inputs": {"text": "text, watermark", "clip": ["4", 1]}},
        "8": {"class_type": "VAEDecode", "inputs": {"samples": ["3", 0], "vae": ["4", 2]}},
        "9": {"class_type": "SaveImage", "inputs": {"filename_prefix": prefix, "images": ["8", 0]}},
    }


def two_passes(seed: int = 0, prompt: str = "a barn", prefix: str = "ComfyUI") -> dict[str, Any]:
    """Return a text-to-image workflow that enlarges the latent picture, and samples it a second time."""
    workflow = text_to_image(seed, prompt, prefix)
    first = workflow["3"]["inputs"]
    larger = {"upscale_method": "nearest-exact", "width": 1024, "height": 1024, "crop": "disabled"}
    workflow["10"] = {"class_type": "LatentUpscale", "inputs": {"samples": ["3", 0], **larger}}
    second = {**first, "steps": 10, "denoise": 0.5, "latent_image": ["10", 0]}
    workflow["11"] = {"class_type": "KSampler", "inputs": second}
    workflow["8"]["inputs"]["samples"] = ["11", 0]
    return workflow


BUILT_IN: dict[str, Callable[[int, str], dict[str, Any]]] = {
    "text-to-image": lambda seed, prompt: text_to_image(seed, prompt, width=512, height=768),
    "batch": lambda seed, prompt: text_to_image(seed, prompt, batch_size=4),
    "large": lambda seed, prompt: text_to_image(seed, prompt, width=1024, height=1024, steps=30),
    "two-passes": two_passes,
}
"""Makes each workflow that the command line knows by name, from a seed and a prompt."""
