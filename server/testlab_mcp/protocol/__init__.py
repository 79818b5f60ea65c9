"""MCP's surface: the server, its tools, resources, prompts and completions, and who is answered."""
