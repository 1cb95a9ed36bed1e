"""Whether a process of a stack does its work, and where it says so."""

from ops import edge, pgbouncer, postgresql, rabbitmq, redis_server
from ops.credentials import Credentials
from ops.ports import Layout


def is_ready(layout: Layout, credentials: Credentials, name: str) -> bool:
    """Whether the process *name* does its work, by its own protocol."""
    words = credentials.words
    if (node := layout.broker_names().get(name)) is not None:
        password = words["rabbitmq_administrator"]
        return rabbitmq.answers(layout.broker_ports(node), password=password, nodes=layout.broker_nodes)
    if name == "postgresql" or name in layout.databases():
        schemas = layout.databases().get(name)
        port = layout.database_port(schemas[0]) if schemas else layout.port("postgresql")
        return postgresql.answers(port=port, password=words["postgresql_superuser"])
    match name:
        case "redis":
            return redis_server.answers(port=layout.port("redis"), password=words["redis"])
        case "pgbouncer":
            return pgbouncer.answers(layout.port("pgbouncer"))
        case "epmd":
            return True  # the broker is not ready without it
        case _:
            return edge.responds(health_url(layout, name))


def health_url(layout: Layout, name: str) -> str:
    """Where a process says how it is; empty for what speaks no HTTP."""
    if (node := layout.broker_names().get(name)) is not None:
        return f"http://127.0.0.1:{layout.broker_ports(node)['rabbitmq-management']}"
    if (replica := layout.all_replicas().get(name)) is not None:
        return f"{layout.http_url(replica.service, replica.number)}/health/ready"
    match name:
        case "mail":
            return f"{layout.mail_url}/count"
        case "edge":
            return f"http://127.0.0.1:{layout.port('edge-metrics')}/ping"
        case "sandbox":
            return f"{layout.sandbox_url}/health"
        case _:
            return ""
