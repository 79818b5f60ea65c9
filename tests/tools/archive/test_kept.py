"""A table that is kept for several questions of the same runs."""

from __future__ import annotations

import pytest

from testlab_tools.archive.store import HistoryStore
from tests.tools.archive.conftest import KEY, fill, run


async def test_rows_that_are_kept_are_asked_beside_the_tables(store: HistoryStore) -> None:
    await fill(store, 30)
    view = store.view([KEY])
    select = "WITH chosen AS (SELECT * FROM runs WHERE station = $station) SELECT run_id, duration_s FROM chosen"
    async with view.keep("chosen", select, {"station": "north"}) as kept:
        assert await kept.rows("SELECT count(*), max(duration_s) FROM chosen") == [(10, 6.75)]
        assert await kept.rows("SELECT count(*) FROM chosen JOIN failures USING (run_id)") == [(1,)]
        async with store.write(KEY) as writer:
            await writer.append("runs", [run(30, station="north")])
            await writer.commit()
        assert await kept.rows("SELECT count(*) FROM chosen WHERE duration_s < $most", {"most": 3}) == [(4,)]
    assert await view.rows("SELECT count(*) FROM runs WHERE station = 'north'") == [(11,)]


async def test_what_one_keeps_no_other_sees(store: HistoryStore) -> None:
    await fill(store, 6)
    view = store.view([KEY])
    async with (
        view.keep("mine", "SELECT run_id FROM runs WHERE station = 'north'") as one,
        view.keep("mine", "SELECT run_id FROM runs") as other,
    ):
        count = "SELECT count(*) FROM mine"
        assert [await one.rows(count), await other.rows(count)] == [[(2,)], [(6,)]]
        with pytest.raises(Exception, match=r"mine|UndefinedTable"):
            await view.rows(count)
