"""A report as read, whichever framework wrote it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from uuid import NAMESPACE_OID, UUID, uuid5

from testlab_tools.errors import BadInput
from testlab_tools.questions import NewRun
from testlab_tools.untrusted import plain


@dataclass(frozen=True)
class Attachment:
    """A file inside a report."""

    name: str
    data: bytes


@dataclass(frozen=True)
class Report:
    """The run that a report tells of.

    Its `serial_number` and `procedure_id` are empty where the report names none. `ref` is made from the content.
    `dropped` says, in our words, what the report holds and a run does not keep.
    """

    run: NewRun
    dropped: tuple[str, ...] = ()
    attachments: tuple[Attachment, ...] = ()

    @property
    def missing(self) -> list[str]:
        """What a run must have and the report does not name."""
        return [name for name in ("serial_number", "procedure_id") if not getattr(self.run, name)]

    def about(self, serial_number: str = "", procedure_id: str = "", part_number: str = "") -> Report:
        """With these in place of what it names; another unit or procedure is another run, of another ref."""
        run = self.run
        serial = plain(serial_number).strip() or run.serial_number
        procedure = plain(procedure_id).strip() or run.procedure_id
        ref = run.ref
        if (serial, procedure) != (run.serial_number, run.procedure_id):
            ref = str(uuid5(UUID(ref), f"{serial.casefold()}\n{procedure.casefold()}"))
        name = run.procedure_name if procedure == run.procedure_id else ""
        part = plain(part_number).strip() or run.part_number
        changed = replace(
            run, serial_number=serial, procedure_id=procedure, procedure_name=name, part_number=part, ref=ref
        )
        return replace(self, run=changed)

    def whole(self) -> NewRun:
        """The run, ready to be recorded. Raises BadInput when something is missing."""
        if self.missing:
            names = " and ".join(self.missing)
            raise BadInput(f"The report names no {' and no '.join(self.missing)}", "", f"Give {names} as well.")
        return self.run


def ref_of(framework: str, digest: str) -> str:
    """The `ref` of a run read from a report with this digest."""
    return str(uuid5(NAMESPACE_OID, f"{framework} {digest}"))


def counted(number: int, what: str) -> tuple[str, ...]:
    """`2 charts`, `1 chart`; nothing for none."""
    return (f"{number} {what}{'' if number == 1 else 's'}",) if number else ()
