"""The conformance suite: measures how closely a server behaves like ComfyUI.

Its scenarios do what clients do, and compare the replies and messages with those recorded from a real ComfyUI.
``comfyfarm conform URL`` runs them. Nothing here depends on the farm, so any server can be tested.
"""
