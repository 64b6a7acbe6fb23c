"""The measures of placement, a family in each module."""
