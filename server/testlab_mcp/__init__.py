"""What MCP sees: config, exposure, the server, its command line."""

from importlib.metadata import version

__version__ = version("testlab-mcp")
