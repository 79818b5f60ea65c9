"""The farm of the tests of nodes."""

from tests.server.nodes.conftest import farm, one_farm, quick_looks

__all__ = ["farm", "one_farm", "quick_looks"]
