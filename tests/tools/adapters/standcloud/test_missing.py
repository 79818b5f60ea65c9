"""What is not there: no such run is only told of a service that shows itself to be StandCloud."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest

from testlab_tools.adapters.standcloud.adapter import StandCloud
from testlab_tools.errors import AuthError, BadInput, BadReply, LabError, NotFound
from testlab_tools.models.requests import RunQuery

if TYPE_CHECKING:
    from tests.tools.adapters.standcloud.conftest import Server
    from tests.tools.conftest import Origin

Made = Callable[..., StandCloud]
RUN = str(UUID(int=7))
PAGE = b"<html><title>404</title></html>"


@pytest.fixture
def lacking(origin: Origin, server_of: Callable[..., Server]) -> Callable[..., None]:
    """A server of the runs given that answers 404 with `body` for any run by its id."""

    def put(runs: Any, body: Any, **manners: Any) -> None:
        server = server_of(runs, **manners)

        async def answer(request: Any) -> bytes:
            request.reply = origin.reply
            return origin.reply(404, body) if "/test_run/" in request.target else await server(request)

        origin.answer = answer

    return put


@pytest.mark.parametrize("body", [{"detail": "Test run not found"}, {"detail": "Not Found"}])
@pytest.mark.parametrize("manners", [{}, {"filters": False}, {"refuse_over": 0}, {"limits": False}], ids=str)
async def test_a_service_that_lists_runs_and_says_404_of_one_has_no_such_run(
    body: Any,
    manners: dict[str, Any],
    lacking: Callable[..., None],
    stand_cloud: Made,
    row_of: Callable[..., dict[str, Any]],
) -> None:
    lacking([row_of(n) for n in range(150, 100, -1)], body, **manners)
    with pytest.raises(NotFound, match="has no such test run"):
        await stand_cloud().get_run(RUN)


@pytest.mark.parametrize("body", [{"error": "Not Found"}, {"message": "no"}, {}, [], b"", PAGE], ids=str)
async def test_a_404_that_is_not_its_own_says_nothing_of_the_run(
    body: Any, lacking: Callable[..., None], stand_cloud: Made
) -> None:
    lacking(3, body)
    with pytest.raises(BadReply, match=r"is not StandCloud .* url: it may lead to another server or path"):
        await stand_cloud().get_run(RUN)


async def test_a_404_for_a_run_that_is_in_the_list_is_not_believed(
    lacking: Callable[..., None], stand_cloud: Made
) -> None:
    lacking(9, {"detail": "Not Found"})
    with pytest.raises(BadReply, match="is not StandCloud"):
        await stand_cloud().get_run(RUN)


@pytest.mark.parametrize("body", [{"detail": "Test run not found"}, {"detail": "Not Found"}])
async def test_404_for_everything_is_another_path_and_no_missing_run(
    body: Any, origin: Origin, stand_cloud: Made
) -> None:
    origin.answers(origin.reply(404, body))
    with pytest.raises(BadReply, match="is not StandCloud"):
        await stand_cloud().get_run(RUN)


@pytest.mark.parametrize("status", [404, 405, 400, 403, 422])
@pytest.mark.parametrize("body", [{"error": "Not Found"}, {"detail": "Not Found"}, {}, [], b"", PAGE], ids=str)
async def test_a_refusal_that_is_not_its_own_is_no_empty_list(
    status: int, body: Any, origin: Origin, stand_cloud: Made
) -> None:
    origin.answers(origin.reply(status, body))
    for question in (
        stand_cloud().list_runs(RunQuery(), 20),
        stand_cloud().list_failures(RunQuery(), 20),
        stand_cloud().probe(),
    ):
        with pytest.raises(BadReply, match="is not StandCloud"):
            await question


@pytest.mark.parametrize("body", [{}, {"detail": "x"}, {"status": "ok"}, {"runs": []}, None, 0, "", b"", PAGE], ids=str)
async def test_a_200_that_is_no_list_is_not_an_empty_one(
    body: Any, origin: Origin, stand_cloud: Made, row_of: Callable[..., dict[str, Any]]
) -> None:
    whole = body if isinstance(body, bytes) else b"null" if body is None else body
    origin.answers(origin.reply(200, whole))
    for question in (
        stand_cloud().list_runs(RunQuery(), 20),
        stand_cloud().failed_cases(RUN),
        stand_cloud().get_run(RUN),
        stand_cloud().probe(),
    ):
        with pytest.raises(BadReply):
            await question


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (401, b"", AuthError),
        (403, {"detail": "Not authenticated"}, AuthError),
        (400, {"detail": "no such filter"}, BadInput),
        (422, {"detail": [{"loc": ["query"], "msg": "bad"}]}, BadInput),
    ],
)
async def test_a_refusal_of_its_own_is_told_as_what_it_is(
    status: int, body: Any, kind: type[LabError], origin: Origin, stand_cloud: Made
) -> None:
    origin.answers(origin.reply(status, body))
    with pytest.raises(kind):
        await stand_cloud().list_runs(RunQuery(), 20)


async def test_failed_cases_that_are_missing_of_a_run_that_is_there_are_not_none(
    origin: Origin, stand_cloud: Made, row_of: Callable[..., dict[str, Any]]
) -> None:
    origin.answers(origin.reply(200, row_of(7, status="fail")), origin.reply(404, {"detail": "Not Found"}))
    with pytest.raises(BadReply, match="has the run, and answers 404 for its failed cases"):
        await stand_cloud().get_run(RUN)


async def test_a_server_that_takes_no_limit_is_probed_without(
    stand_cloud: Made, server_of: Callable[..., Server]
) -> None:
    assert (await stand_cloud(server_of(3, refuse_over=0)).probe()).account == ""
