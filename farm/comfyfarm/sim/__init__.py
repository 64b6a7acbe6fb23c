"""What a ComfyUI instance does, without a reactor, a socket, a clock or dice of its own.

Time comes in as an argument, in whole simulated milliseconds; chance comes in as named streams; files are a
small protocol.  What happens goes out as events.
"""
