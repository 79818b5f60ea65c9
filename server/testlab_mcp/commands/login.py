"""`testlab-mcp login SERVICE` and `logout SERVICE`: sign in to a service without a key, and sign out again."""

from __future__ import annotations

import asyncio

from testlab_mcp.commands.console import paint
from testlab_mcp.config.loading import find_config, load_config
from testlab_mcp.logs import set_up_logging
from testlab_tools.errors import BadInput, ConfigError, did_you_mean
from testlab_tools.signin import Provider
from testlab_tools.signin.device import start_sign_in, wait_for_confirmation
from testlab_tools.signin.protocol import Tokens
from testlab_tools.signin.session import TokenStore


def login(service: str, config_file: str) -> int:
    """Print the sign-in page and its code, wait until the user has confirmed it, and store the tokens.

    Raises:
        LabError: the user did not confirm it in time, or the service cannot be signed in to.
    """
    set_up_logging()
    provider = _find_provider(service, config_file)
    provider.check()
    asyncio.run(_sign_in(provider))
    return 0


def logout(service: str, config_file: str) -> int:
    """Delete the stored tokens."""
    provider = _find_provider(service, config_file)
    try:
        deleted = TokenStore(provider).delete()
    except OSError as error:
        raise ConfigError(f"the sign-in cannot be deleted ({type(error).__name__})", "", "Delete it by hand.") from None
    print(f"Signed out of {service}." if deleted else f"You were not signed in to {service}.")
    if deleted:
        print("A server that is running has an access token until it expires: restart it to be rid of it now.")
    return 0


async def _sign_in(provider: Provider) -> None:
    waiting = await start_sign_in(provider)
    minutes = max(1, round(waiting.expires_in / 60))
    print(f"Open this page in a browser and sign in:\n\n  {paint(waiting.page, 'bold')}\n")
    print(f"It must show the code {paint(waiting.user_code, 'bold')}. Waiting, at most {minutes} min …", flush=True)
    where = await _store_tokens(provider, await wait_for_confirmation(provider, waiting))
    print(f"Signed in to {provider.service}. The tokens are in {where}.")


async def _store_tokens(provider: Provider, tokens: Tokens) -> str:
    """Store the tokens, once no other process is renewing older tokens, and return where they are."""
    store = TokenStore(provider)
    try:
        async with store.lock():
            return await asyncio.to_thread(store.save, tokens)
    except OSError as error:
        what = f"the sign-in cannot be kept ({type(error).__name__})"
        raise ConfigError(what, "", f"Make {store.folder} writable.") from None


def _find_provider(service: str, config_file: str) -> Provider:
    config = load_config(find_config(config_file))
    if service not in config.services:
        hint = did_you_mean(service, config.services, f"Configured: {', '.join(config.services) or 'none'}.")
        raise BadInput("the config has no service of that name", "", hint)
    _, settings = config.services[service]
    provider = settings.sign_in(service)
    if provider is None:
        able = [name for name, (_, other) in config.services.items() if other.sign_in(name)]
        raise BadInput(
            f"{service} is not signed in to: its table says where its token is, or its kind has no sign-in",
            "",
            f"These are: {', '.join(able)}." if able else 'Where a kind can, auth = "login" turns it on.',
        )
    return provider
