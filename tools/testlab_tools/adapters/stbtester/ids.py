"""Ids that a portal makes, each of one shape: they stand in paths, in its search grammar, in handles and in sentences.

From the examples of its REST API: node `stb-tester-abcdef123456`; job `/stb-tester-abcdef123456/0a23/972`;
result `/stb-tester-abcdef123456/0a23/972/2015-05-28_14.46.34` ("Run tests", "Get list of test results").
Only a node's can hold words: 40 characters, without spaces.
"""

from __future__ import annotations

import re
from typing import Annotated
from urllib.parse import quote

from pydantic import Field

from testlab_tools.errors import NotFound

_NODE = r"(?!\.|[\w.-]*\.\.)[\w.-]{1,40}"
_JOB = rf"/?{_NODE}/[0-9A-Za-z]{{1,8}}/[0-9]{{1,10}}"
_RESULT = rf"{_JOB}/(?![\w.:-]*\.\.)[\w.:-]{{1,32}}"
NODE_ID = re.compile(_NODE, re.ASCII)
JOB_UID = re.compile(_JOB, re.ASCII)
RESULT_ID = re.compile(_RESULT, re.ASCII)

NodeId = Annotated[str, Field(pattern=re.compile(rf"^{_NODE}\Z", re.ASCII))]
JobUid = Annotated[str, Field(pattern=re.compile(rf"^{_JOB}\Z", re.ASCII))]
ResultId = Annotated[str, Field(pattern=re.compile(rf"^{_RESULT}\Z", re.ASCII))]


def node_of(native: str) -> str:
    """The node in a job's or result's id."""
    return native.strip("/").partition("/")[0]


def path_of(native: str) -> str:
    """A result or job id as it stands in a path: the portal's ids begin with `/` and are joined as they are.

    Raises NotFound for what cannot be the id of either.
    """
    bare = native.strip("/")
    if not (JOB_UID.fullmatch(bare) or RESULT_ID.fullmatch(bare)):
        raise NotFound("There is no such run or job", "", "list_runs and list_nodes show the ids there are.")
    return quote("/" + bare, safe="/:._-")
