"""The tools, a module per noun. `all_tools` is the one list of them, in the order clients see."""

from __future__ import annotations

from testlab_tools.catalog import (
    definitions,
    deliveries,
    exports,
    failures,
    files,
    insight,
    jobs,
    nodes,
    production,
    remote,
    reports,
    reservations,
    runs,
    units,
)
from testlab_tools.registry import ToolSpec


def all_tools() -> tuple[ToolSpec, ...]:
    """Every tool there is, whatever is configured or allowed."""
    return (
        runs.list_runs,
        runs.get_run,
        runs.get_failed_cases,
        files.read_log,
        files.get_artifact,
        exports.export_runs,
        units.get_unit,
        insight.triage,
        failures.explain_failure,
        nodes.list_nodes,
        nodes.grab_screenshot,
        reservations.reserve_nodes,
        reservations.extend_reservation,
        reservations.end_reservation,
        reservations.interrupt_reservation,
        remote.press_key,
        jobs.list_test_cases,
        jobs.run_tests,
        jobs.get_job,
        jobs.stop_job,
        definitions.list_catalog,
        production.create_run,
        reports.import_report,
        deliveries.list_deliveries,
        deliveries.release_delivery,
        units.update_unit,
        runs.delete_run,
        units.delete_unit,
    )
