"""A standard workflow."""

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
