"""The contents of files that wait to be sent, in the database of the deliveries; deleted when they have arrived."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import sqlalchemy as sa

from testlab_tools.durable.workflows import Workflows
from testlab_tools.errors import LabError


class BlobStore:
    """Contents by delivery, numbered from 0; all generations of a delivery share them."""

    def __init__(self, workflows: Workflows) -> None:
        """Create the table if need be. Raises what SQLAlchemy raises when the database refuses."""
        self._workflows = workflows
        self._table = workflows.create_table(
            "delivery_files",
            sa.Column("delivery_id", sa.Text, primary_key=True),
            sa.Column("number", sa.Integer, primary_key=True),
            sa.Column("content", sa.LargeBinary, nullable=False),
        )

    def put(self, transaction: sa.Connection, delivery_id: str, contents: Sequence[bytes]) -> None:
        """Store contents in place of those the delivery had, once the transaction is committed."""
        transaction.execute(self._delete_of([delivery_id]))
        for number, content in enumerate(contents):
            row = {"delivery_id": delivery_id, "number": number, "content": content}
            transaction.execute(self._table.insert().values(row))

    def read(self, delivery_id: str, number: int) -> bytes:
        """The content of a file. Raises LabError when it is not there."""
        at = sa.and_(self._table.c.delivery_id == delivery_id, self._table.c.number == number)
        with self._workflows.transaction() as connection:
            content = connection.execute(sa.select(self._table.c.content).where(at)).scalar_one_or_none()
        if content is None:
            raise LabError(
                "A file of the delivery is no longer in the database",
                "It was taken out from outside",
                "Give what is to be delivered again.",
            )
        return bytes(content)

    def delivery_ids(self) -> set[str]:
        """The deliveries that have any contents."""
        with self._workflows.transaction() as connection:
            return set(connection.execute(sa.select(self._table.c.delivery_id).distinct()).scalars())

    def delete(self, delivery_ids: Iterable[str]) -> None:
        """Delete all contents of these deliveries."""
        with self._workflows.transaction() as connection:
            connection.execute(self._delete_of(delivery_ids))

    def _delete_of(self, delivery_ids: Iterable[str]) -> sa.Delete:
        return self._table.delete().where(self._table.c.delivery_id.in_(list(delivery_ids)))
