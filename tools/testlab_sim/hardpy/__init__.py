"""A HardPy operator panel, 0.25.2, with JSON storage: one stand, its tests, its dialogs, and some hundred runs.

Its answers are held to those of the real panel by `tests/clients/test_hardpy_panel.py`.
"""

from testlab_sim.hardpy import service
from testlab_sim.hardpy.service import api

__all__ = ["api", "service"]
