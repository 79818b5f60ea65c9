"""`testlab-mcp token new NAME`: a token for a caller, shown once, and the lines of config that let it in."""

from __future__ import annotations

import sys

from testlab_mcp.access.callers import digest_token, make_token
from testlab_mcp.config.loading import check_name


def new_token(name: str, access: str) -> int:
    """Print the token and the config on standard output, what to do with them on standard error."""
    check_name(name, "NAME")
    token = make_token()
    print(f"The token of {name}, shown this once; its client sends it as Authorization: Bearer …", file=sys.stderr)
    print(token)
    print("\nFor the server's config, which keeps its hash only:", file=sys.stderr)
    print(f'\n[callers.{name}]\ntoken_sha256 = "{digest_token(token)}"\naccess = "{access}"')
    return 0
