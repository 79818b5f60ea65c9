"""How a run of a test case ends: a pure function of revision, test case, node and run."""

from __future__ import annotations

from dataclasses import dataclass

from testlab_sim.seeded_random import between, chance
from testlab_sim.stbtester.test_cases import NO_VIDEO, Failure
from testlab_sim.stbtester.test_pack import Revision

_NO_PICTURE = 0.85
"""Share of runs that see no video at all on a node whose HDMI capture has come loose."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """`seconds` is the nominal length of the run; `failure` is None when it passed."""

    seconds: float
    failure: Failure | None

    @property
    def result(self) -> str:
        return self.failure.result if self.failure else "pass"


def outcome_of(revision: Revision, name: str, picture: bool, key: tuple[object, ...]) -> Outcome:
    """`picture` is whether the node's video capture works; `key` names the run and decides its luck."""
    case = revision.cases.get(name)
    if case is None:
        return Outcome(1.0, _not_found(revision, name))
    if not picture and chance(*key, "video") < _NO_PICTURE:
        return Outcome(10.5, NO_VIDEO)
    seconds = case.seconds * between(0.85, 1.2, *key, "length")
    if revision.age >= case.broken_since or chance(*key, "flaky") < case.flaky:
        return Outcome(seconds + 4, case.failure)
    return Outcome(seconds, None)


def _not_found(revision: Revision, name: str) -> Failure:
    file, _, function = name.partition("::")
    module = file.removesuffix(".py").replace("/", ".")
    if any(case.file == file for case in revision.cases.values()):
        message = f"module '{module}' has no attribute '{function}'"
        return Failure("AttributeError", message, f"function = getattr(module, {function!r})")
    message = f"[Errno 2] No such file or directory: '{file}'"
    return Failure("FileNotFoundError", message, f"module = import_by_filename({file!r})")
