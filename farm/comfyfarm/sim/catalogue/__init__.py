"""The catalogue of an instance: its node types and model files."""
