"""The farm's own API, on a port of its own: never on an instance, which must look like ComfyUI alone."""
