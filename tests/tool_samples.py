"""A sample of every tool: the one table that tests about all tools draw from.

Texts in braces are names of things in the lab, and each test says what these are: `{run}` is a run's id, of the service
that is asked; `{node}`, `{free_node}`, `{idle_node}`, `{busy_node}` and `{their_node}` are nodes; `{reservation}`,
`{ending_reservation}` and `{their_reservation}` are reservations; `{serial}` is a unit that is only looked at, `{unit}`
and `{own_run}` are a unit and a run to be changed; `{measured}` is measured in runs of `{plan}`; `{n}` differs between
calls.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import get_args

from testlab_tools.models.results import DefinitionKind
from testlab_tools.registry import Access, Toolset
from tests.tool_calls import BENCH, CLOUD, FACTORY, OLD, PORTAL, RACK, Arguments, Call, ToolSample

ALL = (PORTAL, FACTORY, OLD, CLOUD, BENCH)
ON_PORTAL = (PORTAL,)
ON_NODES = (PORTAL, BENCH)
IN_FACTORY = (FACTORY, OLD)
NO_NODE: list[Arguments] = []
JUNIT = '<testsuite timestamp="2026-11-20T08:00:00"><testcase name="a"/></testsuite>'


def offered(*services: str, access: Access = "operate", toolsets: Iterable[Toolset] = ()) -> set[str]:
    """The tools that a lab of `services` has for this access; of the default toolsets, unless named."""
    levels: tuple[Access, ...] = get_args(Access)
    named = set(toolsets) or set(get_args(Toolset)) - {"statistics", "campaigns", "deliveries"}
    return {
        sample.tool
        for sample in SAMPLES.values()
        if levels.index(sample.access) <= levels.index(access) and sample.toolset in named
        if set(services) & set(sample.services or sample.beside)
    }


_RUN = {"run_id": "{run}"}
_NEW = {"serial_number": "{new_unit}", "procedure_id": "{procedure}"}
_ORDER = {"test_pack_revision": "{revision}", "test_cases": ["{case}"]}
_RECORD = {**_NEW, "part_number": "UT", "service": "{service}"}
WATCHED = (PORTAL, FACTORY, CLOUD, BENCH)
_CAMPAIGN_CALLS: list[tuple[str, Access, Arguments, tuple[str, ...]]] = [
    ("get_campaign", "observe", {"campaign_id": "x"}, (PORTAL,)),
    ("list_campaigns", "observe", {}, (PORTAL,)),
    ("cancel_campaign", "operate", {"campaign_id": "x"}, WATCHED),
]

SAMPLES: Mapping[str, ToolSample] = {
    sample.tool: sample
    for sample in [
        ToolSample(
            "list_runs",
            "runs",
            "observe",
            ALL,
            {},
            besides={OLD: {"unit": "{serial}"}},
            faults=[
                Call({"service": "{service}"}, (PORTAL, FACTORY, BENCH)),
                Call({"service": "{service}", "unit": "{serial}"}, (OLD, CLOUD, BENCH)),
            ],
            hostile=[
                Call({"service": "{service}", "limit": 5}, (PORTAL, FACTORY, CLOUD, BENCH)),
                Call({"service": "{service}", "unit": "{serial}"}, (OLD,)),
                Call({"service": "{service}", "outcome": "fail", "limit": 3}, (PORTAL,)),
            ],
            other_node=[{"station": "{node}", "service": PORTAL}],
        ),
        ToolSample(
            "get_run",
            "runs",
            "observe",
            ALL,
            _RUN,
            hostile=[Call({**_RUN, "include": ["cases", "measurements", "tags", "artifacts"]})],
        ),
        ToolSample(
            "get_failed_cases",
            "runs",
            "observe",
            ALL,
            _RUN,
            hostile=[Call(_RUN), Call({"run_id": "{job}"}, (PORTAL,))],
            other_node=[_RUN, {"run_id": "{job}"}],
        ),
        ToolSample(
            "read_log",
            "runs",
            "observe",
            (PORTAL, FACTORY),
            _RUN,
            hostile=[Call({**_RUN, "tail": 1000}), Call({**_RUN, "search": "{canary}"}, (PORTAL,))],
        ),
        ToolSample(
            "get_artifact",
            "runs",
            "observe",
            ON_PORTAL,
            {**_RUN, "name": "{artifact}"},
            faults=[Call(_RUN), Call({**_RUN, "name": "{artifact}", "save_to": "{n}.part"})],
            hostile=[
                Call(_RUN),
                Call({**_RUN, "name": "{artifact}"}),
                Call({**_RUN, "name": "{artifact}", "save_to": "saved/{n}/"}),
            ],
            other_node=[_RUN, {**_RUN, "name": "stbt.log"}],
        ),
        ToolSample(
            "export_runs",
            "runs",
            "observe",
            ALL,
            {"save_to": "runs.xml", "format": "junit", "service": "{service}"},
            besides={OLD: {"unit": "{serial}"}},
            faults=[
                Call({"save_to": "{n}-{service}.csv", "since": "24h", "service": "{service}"}, (PORTAL, FACTORY)),
                Call({"save_to": "{n}-{service}.csv", "unit": "{serial}", "service": "{service}"}, (OLD, CLOUD, BENCH)),
            ],
            hostile=[
                *(
                    Call({"save_to": f"export/{{n}}.{form}", "format": form, "service": PORTAL}, (PORTAL,))
                    for form in ("csv", "junit")
                ),
                *(
                    Call(
                        {"save_to": f"export/{{n}}.{form}", "format": form, "service": "{service}", "unit": "{serial}"},
                        (FACTORY, OLD, CLOUD, BENCH),
                    )
                    for form in ("csv", "junit")
                ),
            ],
            other_node=[
                {"save_to": "a.csv", "service": PORTAL},
                {"save_to": "b.csv", "station": "{node}", "service": PORTAL},
            ],
        ),
        ToolSample(
            "get_unit",
            "units",
            "observe",
            (FACTORY, OLD, CLOUD, BENCH),
            {"serial_number": "{serial}"},
            faults=[Call({"serial_number": "{serial}", "service": "{service}"})],
            hostile=[
                Call({"serial_number": "{serial}", "service": "{service}"}),
                Call({"serial_number": "{serial}"}, (FACTORY,)),
            ],
            other_node=NO_NODE,
        ),
        ToolSample(
            "triage",
            "insight",
            "observe",
            (PORTAL, FACTORY, CLOUD, BENCH),
            {},
            faults=[Call({"service": "{service}"})],
            hostile=[Call({"since": "7d"}, (PORTAL,))],
            other_node=[{"station": "{node}", "service": PORTAL, "since": "90d"}],
        ),
        ToolSample(
            "explain_failure",
            "insight",
            "observe",
            ALL,
            _RUN,
            faults=[Call(_RUN, (PORTAL, FACTORY, CLOUD, BENCH))],
            hostile=[Call(_RUN)],
        ),
        ToolSample(
            "summarize_runs",
            "statistics",
            "observe",
            (PORTAL, FACTORY, CLOUD, BENCH),
            {"metric": "runs", "service": "{service}"},
            faults=[Call({"metric": "runs", "service": "{service}", "since": "24h"})],
            hostile=[Call({"metric": "failures", "group_by": "reason", "service": "{service}", "since": "7d"})],
            other_node=[{"metric": "runs", "station": "{node}", "service": PORTAL, "since": "90d"}],
        ),
        ToolSample(
            "measurement_stats",
            "statistics",
            "observe",
            (PORTAL, FACTORY, CLOUD, BENCH),
            {"test": "Main board FCT", "measurement": "rail_5v", "service": "{service}", "since": "24h"},
            faults=[
                Call(
                    {"test": "Main board FCT", "measurement": "rail_5v", "since": "24h", "service": FACTORY}, (FACTORY,)
                )
            ],
            hostile=[Call({"test": "{plan}", "measurement": "{measured}", "service": "{service}"}, (FACTORY,))],
            other_node=NO_NODE,
        ),
        ToolSample(
            "flakiness",
            "statistics",
            "observe",
            ON_NODES,
            {"service": "{service}"},
            faults=[Call({"service": "{service}", "since": "24h"})],
            hostile=[Call({"service": "{service}", "since": "7d"})],
            other_node=[{"station": "{node}", "service": PORTAL, "since": "90d"}],
        ),
        ToolSample(
            "compare_runs",
            "statistics",
            "observe",
            ALL,
            {"a": "{run}", "b": "{run}"},
        ),
        ToolSample(
            "list_nodes",
            "nodes",
            "observe",
            ON_NODES,
            {},
            faults=[Call({}, (PORTAL,)), Call({"node_ids": ["{node}"], "detail": True})],
            hostile=[
                Call({}, (PORTAL,)),
                Call({"node_ids": ["{node}", "{their_node}"], "detail": True}, (PORTAL,)),
                Call({"node_ids": ["{node}"], "detail": True}, (BENCH,)),
            ],
            other_node=[{"node_ids": ["{node}"]}],
        ),
        ToolSample(
            "grab_screenshot",
            "nodes",
            "observe",
            ON_PORTAL,
            {"node_id": "{node}"},
            faults=[Call({"node_id": "{node}"}), Call(_RUN)],
            hostile=[
                *(Call({"node_id": "{node}", "size": size}) for size in ("model", "full", "thumbnail")),
                Call({**_RUN, "save_to": "shots/{n}.png"}),
            ],
            other_node=[{"node_id": "{node}"}, _RUN],
        ),
        ToolSample(
            "reserve_nodes",
            "nodes",
            "operate",
            ON_PORTAL,
            {"node_ids": ["{free_node}"], "message": "m", "duration_minutes": 1},
            hostile=[
                Call({"node_ids": [node], "message": "m", "duration_minutes": 5})
                for node in ("{free_node}", "{their_node}")
            ],
            other_node=[{"node_ids": ["{allowed_node}", "{node}"], "message": "m", "duration_minutes": 1}],
        ),
        ToolSample(
            "extend_reservation",
            "nodes",
            "operate",
            ON_PORTAL,
            {"reservation_id": "{reservation}", "minutes": 1},
            hostile=[Call({"reservation_id": "{reservation}", "minutes": 5})],
        ),
        ToolSample("end_reservation", "nodes", "operate", ON_PORTAL, {"reservation_id": "{ending_reservation}"}),
        ToolSample(
            "interrupt_reservation",
            "nodes",
            "admin",
            ON_PORTAL,
            {"reservation_id": "{their_reservation}", "message": "m", "confirm": "{their_node}"},
            hostile=[Call({"reservation_id": "{their_reservation}", "message": "m"})],
        ),
        ToolSample("press_key", "nodes", "operate", ON_PORTAL, {"node_id": "{node}", "key": "KEY_OK"}),
        ToolSample("set_power", "nodes", "operate", (RACK,), {"node_id": "{node}", "action": "get"}),
        ToolSample("read_console", "nodes", "operate", (RACK,), {"node_id": "{node}"}),
        ToolSample(
            "list_test_cases",
            "jobs",
            "observe",
            ON_NODES,
            {"revision": "{revision}", "service": "{service}"},
            hostile=[Call({"revision": "main", "service": PORTAL}, (PORTAL,))],
            other_node=NO_NODE,
        ),
        ToolSample(
            "run_tests",
            "jobs",
            "operate",
            ON_NODES,
            {"node_id": "{idle_node}", **_ORDER},
            hostile=[Call({"node_id": "{idle_node}", **_ORDER}, (PORTAL,))],
        ),
        ToolSample(
            "get_job",
            "jobs",
            "observe",
            ON_NODES,
            {"job_uid": "{job}", "wait_seconds": 5},
            faults=[
                Call({"job_uid": "{job}"}),
                Call({"job_uid": "{job}", "wait_seconds": 1}),
                Call({"node_id": "{busy_node}"}),
            ],
            hostile=[Call({"job_uid": "{job}"}), Call({"node_id": "{busy_node}"})],
            other_node=[{"node_id": "{node}"}, {"job_uid": "{job}"}, {"job_uid": "{job}", "wait_seconds": 5}],
        ),
        ToolSample(
            "stop_job",
            "jobs",
            "operate",
            ON_NODES,
            {"job_uid": "{job}", "confirm": "{service}:{job}"},
            hostile=[Call({"node_id": "{busy_node}"}, (PORTAL,))],
            other_node=[{"node_id": "{node}"}, {"job_uid": "{job}"}],
        ),
        ToolSample(
            "start_campaign",
            "campaigns",
            "operate",
            ON_PORTAL,
            {"node_ids": ["{node}"], **_ORDER},
            faults=[Call({"node_ids": ["{their_node}"], **_ORDER})],  # which is not granted meanwhile
        ),
        ToolSample(
            "bisect",
            "campaigns",
            "operate",
            ON_PORTAL,
            {"node_ids": ["{node}"], "test_case": "{case}", "revisions": ["{revision}~1", "{revision}"]},
        ),
        *(
            ToolSample(
                name,
                "campaigns",
                access,
                (),
                arguments,
                hostile=[Call(arguments, ("",))],
                other_node=NO_NODE,
                beside=beside,
            )
            for name, access, arguments, beside in _CAMPAIGN_CALLS
        ),
        ToolSample(
            "watch",
            "campaigns",
            "observe",
            WATCHED,
            {"node_id": "{node}"},
            besides={name: {"node_id": "", "yield_below": 95, "service": name} for name in (FACTORY, CLOUD)},
            faults=[
                Call({"job_uid": "{job}"}, ON_NODES),
                Call({"node_id": "{busy_node}"}, ON_NODES),
                Call({"yield_below": 1, "service": "{service}"}, (FACTORY,)),
            ],
            hostile=[Call({"node_id": "{busy_node}"}, ON_NODES)],
            other_node=[{"node_id": "{node}"}, {"job_uid": "{job}"}],
        ),
        ToolSample(
            "answer_dialog",
            "jobs",
            "operate",
            (BENCH,),
            {"dialog_id": "{dialog}", "button": "pass", "confirm": "{dialog}"},
            hostile=[Call({"dialog_id": "{dialog}", "button": "pass"})],
            other_node=NO_NODE,
        ),
        ToolSample(
            "list_catalog",
            "production",
            "observe",
            (FACTORY,),
            {},
            hostile=[Call({"kind": kind, "service": "{service}"}) for kind in get_args(DefinitionKind)],
            other_node=NO_NODE,
        ),
        ToolSample(
            "create_run",
            "production",
            "operate",
            IN_FACTORY,
            {**_NEW, "outcome": "pass"},
            faults=[Call({**_RECORD, "outcome": "pass", "started_at": "2026-11-20T08:00:00Z"})],
            hostile=[Call({**_RECORD, "outcome": "fail"})],
            other_node=NO_NODE,
            queued=True,
        ),
        ToolSample(
            "import_report",
            "production",
            "operate",
            IN_FACTORY,
            {**_NEW, "content": JUNIT},
            faults=[Call({**_RECORD, "content": JUNIT})],
            hostile=[Call({**_RECORD, "serial_number": "SN-3", "content": JUNIT}, (FACTORY,))],
            other_node=NO_NODE,
            queued=True,
        ),
        ToolSample("list_deliveries", "deliveries", "observe", (), {}, hostile=[Call({}, ("",))], other_node=NO_NODE),
        ToolSample(
            "release_delivery",
            "deliveries",
            "operate",
            (),
            {"delivery_id": "x"},
            hostile=[Call({"delivery_id": "x"}, ("",))],
            other_node=NO_NODE,
        ),
        ToolSample(
            "update_unit",
            "production",
            "operate",
            IN_FACTORY,
            {"serial_number": "{unit}", "sub_units": ["{part}"]},
            faults=[Call({"serial_number": "{unit}", "service": "{service}", "sub_units": ["{part}"]})],
            hostile=[Call({"serial_number": "{serial}", "service": "{service}", "batch_number": "LOT-1"}, (FACTORY,))],
            other_node=NO_NODE,
        ),
        ToolSample(
            "delete_run",
            "production",
            "admin",
            IN_FACTORY,
            {"run_id": "{own_run}"},
            faults=[Call({"run_id": "{own_run}", "confirm": "{own_run}"})],
            hostile=[Call(_RUN)],
            other_node=NO_NODE,
        ),
        ToolSample(
            "delete_unit",
            "production",
            "admin",
            IN_FACTORY,
            {"serial_number": "{unit}", "service": "{service}", "confirm": "{agreed}"},
            hostile=[Call({"serial_number": "{new_unit}", "service": "{service}"})],
            other_node=NO_NODE,
        ),
    ]
}
"""By the tool's name, in the order of `all_tools`."""

SIMULATED: Mapping[str, ToolSample] = {name: sample for name, sample in SAMPLES.items() if sample.services != (RACK,)}
"""Those of tools that the simulated lab has."""
