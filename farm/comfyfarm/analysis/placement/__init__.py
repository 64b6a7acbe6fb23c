"""How well was the work placed: what was true at each dispatch, and what it adds up to (docs/placement.md)."""
