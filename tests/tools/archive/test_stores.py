"""What both stores do: the same rows in, the same answers out."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from testlab_tools.archive.schema import MAX_CHARS, Measurement, Run, clean_text
from testlab_tools.archive.store import HistoryBusy, HistoryStore, TooLarge, open_store
from tests.postgresql import fresh_database
from tests.tools.archive.conftest import KEY, START, failure, fill, measurement, run

QUERIES: dict[str, tuple[str, dict[str, object]]] = {
    "counted by station": (
        """SELECT station, count(*), count(*) FILTER (WHERE ended_as = 'pass')
        FROM runs GROUP BY station ORDER BY station""",
        {},
    ),
    "first pass": (
        """WITH tries AS (
            SELECT station, ended_as, row_number() OVER (PARTITION BY unit, test ORDER BY started_at, run_id) AS attempt
            FROM runs WHERE sample = '' AND unit <> '')
        SELECT station, count(*), sum(CASE WHEN ended_as = 'pass' THEN 1 ELSE 0 END)
        FROM tries WHERE attempt = 1 AND station <> $none GROUP BY station ORDER BY station DESC""",
        {"none": "nowhere", "unused": 1},
    ),
    "by week": (
        """SELECT date_trunc('week', started_at) AS week, count(*)
        FROM runs WHERE started_at >= $since GROUP BY week ORDER BY week""",
        {"since": START + timedelta(days=30)},
    ),
    "a measurement": (
        """SELECT count("value"), avg("value"), stddev_samp("value"), min(low), max(high),
            percentile_cont(0.25) WITHIN GROUP (ORDER BY "value")
        FROM measurements WHERE name = $name""",
        {"name": "voltage"},
    ),
    "joined": (
        """SELECT station, avg("value")
        FROM measurements JOIN runs USING (service, run_id) GROUP BY station ORDER BY station""",
        {},
    ),
    "pareto": ("SELECT case_name, reason, count(*), sum(attempts) FROM failures GROUP BY 1, 2 ORDER BY 3 DESC", {}),
    "some runs": (
        "SELECT run_id, started_at, created_at FROM runs WHERE run_id = ANY($ids) ORDER BY run_id",
        {"ids": ["factory:2", "factory:11", "'; DROP TABLE runs; --"]},
    ),
    "division, NULLs and percent signs": (
        """SELECT 7 / 2, CAST(7 AS DOUBLE PRECISION) / 2, created_at, '100 %'
        FROM runs ORDER BY created_at DESC, run_id LIMIT 3""",
        {},
    ),
    "recursive": (
        """WITH RECURSIVE days AS (SELECT 1 AS day UNION ALL SELECT day + 1 FROM days WHERE day < 4)
        SELECT day, count(run_id) FROM days LEFT JOIN runs ON duration_s = day GROUP BY day ORDER BY day""",
        {},
    ),
    "nothing": ("SELECT count(*), min(started_at), sum(duration_s) FROM runs WHERE test = $test", {"test": "PCB02"}),
}


async def answers(store: HistoryStore, *keys: str) -> dict[str, list[tuple[Any, ...]]]:
    view = store.view(keys or [KEY])
    return {what: await view.rows(sql, params) for what, (sql, params) in QUERIES.items()}


async def one(store: HistoryStore, sql: str) -> Any:
    ((value,),) = await store.view([KEY]).rows(sql)
    return value


async def test_both_stores_answer_a_query_with_the_same_rows(parquet: HistoryStore) -> None:
    with fresh_database() as url:
        postgresql = open_store(url)
        for store in (parquet, postgresql):
            await fill(store, 90)
        theirs, ours = await answers(postgresql), await answers(parquet)
    for what, rows in ours.items():
        assert rows, what
        assert [tuple(map(type, row)) for row in rows] == [tuple(map(type, row)) for row in theirs[what]], what
        assert rows == [pytest.approx(row) if what in ("a measurement", "joined") else row for row in theirs[what]], (
            what
        )
    assert ours["counted by station"] == [("north", 30, 27), ("south", 30, 27), ("west", 30, 27)]
    assert ours["division, NULLs and percent signs"][0][:2] == (3, 3.5)


async def test_a_history_that_is_not_there_has_no_rows(store: HistoryStore) -> None:
    assert await one(store, "SELECT count(*) FROM runs") == 0
    assert (await store.read_state(KEY)).first is None
    assert await store.list_keys() == []


async def test_what_is_not_committed_is_seen_by_nobody(store: HistoryStore) -> None:
    await fill(store, 10)
    async with store.write(KEY) as writer:
        await writer.append("runs", [run(10)])
        await writer.delete(["factory:1"])
        writer.sync["cursor"] = "lost"
        assert await one(store, "SELECT count(*) FROM runs") == 10
    assert await one(store, "SELECT count(*) FROM runs") == 10
    assert (await store.read_state(KEY)).sync == {}


async def test_the_state_of_syncing_is_kept_with_the_rows(store: HistoryStore) -> None:
    async with store.write(KEY) as writer:
        await writer.append("runs", map(run, range(5)))
        writer.sync = {"until": "2026-01-20", "tests": {"PCB01": ["\ud800\0", 1]}}
        state = await writer.commit()
    assert state == await store.read_state(KEY)
    assert state.sync["tests"] == {"PCB01": ["\ud800\0", 1]}
    assert (state.first, state.last) == (START, START + timedelta(days=4))
    assert state.rows == {"runs": 5, "failures": 0, "measurements": 0}
    async with store.write(KEY) as writer:
        assert writer.sync == state.sync


async def test_a_run_is_held_once_whatever_comes_again(store: HistoryStore) -> None:
    await fill(store, 20)
    async with store.write(KEY) as writer:
        await writer.append(
            "runs", [run(3, ended_as="error"), run(3, ended_as="timeout", started_at=START - timedelta(90))]
        )
        await writer.append("runs", [run(4, sample="golden"), run(20)])
        state = await writer.commit()
    assert state.rows["runs"] == 21
    found = await store.view([KEY]).rows(
        "SELECT run_id, ended_as, sample FROM runs WHERE ended_as <> 'fail' ORDER BY started_at"
    )
    assert found[0] == ("factory:3", "timeout", "")
    assert ("factory:4", "pass", "golden") in found
    assert state.first == START - timedelta(90)


async def test_rows_take_the_place_of_those_of_the_same_runs(store: HistoryStore) -> None:
    await fill(store, 40)
    async with store.write(KEY) as writer:
        await writer.replace("measurements", [measurement(7, 9.0), measurement(7, None, "firmware", "1.2")])
        await writer.replace("measurements", [measurement(7, 8.0, "current")])
        await writer.delete(["factory:10"], ["failures"])
        state = await writer.commit()
    assert state.rows == {"runs": 40, "failures": 3, "measurements": 42}
    sql = "SELECT name, \"value\", text FROM measurements WHERE run_id = 'factory:7' ORDER BY name"
    assert await store.view([KEY]).rows(sql) == [("current", 8.0, ""), ("firmware", None, "1.2"), ("voltage", 9.0, "")]


async def test_runs_that_are_gone_take_their_rows_with_them(store: HistoryStore) -> None:
    await fill(store, 40)
    async with store.write(KEY) as writer:
        await writer.delete([f"factory:{n}" for n in range(0, 40, 10)] + ["factory:unheard"])
        state = await writer.commit()
    assert state.rows == {"runs": 36, "failures": 0, "measurements": 36}
    assert await one(store, "SELECT count(*) FROM measurements") == 36


async def test_what_is_older_than_a_time_is_removed(store: HistoryStore) -> None:
    await fill(store, 90)
    limit = START + timedelta(days=60)
    async with store.write(KEY) as writer:
        await writer.append("runs", [run(-5), run(95)])
        await writer.delete_before(limit)
        state = await writer.commit()
    assert (state.rows["runs"], state.rows["measurements"], state.first) == (31, 30, limit)


async def test_histories_are_kept_apart_and_read_together(store: HistoryStore) -> None:
    await fill(store, 10)
    await fill(store, 7, "cloud-22")
    count = "SELECT count(*) FROM runs"
    assert [await store.view(keys).rows(count) for keys in ([KEY], ["cloud-22"], [KEY, "cloud-22"], [])] == [
        [(10,)],
        [(7,)],
        [(17,)],
        [(0,)],
    ]
    assert await store.list_keys() == ["cloud-22", KEY]
    await store.discard("cloud-22")
    assert await store.list_keys() == [KEY]
    assert await store.view([KEY, "cloud-22"]).rows(count) == [(10,)]


async def test_one_writes_at_a_time(store: HistoryStore) -> None:
    async with store.write(KEY) as writer:
        with pytest.raises(HistoryBusy, match="being written"):
            async with store.write(KEY, wait_s=0.05):
                pass
        async with store.write("other"):
            await writer.append("runs", [run(1)])
            await writer.commit()
    await fill(store, 3)
    assert await one(store, "SELECT count(*) FROM runs") == 3


@pytest.mark.parametrize("key", ["", "..", "a/b", "a\\b", ".hidden", "x" * 200, "a'b", "a\0b"])
async def test_a_key_that_is_no_name_of_a_folder_is_refused(store: HistoryStore, key: str) -> None:
    with pytest.raises(ValueError, match="key"):
        store.view([key])
    with pytest.raises(ValueError, match="key"):
        async with store.write(key):
            pass


HOSTILE = [
    "\0",
    "\ud800",
    "a\0b\udfff",
    "'; DROP TABLE runs; --",
    '"',
    "$since",
    "%s",
    "{}",
    "\u202e",
    "é" * 1_000_000,
    "x" * 1_000_000,
]


async def test_hostile_text_comes_back_as_data(store: HistoryStore) -> None:
    async with store.write(KEY) as writer:
        await writer.append("runs", [run(n, unit=text, reason=text, batch=text) for n, text in enumerate(HOSTILE)])
        await writer.append(
            "measurements", [measurement(n, None, name=text, text=text) for n, text in enumerate(HOSTILE)]
        )
        await writer.commit()
    view = store.view([KEY])
    kept = [clean_text(text) for text in HOSTILE]
    assert [row[0] for row in await view.rows("SELECT unit FROM runs ORDER BY started_at")] == kept
    assert [row[0] for row in await view.rows("SELECT text FROM measurements ORDER BY started_at")] == kept
    assert max(map(len, kept)) == MAX_CHARS
    for text in kept:
        assert await view.rows("SELECT count(*) FROM runs WHERE reason = $text", {"text": text}) == [(1,)]


async def test_long_texts_that_begin_alike_stay_different(store: HistoryStore) -> None:
    async with store.write(KEY) as writer:
        await writer.append("runs", [run(1, run_id="x" * 2000), run(2, run_id="x" * 2001)])
        assert (await writer.commit()).rows["runs"] == 2
        await writer.delete(["x" * 2000])
        assert (await writer.commit()).rows["runs"] == 1


async def test_numbers_that_are_none_are_kept_as_text(store: HistoryStore) -> None:
    values = [float("nan"), float("inf"), float("-inf"), 10**400, 1e308, 5e-324, -0.0]
    async with store.write(KEY) as writer:
        await writer.append(
            "measurements", [measurement(n, value)._replace(high=float("inf")) for n, value in enumerate(values)]
        )
        await writer.commit()
    found = await store.view([KEY]).rows('SELECT "value", text, high FROM measurements ORDER BY started_at')
    assert found[:4] == [(None, "nan", None), (None, "inf", None), (None, "-inf", None), (None, "inf", None)]
    assert [row[0] for row in found[4:]] == values[4:]


async def test_values_that_overflow_are_said_to(store: HistoryStore) -> None:
    async with store.write(KEY) as writer:
        await writer.append("measurements", [measurement(n, (-1) ** n * 1.7e308) for n in range(4)])
        await writer.commit()
    with pytest.raises(TooLarge, match="too large to compute with"):
        await store.view([KEY]).rows("SELECT stddev_samp(value) FROM measurements")


@pytest.mark.parametrize(
    "moment",
    [
        datetime(1, 1, 1, tzinfo=UTC),
        datetime(1969, 12, 31, 23, 59, 59, 999999, tzinfo=UTC),
        datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC),
    ],
)
async def test_any_time_is_kept_to_the_microsecond(store: HistoryStore, moment: datetime) -> None:
    async with store.write(KEY) as writer:
        await writer.append("runs", [run(1, started_at=moment, created_at=moment)])
        state = await writer.commit()
    assert (state.first, state.last) == (moment, moment)
    sql = "SELECT created_at FROM runs WHERE started_at = $moment"
    assert await store.view([KEY]).rows(sql, {"moment": moment}) == [(moment.replace(tzinfo=None),)]


@pytest.mark.parametrize(
    "row",
    [
        run(1, unit=5),
        run(1, started_at=None),
        run(1, started_at=datetime(2026, 1, 1)),
        run(1, duration_s="long"),
        measurement(1),
        ("factory", "factory:1"),
    ],
)
async def test_a_row_that_is_not_of_its_table_is_refused_whole(store: HistoryStore, row: Any) -> None:
    async with store.write(KEY) as writer:
        await writer.append("runs", [run(0)])
        with pytest.raises(TypeError):
            await writer.append("runs", [run(2), row])
        assert (await writer.commit()).rows["runs"] == 1


async def test_a_failed_case_and_a_measurement_have_all_their_columns(store: HistoryStore) -> None:
    async with store.write(KEY) as writer:
        await writer.append("failures", [failure(1)])
        await writer.append("measurements", [measurement(1)])
        await writer.append("runs", [run(1, duration_s=1.25)])
        await writer.commit()
    view, started = store.view([KEY]), (START + timedelta(days=1)).replace(tzinfo=None)
    assert await view.rows("SELECT * FROM failures") == [
        ("factory", "factory:1", "PCB01", started, "power", "too low", 2)
    ]
    assert await view.rows("SELECT * FROM measurements") == [
        ("factory", "factory:1", "PCB01", started, "power", "voltage", 1.5, "", "V", 1.0, 2.0, "pass")
    ]
    (row,) = await view.rows("SELECT * FROM runs")
    assert Run(*row) == run(1, duration_s=1.25, started_at=started)
    assert len(Measurement._fields) == 12
