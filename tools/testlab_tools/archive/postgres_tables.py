"""The tables of history in PostgreSQL, in a schema of their own: each row has the key of its history in front."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from psycopg import Connection
from psycopg.sql import SQL, Composable, Identifier

from testlab_tools.archive.schema import TABLES, VERSION, Table, columns

SCHEMA = f"testlab_history_{VERSION}"
"""Each version has its own: servers of two versions may share a database for a while."""
LOCK_CLASS = 0x7E57_1AB1
"""Of advisory locks: 0 of it while tables are created, else the hash of a history's key."""
_INDEXES: Mapping[Table, tuple[str, ...]] = {
    "runs": ("history, started_at", "history, unit, test, started_at"),
    "failures": ("history, run_id", "history, started_at"),
    "measurements": ("history, run_id", "history, test, name, started_at"),
}
_TYPES: Mapping[str, Composable] = {name: SQL(name) for name in ("TIMESTAMP", "DOUBLE PRECISION", "INTEGER")}


def create_tables(session: Connection[tuple[Any, ...]]) -> None:
    """Create what is missing. Blocks. Raises psycopg.Error."""
    session.execute(SQL("SELECT pg_advisory_xact_lock(%s, 0)"), [LOCK_CLASS])
    session.execute(SQL("CREATE SCHEMA IF NOT EXISTS {}").format(Identifier(SCHEMA)))
    session.execute(
        SQL(
            "CREATE TABLE IF NOT EXISTS {} (history TEXT PRIMARY KEY, sync TEXT NOT NULL, "
            "runs BIGINT NOT NULL, failures BIGINT NOT NULL, measurements BIGINT NOT NULL)"
        ).format(qualify("histories"))
    )
    _create_lower(session)
    for table in TABLES:
        defined = [
            SQL("{} {}").format(Identifier(name), _TYPES.get(sql_type, SQL('TEXT COLLATE "C"')))
            for name, sql_type in columns(table).items()
        ]
        key = [SQL("PRIMARY KEY (history, run_id)")] if table == "runs" else []
        body = SQL(", ").join([SQL('history TEXT COLLATE "C" NOT NULL'), *defined, *key])
        session.execute(SQL("CREATE TABLE IF NOT EXISTS {} ({})").format(qualify(table), body))
        for number, indexed in enumerate(_INDEXES[table]):
            names = SQL(", ").join(map(Identifier, indexed.split(", ")))
            name = Identifier(f"{table}_{number}")
            session.execute(SQL("CREATE INDEX IF NOT EXISTS {} ON {} ({})").format(name, qualify(table), names))


def _create_lower(session: Connection[tuple[Any, ...]]) -> None:
    """`lower` of any letter, as DuckDB has it: that of the columns' own order, by code point, knows A to Z alone."""
    named = [f"{SCHEMA}.lower(text)"]
    if session.execute("SELECT to_regprocedure(%s) IS NOT NULL", named).fetchone() == (True,):
        return
    icu = session.execute("SELECT 1 FROM pg_collation WHERE collname = 'und-x-icu'").fetchone()
    session.execute(
        SQL(
            "CREATE FUNCTION {}(text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE "
            "AS 'SELECT pg_catalog.lower($1 COLLATE {})'"
        ).format(qualify("lower"), Identifier("und-x-icu" if icu else "default"))
    )


def qualify(table: str) -> Identifier:
    """A table with its schema."""
    return Identifier(SCHEMA, table)


def list_columns(table: Table) -> Composable:
    """The columns of a table, without the history's key."""
    return SQL(", ").join(map(Identifier, columns(table)))
