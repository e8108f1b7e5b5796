"""Policies on the other side of a websocket: the message format, the client and the server."""
