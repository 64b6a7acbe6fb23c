"""A demonstration: two dozen jobs over all instances of a running farm, or over any other ComfyUI servers.

``jobs`` decides (the plan, what a message means, where a picture goes), ``show`` prints, and ``__main__`` talks to the
servers with :class:`comfyfarm.clients.ComfyClient`.
"""
