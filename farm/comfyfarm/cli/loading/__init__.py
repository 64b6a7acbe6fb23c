"""The parts of ``comfyfarm load``: what is sent, when and where to, and what came of it."""
