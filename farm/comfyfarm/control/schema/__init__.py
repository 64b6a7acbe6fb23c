"""Bodies and answers of the control API; clients use them too, so nothing here imports Twisted or Klein."""
