"""The command ``comfyfarm``."""
