"""What the tables of a config about HTTP must agree on, beyond each being right by itself."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from difflib import get_close_matches

from testlab_mcp.access.settings import CallerSettings, HttpSettings
from testlab_tools.errors import ConfigError
from testlab_tools.settings import token_header


def check_name(name: str, place: str) -> None:
    """Raises ConfigError for a name that could not stand in a folder's or a log's."""
    if not name.replace("_", "").replace("-", "").isalnum() or not name.isascii() or len(name) > 60:
        raise ConfigError(f"{place}: a caller's name is of letters, digits, - and _, at most 60")
    if name == "local":
        raise ConfigError(f"{place}: local is whoever starts this server itself", "", "Take another name.")


def check_callers(
    callers: Mapping[str, CallerSettings], http: HttpSettings, services: Collection[str], where: str
) -> None:
    """Raises ConfigError when a token or subject is two callers', or a service is named that there is not."""
    seen: dict[str, str] = {}
    for name, caller in callers.items():
        place = f"{where}, [callers.{name}]"
        if caller.subject and http.oauth is None:
            raise ConfigError(
                f"{place} has a subject, and there is no [http.oauth]", "", "Say there who issues tokens."
            )
        for key in (f"name {name.casefold()}", caller.token_sha256, f"subject {caller.subject}"):
            if key.removeprefix("subject ") and key in seen:
                what = key.split(" ")[0] if " " in key else "token_sha256"
                raise ConfigError(f"{place} has the {what} of [callers.{seen[key]}]", "", "Each caller has its own.")
            seen[key] = name
        for service in caller.services or ():
            if service not in services:
                near = get_close_matches(service, services, n=1)
                hint = f"Did you mean {near[0]!r}?" if near else f"Configured: {', '.join(services) or 'none'}."
                raise ConfigError(f"{place}: there is no service {service!r}", "", hint)


def check_headers(services: Collection[str], where: str) -> None:
    """Raises ConfigError when callers would send the tokens of two services in the same header."""
    seen: dict[str, str] = {}
    for name in sorted(services):
        header = token_header(name).casefold()
        if header in seen:
            raise ConfigError(
                f"{where}: callers' tokens for {seen[header]} and {name} would come in one header",
                "Header names know neither case nor underscores",
                "Rename one of the two services.",
            )
        seen[header] = name
