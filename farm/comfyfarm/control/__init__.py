"""The farm's own API.  It has a port of its own, since an instance must look like ComfyUI only."""
