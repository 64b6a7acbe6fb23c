"""The timeline of a run: what each instance did when, and its forms as SVG, text, trace and values."""
