"""What a test claims of a run, what a farm is asked for that, and the error where it is not so."""
