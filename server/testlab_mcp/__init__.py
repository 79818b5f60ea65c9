"""What MCP sees: the server, who may use it, its config and its command line."""

__version__ = "0.1.0"
