"""`python -m testlab_mcp` is `testlab-mcp`."""

import sys

from testlab_mcp.cli import main

sys.exit(main())
