"""The measures of placement, one family per module."""
