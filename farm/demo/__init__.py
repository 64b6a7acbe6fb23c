"""A demonstration: two dozen jobs over all instances of a running farm.

``jobs`` decides (plan, what a message means, what came of it), ``run`` waits, ``show`` prints, and ``__main__`` reads
the options.  Nothing here knows the farm from within: it is a client like any other.
"""
