"""The node types and models that an instance has."""
