"""HTTP to a service: one client per service for the life of the process, with manners."""

from testlab_tools.http.client import ServiceClient
from testlab_tools.http.credentials import Credentials, Scheme, Source, Token
from testlab_tools.http.endpoint import Endpoint
from testlab_tools.http.reply import Reply, clock_skew
from testlab_tools.http.retry import RetryPolicy
from testlab_tools.http.stream import Stream

__all__ = [
    "Credentials",
    "Endpoint",
    "Reply",
    "RetryPolicy",
    "Scheme",
    "ServiceClient",
    "Source",
    "Stream",
    "Token",
    "clock_skew",
]
