"""`testlab-mcp audit verify`: is the audit whole?"""

from __future__ import annotations

from pathlib import Path

from testlab_mcp.audit.chain import ChainPosition, parts_of
from testlab_mcp.audit.verify import MAX_FINDINGS, verify
from testlab_mcp.config.loading import find_config, load_config
from testlab_tools.errors import BadInput, ConfigError


def audit_verify(file: str, config_file: str, anchor: str) -> int:
    """Print what was found, a line each. Returns 0 when the audit is whole, else 1.

    Raises:
        ConfigError: there is no such file, or the config keeps none.
        BadInput: the anchor is not SEQ:HASH.
    """
    path = Path(file).expanduser() if file else load_config(find_config(config_file)).audit_file()
    if path is None:
        raise ConfigError("this config keeps no audit file", "", "Name the file.")
    if not parts_of(path):
        raise ConfigError(f"there is no audit at {path}", "", "No call has changed anything yet, or it was removed.")
    known = ChainPosition.parse(anchor) if anchor else None
    if anchor and known is None:
        raise BadInput("--anchor takes SEQ:HASH", "", "As an earlier check printed it.")
    verdict = verify(path, known)
    for finding in verdict.findings[:MAX_FINDINGS]:
        where = f"{finding.path.name}, line {finding.line}" if finding.line else finding.path.name
        print(f"{where}: {finding.what}")
    if len(verdict.findings) > MAX_FINDINGS:
        print(f"and {len(verdict.findings) - MAX_FINDINGS} more")
    for note in verdict.notes:
        print(f"note: {note}")
    state = f"{len(verdict.findings)} wrong" if verdict.findings else "whole"
    print(f"{path}: {verdict.lines} lines, {state}; the last is {verdict.last}")
    return 1 if verdict.findings else 0
