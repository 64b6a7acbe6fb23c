"""Bodies and answers of the control API; imports msgspec only, so that clients can use it."""
