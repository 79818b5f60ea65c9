"""What a process of tests makes once, instead of for each client: TLS contexts, and checks of schemas."""

from __future__ import annotations

import json
import os
import ssl
from functools import cache
from typing import Any
from unittest import mock

import httpcore2
import jsonschema

_context = httpcore2.default_ssl_context
_check = jsonschema.Draft202012Validator.check_schema


def share() -> None:
    """Have every HTTP client of this process share a TLS context, and every MCP client the check of a schema."""
    mock.patch.object(httpcore2, "default_ssl_context", _shared_context).start()
    mock.patch.object(jsonschema.Draft202012Validator, "check_schema", _checked_once).start()


def _shared_context(*, _trust_env: bool = True) -> ssl.SSLContext:
    return _context_for(_trust_env, os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR"))


@cache
def _context_for(trust_env: bool, *places: str | None) -> ssl.SSLContext:
    return _context(_trust_env=trust_env)


def _checked_once(schema: Any) -> None:
    _check_text(json.dumps(schema))


@cache
def _check_text(schema: str) -> None:
    _check(json.loads(schema))
