"""Redis itself: connections, errors, and the embedded server."""
