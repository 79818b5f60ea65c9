"""What only files can do: be shared by processes, be damaged, fill a disk, and be many."""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from testlab_tools.archive import engine, parquet_writer
from testlab_tools.archive.manifest import NAME, Manifest
from testlab_tools.archive.parquet import ParquetStore
from testlab_tools.archive.parquet_files import MAX_SMALL_FILES
from testlab_tools.archive.store import HistoryDamaged, TooLarge
from testlab_tools.errors import LabError, Unsupported
from tests.tools.archive.conftest import KEY, fill, measurement, run
from tests.tools.statistics.references import duckdb

ROOT = Path(__file__).parents[3]
COUNTS = "SELECT (SELECT count(*) FROM runs), (SELECT count(*) FROM measurements)"


def files(store: ParquetStore, pattern: str = "*.parquet") -> list[Path]:
    return sorted(store.folder_of(KEY).glob(pattern))


def edit(change: Callable[[dict[str, Any]], object]) -> Callable[[ParquetStore], None]:
    def edited(store: ParquetStore) -> None:
        path = store.folder_of(KEY) / NAME
        document = json.loads(path.read_text(encoding="utf-8"))
        change(document)
        path.write_text(json.dumps(document), encoding="utf-8")

    return edited


def flip_byte(store: ParquetStore) -> None:
    path = files(store, "runs-*")[0]
    content, seen = bytearray(path.read_bytes()), path.stat()
    content[len(content) // 3] ^= 0xFF
    path.write_bytes(content)
    assert path.stat().st_size == seen.st_size


def put_foreign(store: ParquetStore) -> None:
    path = files(store, "runs-*")[0]
    duckdb.sql(f"COPY (SELECT 'factory' AS service, 1 AS evil) TO '{str(path).replace(chr(39), chr(39) * 2)}'")


DAMAGE: dict[str, tuple[Callable[[ParquetStore], object], str]] = {
    "a list of files that is no JSON": (lambda s: (s.folder_of(KEY) / NAME).write_bytes(b"\xff{"), "damaged"),
    "a list of files that is empty": (lambda s: (s.folder_of(KEY) / NAME).write_bytes(b""), "damaged"),
    "a deep list of files": (lambda s: (s.folder_of(KEY) / NAME).write_bytes(b"[" * 10**6), "damaged"),
    "a list of files that is missing": (lambda s: (s.folder_of(KEY) / NAME).unlink(), "missing"),
    "an older version": (edit(lambda m: m.update(version=0)), "another version"),
    "a newer version": (edit(lambda m: m.update(version=99)), "another version"),
    "another history": (edit(lambda m: m.update(history="cloud-9")), "another history"),
    "another program": (edit(lambda m: m.update(format="iceberg")), "not of this server"),
    "a list of other folders' files": (edit(lambda m: m["files"][0].update(name="../../x.parquet")), "damaged"),
    "a file that is cut": (lambda s: os.truncate(files(s, "runs-*")[0], 100), "cut or changed"),
    "a file with one byte changed": (flip_byte, "changed"),
    "a file that is missing": (lambda s: files(s, "runs-*")[0].unlink(), "missing"),
    "a file of something else": (put_foreign, "changed"),
}


@pytest.mark.parametrize("what", DAMAGE)
async def test_a_damaged_history_is_thrown_away_and_that_is_said(parquet: ParquetStore, what: str) -> None:
    damage, said = DAMAGE[what]
    await fill(parquet, 50)
    old = files(parquet)
    damage(parquet)
    reader = ParquetStore(parquet.folder)
    for _ in range(2):  # also after it was thrown away, until it is filled again
        with pytest.raises(HistoryDamaged, match=f"{said}.*fetched anew"):
            await reader.view([KEY]).rows("SELECT count(*) FROM runs")
    assert said in (await reader.read_state(KEY)).lost
    async with reader.write(KEY) as writer:
        assert said in writer.lost
        assert writer.sync == {}
        await writer.append("runs", [run(1)])
        state = await writer.commit()
    assert (state.rows["runs"], state.lost) == (1, "")
    assert await parquet.view([KEY]).rows(COUNTS) == [(1, 0)]
    assert not set(old) & set(files(parquet))
    reader.engine.close()


@pytest.mark.parametrize("what", DAMAGE)
async def test_a_writer_finds_the_damage_that_nobody_has_read(parquet: ParquetStore, what: str) -> None:
    damage, said = DAMAGE[what]
    await fill(parquet, 50)
    damage(parquet)
    async with ParquetStore(parquet.folder).write(KEY) as writer:
        assert said in writer.lost
        await writer.commit()
    assert await parquet.view([KEY]).rows(COUNTS) == [(0, 0)]
    assert (await parquet.read_state(KEY)).lost == ""


async def test_only_the_user_can_read_what_is_kept(parquet: ParquetStore) -> None:
    await fill(parquet, 50)
    folder = parquet.folder_of(KEY)
    assert {path.stat().st_mode & 0o777 for path in (parquet.folder, folder)} == {0o700}
    assert {path.stat().st_mode & 0o777 for path in (*folder.iterdir(), *parquet.folder.glob("*.lock"))} == {0o600}


async def test_small_files_of_a_month_are_made_one_and_old_files_go(
    parquet: ParquetStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(40):
        if number == 20:
            monkeypatch.setattr(parquet_writer, "RETIRED_KEPT_S", 0.0)
        async with parquet.write(KEY) as writer:
            await writer.append("runs", [run(0, run_id=f"factory:{number}")])
            await writer.append("measurements", [measurement(0)._replace(run_id=f"factory:{number}")])
            await writer.commit()
        assert await parquet.view([KEY]).rows(COUNTS) == [(number + 1, number + 1)]
        named = [file.name for file in parquet.read_manifest(KEY).files]
        assert len(named) < 2 * MAX_SMALL_FILES
    async with parquet.write(KEY) as writer:
        await writer.append("runs", [run(0)])
        await writer.commit()
    assert {path.name for path in files(parquet)} >= set(named)
    assert len(files(parquet)) < 4 * MAX_SMALL_FILES


async def test_a_reader_whose_files_were_removed_reads_the_list_again(
    parquet: ParquetStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    await fill(parquet, 30)
    stale = parquet.read_manifest(KEY)
    async with parquet.write(KEY) as writer:
        await writer.replace("runs", [run(n, ended_as="error") for n in range(30)])
        await writer.commit()
    for file in stale.files_of("runs"):
        (parquet.folder_of(KEY) / file.name).unlink()
    seen: list[Manifest] = [stale]
    monkeypatch.setattr(
        parquet, "read_manifest", lambda key: seen.pop() if seen else ParquetStore.read_manifest(parquet, key)
    )
    assert await parquet.view([KEY]).rows("SELECT ended_as, count(*) FROM runs GROUP BY 1") == [("error", 30)]
    assert not seen


def start_writing(folder: Path, first: int, count: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.tools.archive.writing_process", str(folder), KEY, str(first), str(count)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)


async def test_others_read_while_processes_take_turns_to_write(parquet: ParquetStore) -> None:
    view, read = parquet.view([KEY]), [(0, 0)]
    with start_writing(parquet.folder, 0, 12) as first, start_writing(parquet.folder, 100, 12) as second:
        while first.poll() is None or second.poll() is None:
            read += await view.rows(COUNTS)
        assert (first.returncode, second.returncode) == (0, 0)
    read += await view.rows(COUNTS)
    assert read == sorted(read)
    assert all(measured == 2 * runs for runs, measured in read)
    assert read[-1] == (24, 48)
    assert len(set(read)) > 2


async def test_a_writer_that_is_killed_leaves_what_it_had_committed(parquet: ParquetStore) -> None:
    with start_writing(parquet.folder, 0, 1000) as writer:
        assert writer.stdout
        committed = -1
        while committed < 5:
            committed = int(writer.stdout.readline().split()[1])
        (parquet.folder_of(KEY) / "runs-2026-01-0123456789abcdef.parquet").write_bytes(b"half of a file")
        writer.kill()
        said = re.findall(r"committed (\d+)\n", writer.stdout.read())
    committed = int(said[-1]) if said else committed
    ((runs, measured),) = await parquet.view([KEY]).rows(COUNTS)
    assert runs in (committed + 1, committed + 2)  # it may have been killed before it could say so
    assert measured == 2 * runs
    await fill(parquet, 1)
    manifest = parquet.read_manifest(KEY)
    assert {path.name for path in files(parquet)} == {file.name for file in manifest.files} | set(manifest.retired)


@pytest.mark.skipif(sys.platform != "linux", reason="needs a limit on the size of files")
@pytest.mark.parametrize("most_bytes", [0, 900, 6000])
async def test_a_full_disk_is_said_and_nothing_is_lost(parquet: ParquetStore, most_bytes: int) -> None:
    import resource

    await fill(parquet, 100)
    before = await parquet.read_state(KEY)
    names = {path.name for path in parquet.folder_of(KEY).iterdir()}
    async with parquet.write(KEY) as writer:
        await writer.append("runs", [run(n, unit=os.urandom(200).hex()) for n in range(100, 400)])
        writer.sync["cursor"] = 2
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes, hard))
        try:
            with pytest.raises(LabError, match=r"History cannot be written: File too large.*Make space"):
                await writer.commit()
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert await parquet.read_state(KEY) == before
        assert await parquet.view([KEY]).rows("SELECT count(*) FROM runs") == [(100,)]
        assert {path.name for path in parquet.folder_of(KEY).iterdir()} == names
        assert (await writer.commit()).rows["runs"] == 400  # once there is space


@pytest.mark.skipif(sys.platform != "linux", reason="needs a limit on the size of files")
async def test_a_question_that_fills_the_disk_is_said_to(
    parquet: ParquetStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    import resource

    monkeypatch.setattr(engine, "MEMORY", "8MiB")
    await fill(parquet, 10)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        with pytest.raises(TooLarge, match="more memory, or space on disk"):
            await parquet.view([KEY]).rows(
                "WITH RECURSIVE many AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM many WHERE n < 20), "
                "wide AS (SELECT md5(CAST(a.n * b.n * c.n * d.n AS TEXT)) AS t, row_number() OVER () AS n "
                "FROM many a, many b, many c, many d, runs) "
                "SELECT n, t, sum(n) OVER (PARTITION BY t ORDER BY n) FROM wide ORDER BY t, n LIMIT 1 OFFSET 100000"
            )
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert await parquet.view([KEY]).rows(COUNTS) == [(10, 10)]


async def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder", encoding="utf-8")
    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(LabError, match=r"History cannot be written.*\[archive\] path"):
            await fill(ParquetStore(folder), 1)
        with pytest.raises(LabError, match=r"History cannot be (read|written).*\[archive\] path"):
            await ParquetStore(folder).view([KEY]).rows(COUNTS)


async def test_a_cancelled_commit_ends_before_the_lock_is_free(parquet: ParquetStore) -> None:
    staged = asyncio.Event()

    async def write() -> None:
        async with parquet.write(KEY) as writer:
            await writer.append("runs", map(run, range(3000)))
            staged.set()
            await writer.commit()

    task = asyncio.create_task(write())
    await staged.wait()
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    async with parquet.write(KEY):
        manifest = parquet.read_manifest(KEY)
        assert {path.name for path in files(parquet)} == {file.name for file in manifest.files}
    ((count,),) = await parquet.view([KEY]).rows("SELECT count(*) FROM runs")
    assert count in (0, 3000)


@pytest.mark.parametrize(
    "sql", ["SELECT * FROM read_text('/etc/passwd')", "COPY runs TO '/tmp/x.csv'", "SET threads = 64"]
)
async def test_a_query_reaches_nothing_but_the_archive(parquet: ParquetStore, sql: str) -> None:
    await fill(parquet, 1)
    with pytest.raises(duckdb.Error):
        await parquet.view([KEY]).rows(sql)


async def test_without_duckdb_the_line_that_installs_it_is_said(
    parquet: ParquetStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "duckdb", None)
    with pytest.raises(Unsupported, match=r'pip install "testlab-mcp\[statistics\]"'):
        await parquet.view([KEY]).rows("SELECT count(*) FROM runs")


async def test_questions_that_come_at_once_wait_for_each_others_memory(
    parquet: ParquetStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "MEMORY", "64MiB")
    await fill(parquet, 100)
    sql = (
        "SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY a.value * 1000 + b.value + c.value) "
        "FROM measurements a, measurements b, (SELECT value FROM measurements LIMIT 100) c"
    )
    found = await asyncio.gather(*(parquet.view([KEY]).rows(sql) for _ in range(4)))
    assert len({row for rows in found for row in rows}) == 1
