"""The routes of the control API; each module has one family of them."""
