"""Services that know which test cases can be run."""

from __future__ import annotations

from abc import abstractmethod

from testlab_tools.capabilities.service import Service


class TestPack(Service):
    """Holds the test cases that jobs can run."""

    __test__ = False

    @abstractmethod
    async def list_test_cases(self, revision: str) -> list[str]:
        """Return the names of all test cases of a revision, in the service's order.

        Raises NotFound when there is no such revision.
        """
