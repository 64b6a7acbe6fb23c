"""A run as one page that opens anywhere: verdict, timeline, placement, faults."""
