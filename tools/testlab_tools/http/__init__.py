"""HTTP to a service: one client per service for the life of the process, with manners."""

from testlab_tools.http.client import Params, ServiceClient
from testlab_tools.http.credentials import Credentials, Scheme, Source, Token
from testlab_tools.http.policy import Endpoint, RetryPolicy
from testlab_tools.http.response import Reply, Stream, clock_skew

__all__ = [
    "Credentials",
    "Endpoint",
    "Params",
    "Reply",
    "RetryPolicy",
    "Scheme",
    "ServiceClient",
    "Source",
    "Stream",
    "Token",
    "clock_skew",
]
