"""A database of its own on the PostgreSQL server of this machine."""

from __future__ import annotations

import socket
from collections.abc import Generator
from contextlib import contextmanager
from typing import LiteralString
from uuid import uuid4

import psycopg
import pytest
from psycopg.sql import SQL, Identifier

SERVER = "postgresql://127.0.0.1:5432"


@contextmanager
def fresh_database(options: LiteralString = "") -> Generator[str]:
    """The URL of a database made with these options, dropped at the end; skips the test where no server answers."""
    with socket.socket() as probe:
        if probe.connect_ex(("127.0.0.1", 5432)):
            pytest.skip("no PostgreSQL answers on 127.0.0.1:5432")
    name = f"testlab_{uuid4().hex[:12]}"
    with psycopg.connect(f"{SERVER}/postgres", autocommit=True) as session:
        session.execute(SQL("CREATE DATABASE {} " + options).format(Identifier(name)))
        try:
            yield f"{SERVER}/{name}"
        finally:
            session.execute(SQL("DROP DATABASE {} WITH (FORCE)").format(Identifier(name)))
