"""The faces on the web: the chat page and the HTTP API. They draw events and decide nothing."""
