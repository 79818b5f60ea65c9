"""Signing in without a key: the OAuth 2.0 device flow (RFC 8628), and the tokens it gives.

A service's adapter says where its endpoints are; nothing here knows any service.
"""

from testlab_tools.signin.provider import Provider

__all__ = ["Provider"]
