"""`--changed`: which files of tests a change touches."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.changed import ROOT, touched_by
from tests.conftest import LONG, MANY_INPUTS

TESTS = [ROOT / "tests" / name for name in ("server/test_surface.py", "tools/http/test_retry.py", "sim/test_faults.py")]


@pytest.mark.parametrize(
    ("changed", "touched"),
    [
        ("tests/sim/test_faults.py", {"sim/test_faults.py"}),
        ("tests/server/conftest.py", {"server/test_surface.py"}),
        ("tests/lab_processes.py", {"server/test_surface.py"}),
        ("tools/testlab_tools/http/redirects.py", {"tools/http/test_retry.py"}),
        ("tools/testlab_sim/faults.py", {"sim/test_faults.py"}),
        ("server/testlab_mcp/commands/tools.py", {"server/test_surface.py"}),
        ("tests/server/toolsnaps/list_runs.json", {"server/test_surface.py"}),
        ("docs/clients.md", set[str]()),
    ],
)
def test_a_change_touches_the_tests_that_import_mirror_or_name_it(changed: str, touched: set[str]) -> None:
    found = {path.relative_to(ROOT / "tests").as_posix() for path in touched_by([Path(changed)], TESTS)}
    assert found == touched


@pytest.mark.parametrize("part", sorted({*LONG, *MANY_INPUTS}))
def test_what_is_long_or_left_out_is_there(part: str) -> None:
    assert any(part in path.as_posix() for path in (ROOT / "tests").rglob("test_*.py"))
