"""The execution of one job: the order of its nodes, the run of each, and what faults and clients see of it."""
