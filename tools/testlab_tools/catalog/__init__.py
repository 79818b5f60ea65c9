"""The tools, a module per noun. `all_tools` is the one list of them, in the order clients see."""

from __future__ import annotations

from testlab_tools.catalog import jobs, nodes, production, reservations, runs
from testlab_tools.registry import ToolSpec


def all_tools() -> tuple[ToolSpec, ...]:
    """Every tool there is, whatever is configured or allowed."""
    return (
        runs.list_runs,
        runs.get_failed_cases,
        nodes.list_nodes,
        nodes.grab_screenshot,
        reservations.reserve_nodes,
        reservations.end_reservation,
        jobs.run_tests,
        jobs.get_job,
        production.create_run,
    )
