"""The journeys, for `locust -f loadtests/locustfile.py` and `make load`."""

from grpc.experimental import gevent as grpc_gevent

from loadtests.users.impatient import ImpatientClient
from loadtests.users.member import Member
from loadtests.users.storm import WebhookStorm

__all__ = ["ImpatientClient", "Member", "WebhookStorm"]

# Locust's users are greenlets; without this a gRPC call would stop all of them.
grpc_gevent.init_gevent()
