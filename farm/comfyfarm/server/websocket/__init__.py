"""The websocket: connections, messages, and faults of messages."""
