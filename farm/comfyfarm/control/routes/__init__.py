"""The routes of the control API, a family in each module."""
