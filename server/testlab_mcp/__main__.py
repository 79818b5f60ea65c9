"""`python -m testlab_mcp` is `testlab-mcp`: it gives the first answers of the last start while the rest is imported."""

from __future__ import annotations

import sys


def main() -> int:
    """Run the command line. Returns the exit code."""
    from testlab_mcp.startup.early import begin

    early = begin(sys.argv[1:])
    from testlab_mcp.commands.main import main as run

    code = run(early=early)
    if early is not None and code:
        early.document.discard()
    return code


if __name__ == "__main__":
    sys.exit(main())
