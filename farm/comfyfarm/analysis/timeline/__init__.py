"""A run, seen: what each instance did when, and how it is drawn."""
