"""Is a server what it says it is, a ComfyUI?

Scenarios take it through what clients do; what it answers and says is held against facts that were recorded from
a real one.  ``comfyfarm conform URL`` runs them; nothing here knows of the farm, so any server can be judged.
"""
