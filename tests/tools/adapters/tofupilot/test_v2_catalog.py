"""Procedures, parts, batches and stations as v2 sends them; a key among them is not read."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from testlab_tools.adapters.tofupilot.adapter import TofuPilotV2
from testlab_tools.errors import BadReply

if TYPE_CHECKING:
    from tests.tools.conftest import Origin

KEY = "tp-station-key-5d41402abc4b2a76"
LAST = {"has_more": False, "next_cursor": None}


@pytest.fixture
def listing(origin: Origin, client_of: Callable[..., Any]) -> Callable[..., TofuPilotV2]:
    """A service that answers with these rows."""

    def made(*rows: dict[str, Any], meta: dict[str, Any] = LAST) -> TofuPilotV2:
        origin.answers(origin.reply(200, {"data": list(rows), "meta": meta}))
        return TofuPilotV2("factory", client_of(origin.url))

    return made


async def test_a_key_in_the_list_of_stations_is_not_read(listing: Callable[..., TofuPilotV2]) -> None:
    linked = {"id": "p1", "name": "FCT", "runs_count": 7}
    row = {"id": "s1", "name": "FVT-01", "api_key": KEY, "procedures": [linked], "metadata": {"key": KEY}}
    page = await listing(row).list_definitions("stations", "", 5)
    (station,) = page.found
    assert (station.id, station.name, station.procedures) == ("factory:s1", "FVT-01", ["FCT"])
    assert KEY not in repr(page)
    assert KEY not in station.model_dump_json()


async def test_a_key_in_a_list_that_cannot_be_read_is_not_told(listing: Callable[..., TofuPilotV2]) -> None:
    with pytest.raises(BadReply) as told:
        await listing({"id": "s1", "api_key": KEY}).list_definitions("stations", "", 5)
    assert "Field data.0.name is missing" in str(told.value)
    assert KEY not in str(told.value)


async def test_the_search_and_the_place_are_sent_as_they_are(
    listing: Callable[..., TofuPilotV2], origin: Origin
) -> None:
    made = listing({"number": "PN&1", "name": "Box", "revisions": []}, meta={"has_more": True, "next_cursor": 40})
    page = await made.list_definitions("parts", "a&b=c d", 20, "20")
    assert page.after == "40"
    assert page.found[0].number == "PN&1"
    assert origin.asked[0].target == "/api/v2/parts?limit=20&search_query=a%26b%3Dc+d&cursor=20"


async def test_a_batchs_number_is_one_segment_of_a_path(listing: Callable[..., TofuPilotV2], origin: Origin) -> None:
    batch = {"number": "LOT/../7", "unit_count": 1}
    made = listing(batch)
    rows = origin.reply(200, {"data": [batch], "meta": LAST})
    origin.answers(rows, origin.reply(200, {"number": "LOT/../7", "units": [{"serial_number": "SN-1"}]}))
    (found,) = (await made.list_definitions("batches", "", 5)).found
    assert found.serial_numbers == ["SN-1"]
    assert origin.asked[1].target == "/api/v2/batches/LOT%2F..%2F7"
