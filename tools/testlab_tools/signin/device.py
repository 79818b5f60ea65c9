"""The device authorization grant (RFC 8628): a code to confirm in a browser, and the wait for it."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Awaitable, Callable
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, SecretStr, ValidationError

from testlab_tools.errors import AuthError, BadReply, LabError, RateLimited, Refused, ServiceDown
from testlab_tools.signin.exchange import DEVICE_GRANT, post, token
from testlab_tools.signin.provider import Provider, guarded
from testlab_tools.signin.tokens import Tokens

SLOWER_SECONDS = 5
"""What `slow_down` adds to the interval (section 3.5), and the interval where the server names none (section 3.2)."""
_USER_CODE = re.compile(r"[A-Za-z0-9][A-Za-z0-9 -]{0,39}")


class _DeviceReply(BaseModel):
    model_config = ConfigDict(defer_build=True)

    device_code: SecretStr
    user_code: str
    verification_uri: str
    verification_uri_complete: str = ""
    expires_in: float
    interval: float = SLOWER_SECONDS


class Waiting(BaseModel):
    """A sign-in under way: `page` is to be opened by the user, who sees `user_code` there. Times in seconds."""

    model_config = ConfigDict(frozen=True, defer_build=True)

    page: str
    user_code: str
    device_code: SecretStr
    expires_in: float
    interval: float


async def begin(provider: Provider) -> Waiting:
    """Ask for a code (section 3.1).

    Raises:
        AuthError: the service does not know this client.
        BadReply: the answer lacks a field, or names a page that is not the service's own.
    """
    form = {"client_id": provider.client_id, "scope": provider.scope}
    if provider.audience:
        form["audience"] = provider.audience
    answer = await post(provider, provider.device_path, form)
    if answer.error:
        raise _refusal(provider, answer.error)
    try:
        told = _DeviceReply.model_validate(answer.body)
    except ValidationError:
        raise _unusable(provider, "A field is missing or of another type") from None
    pages = (told.verification_uri_complete, told.verification_uri)
    page = next((page for page in pages if page and _own_page(provider, page)), "")
    if not page:
        raise _unusable(provider, "The page it names for the browser is not its own")
    if not _USER_CODE.fullmatch(told.user_code):
        raise _unusable(provider, "The code it shows is not one a person could compare")
    return Waiting(
        page=page,
        user_code=told.user_code,
        device_code=told.device_code,
        expires_in=told.expires_in,
        interval=min(max(told.interval, 1.0), 60.0),
    )


async def confirmed(
    provider: Provider, waiting: Waiting, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
) -> Tokens:
    """Wait until the user has confirmed, asking no more often than the service lets us (sections 3.4, 3.5).

    Raises:
        Refused: the user denied it, or let the code expire.
        AuthError: the service refuses for another reason.
    """
    interval, spent = waiting.interval, 0.0
    form = {"grant_type": DEVICE_GRANT, "device_code": waiting.device_code.get_secret_value()}
    while (spent := spent + interval) <= waiting.expires_in:
        await sleep(interval)
        try:
            answer = await token(provider, form, time.time())
        except (ServiceDown, RateLimited):
            # Section 3.5: no answer is to be met with longer pauses.
            interval *= 2
            continue
        if isinstance(answer, Tokens):
            return answer
        if answer == "slow_down":
            interval += SLOWER_SECONDS
        elif answer != "authorization_pending":
            raise _refusal(provider, answer)
    raise _refusal(provider, "expired_token")


def _own_page(provider: Provider, page: str) -> bool:
    """Whether a page may be shown to the user: the service's own host, guarded, and nothing hidden in it."""
    if not (page.isascii() and page.isprintable()) or " " in page or len(page) > 2000:
        return False
    try:
        shown = urlsplit(page)
        own = urlsplit(provider.endpoint.url)
        return guarded(page) and shown.hostname == own.hostname and not (shown.username or shown.password)
    except ValueError:
        return False


def _refusal(provider: Provider, error: str) -> LabError:
    """What an error code means, in our words: its description is the service's own."""
    again = f"Run `testlab-mcp login {provider.service}` again."
    match error:
        case "access_denied":
            return Refused(f"The sign-in to service {provider.service} was denied in the browser", "", again)
        case "expired_token" | "invalid_grant":
            return Refused(f"The sign-in to service {provider.service} was not confirmed in time", "", again)
        case _:
            return AuthError(
                provider.service,
                f"Service {provider.service} does not let this client sign in",
                "It refused the request as invalid",
                f"Use an API key: auth and token_env under [services.{provider.service}].",
            )


def _unusable(provider: Provider, why: str) -> BadReply:
    return BadReply(
        provider.service,
        f"Service {provider.service}'s sign-in cannot be used",
        why,
        "Check that url in its config table points at the service itself.",
    )
