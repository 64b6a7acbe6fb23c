"""The simulation of one ComfyUI instance, without a reactor, a socket, a clock or randomness of its own.

Time is an argument, in whole simulated milliseconds; randomness comes from named streams; files are a small protocol.
What happens is published as events.
"""
