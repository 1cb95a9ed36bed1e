"""The pytest plugin of the fleet: real engines, a fresh database for every test, a broker with the whole topology,
and the service under test as a process of its own.

The engines are those of the file that COMMDESK_TEST_STACK names (`.run/test/stack.json` otherwise): a PostgreSQL whose
roles, a RabbitMQ whose vhosts and a Redis whose numbered databases are the tests' own. Which service is tested follows
from the test's path, `services/<name>/…`; a conftest elsewhere overrides `service_name` (and `migrations_package`).
What these modules need is imported late, because pytest loads them also for tests that need nothing of it.
"""

from common.testing.engines import Stack, migrations_package, service_name, stack
from common.testing.environment import (
    clock,
    encryption_key,
    free_port,
    migration_env,
    public_key,
    service_env,
    service_keys,
    settings_env,
)
from common.testing.in_process import (
    Served,
    access_token,
    delivery,
    guards,
    resources,
    serve,
    served,
    token_signer,
)
from common.testing.postgresql import (
    database_name,
    database_url,
    db,
    owner_url,
    published,
    superuser_url,
)
from common.testing.process import RunningService, own_settings, running_service, start, until
from common.testing.rabbitmq import (
    RETRY_SCHEDULE_MS,
    Announce,
    BrokerUrlOf,
    announce,
    broker_admin_url,
    broker_url,
    broker_url_of,
    retry_schedule_ms,
    vhost,
)
from common.testing.redis_database import redis_client, redis_database, redis_url

__all__ = [
    "RETRY_SCHEDULE_MS",
    "Announce",
    "BrokerUrlOf",
    "RunningService",
    "Served",
    "Stack",
    "access_token",
    "announce",
    "broker_admin_url",
    "broker_url",
    "broker_url_of",
    "clock",
    "database_name",
    "database_url",
    "db",
    "delivery",
    "encryption_key",
    "free_port",
    "guards",
    "migration_env",
    "migrations_package",
    "own_settings",
    "owner_url",
    "public_key",
    "published",
    "redis_client",
    "redis_database",
    "redis_url",
    "resources",
    "retry_schedule_ms",
    "running_service",
    "serve",
    "served",
    "service_env",
    "service_keys",
    "service_name",
    "settings_env",
    "stack",
    "start",
    "superuser_url",
    "token_signer",
    "until",
    "vhost",
]
