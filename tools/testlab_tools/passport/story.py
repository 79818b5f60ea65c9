"""What all services told of a unit and of what is built into it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from testlab_tools.errors import LabError
from testlab_tools.models import Run, Unit
from testlab_tools.passport.others import History, Others
from testlab_tools.passport.procedures import by_procedure


@dataclass
class Story:
    """One unit: `runs` oldest first, each once; `records` by the registries that know it; `cut` names services that
    have more runs of it than were read."""

    serial: str
    runs: list[Run] = field(default_factory=lambda: list[Run]())
    records: list[Unit] = field(default_factory=lambda: list[Unit]())
    cut: set[str] = field(default_factory=lambda: set[str]())
    doubles: int = 0

    @property
    def part(self) -> str:
        """As a registry knows it, else as its runs do."""
        known = (*(record.part for record in self.records), *(run.part for run in reversed(self.runs)))
        return next((part for part in known if part), "")

    @property
    def sample(self) -> str:
        """golden, failing or ignored, if anybody says so."""
        said = (*(record.sample for record in self.records), *(run.sample for run in self.runs))
        return next((sample for sample in said if sample), "")

    @property
    def history(self) -> History:
        """Its runs per procedure."""
        return by_procedure(self.runs)


@dataclass
class Told:
    """A unit and its sub-units, with others of their parts; `silent` services failed, `unasked` ones were left out,
    `unread` sub-units were not looked at."""

    unit: Story
    sub_units: list[Story]
    others: dict[str, Others]
    silent: dict[str, LabError]
    unasked: list[str]
    unread: bool = False

    @property
    def stories(self) -> Iterator[Story]:
        """The unit, then its sub-units."""
        yield self.unit
        yield from self.sub_units

    def beside(self, story: Story) -> Others:
        """What a unit is compared with."""
        return self.others.get(story.part.casefold(), Others())
