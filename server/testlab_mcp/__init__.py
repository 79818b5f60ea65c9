"""What MCP sees: config, exposure, the server, its command line."""

__version__ = "0.1.0"
