"""`python -m testlab_mcp` is `testlab-mcp`."""

import sys

from testlab_mcp.commands.main import main

sys.exit(main())
