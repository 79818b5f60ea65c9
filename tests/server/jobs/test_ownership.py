"""Below admin access only one's own jobs are stopped, and the portal has to prove whose they are."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mcp import Client

from tests.fixture_types import RefusedCaller, ToolCaller

if TYPE_CHECKING:
    from tests.server.jobs.conftest import Bench


async def test_a_colleagues_job_is_refused_with_their_name_unless_access_is_admin(
    bench: Bench, client: Client, admin: Client, ask: ToolCaller, refused: RefusedCaller
) -> None:
    uid = bench.start(bench.colleague)
    told = await refused(client, "stop_job", job_uid=uid)
    assert f"Job {uid!r} was started by colleague" in told
    assert '[server] access = "admin"' in told
    assert bench.job(uid)["status"] == "running"
    assert (await ask(admin, "stop_job", job_uid=uid, confirm=uid))["stopped"]


async def test_our_job_started_elsewhere_is_known_by_the_nodes_last_use(
    bench: Bench, client: Client, ask: ToolCaller
) -> None:
    assert (await ask(client, "stop_job", job_uid=bench.start(bench.you)))["stopped"]


async def test_it_is_known_by_its_results_once_somebody_has_used_the_node(
    bench: Bench, client: Client, ask: ToolCaller, refused: RefusedCaller
) -> None:
    for who, mine in ((bench.you, True), (bench.colleague, False)):
        uid = bench.start(who, test_cases=[bench.quick, bench.slow])
        bench.advance(3)
        bench.press(bench.you)
        if mine:
            assert (await ask(client, "stop_job", job_uid=uid))["stopped"]
        else:
            assert "started by colleague" in await refused(client, "stop_job", job_uid=uid)


async def test_it_is_known_by_a_reservation_that_began_before_it(bench: Bench, client: Client, ask: ToolCaller) -> None:
    with bench.reserved(bench.you):
        uid = bench.start(bench.you)
        bench.press(bench.you)
        assert (await ask(client, "stop_job", job_uid=uid))["stopped"]


async def test_what_cannot_be_proved_is_said_and_not_stopped(
    bench: Bench, client: Client, admin: Client, ask: ToolCaller, refused: RefusedCaller
) -> None:
    uid = bench.start(bench.you)
    bench.press(bench.you)
    told = await refused(client, "stop_job", job_uid=uid)
    assert f"Whose job {uid!r} is is not known" in told
    assert bench.job(uid)["status"] == "running"
    assert (await ask(admin, "stop_job", job_uid=uid, confirm=uid))["stopped"]


async def test_a_node_reserved_by_another_names_its_holder_even_to_admin(
    bench: Bench, admin: Client, refused: RefusedCaller
) -> None:
    with bench.reserved(bench.colleague):
        uid = bench.start(bench.colleague)
        told = await refused(admin, "stop_job", job_uid=uid, confirm=uid)
        assert f"Node 'portal:{bench.node}' is reserved by colleague" in told
        assert bench.job(uid)["status"] == "running"
