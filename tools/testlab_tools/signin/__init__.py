"""Signing in without an API key by the OAuth 2.0 device flow (RFC 8628). A service's adapter names the endpoints."""

from testlab_tools.signin.protocol import Provider

__all__ = ["Provider"]
