"""HTTP to a service: one client per service for the life of the process, with manners."""

from testlab_tools.http.client import Endpoint, Reply, ServiceClient, clock_skew
from testlab_tools.http.credentials import Credentials, Scheme, Token
from testlab_tools.http.retry import RetryPolicy

__all__ = ["Credentials", "Endpoint", "Reply", "RetryPolicy", "Scheme", "ServiceClient", "Token", "clock_skew"]
