"""The tools, a module per noun. `all_tools` is the one list of them, in the order clients see."""

from __future__ import annotations

from testlab_tools.registry import ToolSpec
from testlab_tools.tools import (
    analysis,
    campaigns,
    cancelling,
    deliveries,
    dialogs,
    files,
    jobs,
    nodes,
    production,
    reservations,
    runs,
    statistics,
    units,
    watches,
    wiring,
)


def all_tools() -> tuple[ToolSpec, ...]:
    """Every tool there is, whatever is configured or allowed."""
    return (
        runs.list_runs,
        runs.get_run,
        runs.get_failed_cases,
        files.read_log,
        files.get_artifact,
        runs.export_runs,
        units.get_unit,
        analysis.triage,
        analysis.explain_failure,
        statistics.summarize_runs,
        statistics.measurement_stats,
        statistics.flakiness,
        statistics.compare_runs,
        nodes.list_nodes,
        nodes.grab_screenshot,
        reservations.reserve_nodes,
        reservations.extend_reservation,
        reservations.end_reservation,
        reservations.interrupt_reservation,
        nodes.press_key,
        wiring.set_power,
        wiring.read_console,
        jobs.list_test_cases,
        jobs.run_tests,
        jobs.get_job,
        jobs.stop_job,
        campaigns.start_campaign,
        campaigns.bisect,
        campaigns.get_campaign,
        campaigns.list_campaigns,
        cancelling.cancel_campaign,
        watches.watch,
        dialogs.answer_dialog,
        production.list_catalog,
        production.create_run,
        production.import_report,
        deliveries.list_deliveries,
        deliveries.release_delivery,
        units.update_unit,
        runs.delete_run,
        units.delete_unit,
    )
