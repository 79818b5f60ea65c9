"""Bodies of the portal's changes as pydantic models. Imported when the first change comes: pydantic is slow to load."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, Field, StrictBool, StringConstraints, ValidationError

from testlab_sim.stbtester.service import Refusal

Text = Annotated[str, StringConstraints(pattern=r"\S")]
Seconds = Annotated[int, Field(strict=True, gt=0, lt=10**9)]
RemoteControl = Literal["stb4k", "roku", "firetv", "appletv", "Sony_RM-ED022"]
"""Files in `config/remote-control/`; the first is `test_pack.default_remote_control`."""
TestCaseName = Annotated[str, StringConstraints(pattern=r"^[^:\s][^:]*::\w+$")]
Category = Annotated[
    str,
    StringConstraints(pattern=r"^([^/:$.\-\x00-\x1f\x7f-\x9f][^/:$\x00-\x1f\x7f-\x9f]*|refs/snapshots/[\w@.\-]+)$"),
]
"""stbt_rig 33.1.0 sends its snapshot branch as the category, against the rule that there be no slash."""
TagName = Annotated[
    str, StringConstraints(pattern=r"^[^/\-._:=$<>\x00-\x1f\x7f-\x9f][^:=$<>\x00-\x1f\x7f-\x9f]{0,498}$")
]
TagValue = Annotated[str, StringConstraints(max_length=499)]


class JobBody(BaseModel):
    node_id: Text
    test_pack_revision: Text
    test_cases: Annotated[list[TestCaseName], Field(min_length=1)]
    remote_control: RemoteControl | None = None
    category: Category | None = None
    soak: Literal["run once", "run forever"] | None = None
    shuffle: StrictBool | None = None
    tags: dict[TagName, TagValue] | None = None


class ReservationBody(BaseModel):
    node_ids: Annotated[list[Text], Field(min_length=1)]
    message: Text
    duration_secs: Seconds | None = None


class ExtensionBody(BaseModel):
    duration_secs: Seconds


class InterruptionBody(BaseModel):
    message: Text


class PressBody(BaseModel):
    key: str
    test_pack_revision: str = "main"
    remote_control: RemoteControl = "stb4k"


BodyT = TypeVar("BodyT", bound=BaseModel)


def parse(model: type[BodyT], fields: dict[str, Any]) -> BodyT:
    """The body as `model`; what does not fit is a 400 that names its field."""
    try:
        return model.model_validate(fields)
    except ValidationError as error:
        first = error.errors()[0]
        raise Refusal(400, f'"{first["loc"][0]}": {first["msg"]}') from None
