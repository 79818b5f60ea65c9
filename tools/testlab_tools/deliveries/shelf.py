"""The contents of files that wait to be sent, in the database of the deliveries; taken away when they have arrived."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError
from sqlalchemy.schema import CreateTable

from testlab_tools.deliveries.database import SCHEMA, Database
from testlab_tools.errors import LabError


class Shelf:
    """Contents by delivery, numbered from 0, whatever round the delivery is in."""

    def __init__(self, database: Database) -> None:
        """Create the table if need be. Raises what SQLAlchemy raises when the database does not let us."""
        url = sa.make_url(database.url)
        local = url.get_backend_name() == "sqlite"
        self.engine = (
            sa.create_engine(url, connect_args={"timeout": 30})
            if local
            else sa.create_engine(url.set(drivername="postgresql+psycopg"), pool_pre_ping=True)
        )
        self._table = sa.Table(
            "delivery_files",
            sa.MetaData(schema=None if local else SCHEMA),
            sa.Column("delivery_id", sa.Text, primary_key=True),
            sa.Column("number", sa.Integer, primary_key=True),
            sa.Column("content", sa.LargeBinary, nullable=False),
        )
        self._create()

    def put(self, connection: sa.Connection, delivery_id: str, contents: Sequence[bytes]) -> None:
        """Keep these in place of what it had; they are there once the connection's transaction is."""
        connection.execute(self._of([delivery_id]))
        for number, content in enumerate(contents):
            row = {"delivery_id": delivery_id, "number": number, "content": content}
            connection.execute(self._table.insert().values(row))

    def take(self, delivery_id: str, number: int) -> bytes:
        """The content of a file. Raises LabError when it is not there."""
        at = sa.and_(self._table.c.delivery_id == delivery_id, self._table.c.number == number)
        with self.engine.connect() as connection:
            content = connection.execute(sa.select(self._table.c.content).where(at)).scalar_one_or_none()
        if content is None:
            raise LabError(
                "A file of the delivery is no longer in the database",
                "It was taken out from outside",
                "Give what is to be delivered again.",
            )
        return bytes(content)

    def held(self) -> set[str]:
        """The deliveries that have any."""
        with self.engine.connect() as connection:
            return set(connection.execute(sa.select(self._table.c.delivery_id).distinct()).scalars())

    def drop(self, delivery_ids: Iterable[str]) -> None:
        """Take away all that these have."""
        with self.engine.begin() as connection:
            connection.execute(self._of(delivery_ids))

    def close(self) -> None:
        """Close the connections."""
        self.engine.dispose()

    def _of(self, delivery_ids: Iterable[str]) -> sa.Delete:
        return self._table.delete().where(self._table.c.delivery_id.in_(list(delivery_ids)))

    def _create(self) -> None:
        """PostgreSQL lets two sessions run into each other here, IF NOT EXISTS or not."""
        try:
            with self.engine.begin() as connection:
                connection.execute(CreateTable(self._table, if_not_exists=True))
        except DBAPIError:
            if not sa.inspect(self.engine).has_table(self._table.name, self._table.schema):
                raise
