"""The device authorization grant (RFC 8628): a code that the user confirms in a browser, and the wait for it."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Awaitable, Callable
from urllib.parse import urlsplit

from pydantic import ConfigDict, SecretStr, ValidationError

from testlab_tools.errors import AuthError, BadReply, LabError, RateLimited, Refused, ServiceDown
from testlab_tools.late_model import LateModel
from testlab_tools.signin.protocol import DEVICE_GRANT, Provider, Tokens, is_protected, post_form, request_tokens

SLOWER_SECONDS = 5
"""What `slow_down` adds to the interval (section 3.5), and the default interval (section 3.2)."""
_USER_CODE = re.compile(r"[A-Za-z0-9][A-Za-z0-9 -]{0,39}")


class _DeviceReply(LateModel):
    device_code: SecretStr
    user_code: str
    verification_uri: str
    verification_uri_complete: str = ""
    expires_in: float
    interval: float = SLOWER_SECONDS


class PendingSignIn(LateModel):
    """A sign-in under way: the user opens `page` and sees `user_code` there. Times in seconds."""

    model_config = ConfigDict(frozen=True)

    page: str
    user_code: str
    device_code: SecretStr
    expires_in: float
    interval: float


async def start_sign_in(provider: Provider) -> PendingSignIn:
    """Request a code (section 3.1).

    Raises:
        AuthError: the service does not know this client.
        BadReply: the answer lacks a field, or names a page that is not the service's own.
    """
    form = {"client_id": provider.client_id, "scope": provider.scope}
    if provider.audience:
        form["audience"] = provider.audience
    answer = await post_form(provider, provider.device_path, form)
    if isinstance(answer, str):
        raise _to_error(provider, answer)
    try:
        reply = _DeviceReply.model_validate(answer)
    except ValidationError:
        raise _unusable(provider, "A field is missing or of another type") from None
    pages = (reply.verification_uri_complete, reply.verification_uri)
    page = next((page for page in pages if page and _is_own_page(provider, page)), "")
    if not page:
        raise _unusable(provider, "The page it names for the browser is not its own")
    if not _USER_CODE.fullmatch(reply.user_code):
        raise _unusable(provider, "The code it shows is not one a person could compare")
    return PendingSignIn(
        page=page,
        user_code=reply.user_code,
        device_code=reply.device_code,
        expires_in=reply.expires_in,
        interval=min(max(reply.interval, 1.0), 60.0),
    )


async def wait_for_confirmation(
    provider: Provider, waiting: PendingSignIn, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
) -> Tokens:
    """Poll until the user has confirmed, no more often than the service allows (sections 3.4, 3.5).

    Raises:
        Refused: the user denied the sign-in, or let the code expire.
        AuthError: the service refuses for another reason.
    """
    interval, spent = waiting.interval, 0.0
    form = {"grant_type": DEVICE_GRANT, "device_code": waiting.device_code.get_secret_value()}
    while (spent := spent + interval) <= waiting.expires_in:
        await sleep(interval)
        try:
            answer = await request_tokens(provider, form, time.time())
        except (ServiceDown, RateLimited):
            # Section 3.5: no answer is to be met with longer pauses.
            interval *= 2
            continue
        if isinstance(answer, Tokens):
            return answer
        if answer == "slow_down":
            interval += SLOWER_SECONDS
        elif answer != "authorization_pending":
            raise _to_error(provider, answer)
    raise _to_error(provider, "expired_token")


def _is_own_page(provider: Provider, page: str) -> bool:
    """Whether a page may be shown to the user: encrypted, on the service's own host, and nothing hidden in it."""
    if not (page.isascii() and page.isprintable()) or " " in page or len(page) > 2000:
        return False
    try:
        shown = urlsplit(page)
        own = urlsplit(provider.endpoint.url)
        return is_protected(page) and shown.hostname == own.hostname and not (shown.username or shown.password)
    except ValueError:
        return False


def _to_error(provider: Provider, error: str) -> LabError:
    """The error for an error code. The description that comes with it is untrusted, and not quoted."""
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
