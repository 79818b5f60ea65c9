"""`testlab-mcp record`: record a report of a test framework at a service, from a shell or from CI."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

import anyio

from testlab_mcp.commands.call import Options, call_once, run_until_signal
from testlab_mcp.commands.serve import policy_of, read_config
from testlab_tools.errors import NotFound


def record(report: str, service: str, config_file: str, as_json: bool = False) -> int:
    """Record the run in a report, or in a folder of Allure results, by import_report. Returns 0 when it is recorded or
    queued, and 1 when it is not.

    The person who gives the file may read it, so its folder is readable besides those of `[files]`.

    Raises:
        NotFound: there is no such file; nothing was started.
        ConfigError: the config is wrong.
    """
    path = Path(report).expanduser().resolve()
    if not path.exists():
        raise NotFound("There is no such report", "", "Give the path of a file, or of a folder of Allure results.")
    config = read_config(config_file)()
    from testlab_mcp.commands.call_session import Session

    folders = config.folders()
    files = replace(folders, read_from=(*folders.read_from, path if path.is_dir() else path.parent))
    session = Session(config.lab(), policy_of(config), files, config.audit_logger())
    arguments = {"path": str(path), "service": service}
    options = Options(config_file, as_json=as_json)
    return anyio.run(run_until_signal, partial(call_once, session, "import_report", arguments, options))
