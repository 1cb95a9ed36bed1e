"""The services and the sandbox: what stands in the environment of each."""

import json
import sys
from collections.abc import Mapping, Sequence

from common.services import OWNER, SCHEMAS, SERVICES
from common.settings import RETRY_SCHEDULE_MS
from common.topology import MIGRATOR, users
from ops import edge_certificate, internal_tls, redis_server
from ops.credentials import OPERATOR, Credentials
from ops.ports import APART, TOGETHER, Layout, Replica, is_on
from ops.processes import Process
from ops.rabbitmq import ADMINISTRATOR, VHOST

DATABASE = "commdesk"
CASHFREE_API_VERSION = "2025-01-01"

# With replicas, one that stops answers for so long while the edge, which asks each twice a second, and its callers turn
# to the others.
DRAIN_SECONDS = 2

# The nice values of protos/services.toml are at most this: accepting goes before working off (ADR 0013).
NICE_WORKING_OFF = 10

# Settings that a caller of `up` may change through its own environment, for all services.
PASSED_ON = (
    "ENCRYPTION_KEYS",
    "LOG_LEVEL",
    "RETRY_SCHEDULE_MS",
    "AMQP_USER_ID",
    "POOL_SIZE",
    "TRUSTED_PROXY_HOPS",
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    "TRACE_SAMPLE_RATIO",
    "SENTRY_DSN",
    "WEBHOOK_WINDOW_SECONDS",
    "TOKEN_EXPIRY",
    "DEFAULT_GATEWAY",
    "CIRCUIT_FAILURES",
    "SWEEP_AFTER_SECONDS",
    "SWEEP_LONGEST_SECONDS",
    "TOLERANCE_SECONDS",
    "SETTLE_SECONDS",  # its older name
)

# The sandbox completes payments quickly, for people who watch; a caller of `up` may set any of them.
SANDBOX_DEFAULTS = {
    "TEST_MODE": "true",
    "TEST_PROCESSING_DELAY": "500",
    "TEST_PAYMENT_SUCCESS": "true",
}


def database_url(
    layout: Layout, role: str, password: str, database: str = DATABASE, *, port: str = "postgresql"
) -> str:
    return f"postgresql://{role}:{password}@{layout.address(port)}/{database}"


def schema_url(layout: Layout, schema: str, role: str, password: str, database: str = DATABASE) -> str:
    """The database that holds *schema*."""
    address = f"{layout.host('postgresql')}:{layout.database_port(schema)}"
    return f"postgresql://{role}:{password}@{address}/{database}"


def broker_url(layout: Layout, user: str, password: str) -> str:
    """All nodes of the broker, separated by commas."""
    ports = [layout.broker_ports(node)["rabbitmq"] for node in layout.broker_names().values()]
    return ",".join(f"amqp://{user}:{password}@{layout.host('rabbitmq')}:{port}/{VHOST}" for port in ports)


def management_url(layout: Layout, credentials: Credentials) -> str:
    """RabbitMQ's management API, with the administrator's login in it."""
    login = f"{ADMINISTRATOR}:{credentials.words['rabbitmq_administrator']}"
    return f"http://{login}@{layout.address('rabbitmq-management')}"


def redis_url(layout: Layout, user: str, password: str) -> str:
    return f"redis://{user}:{password}@{layout.address('redis')}/0"


def service_environment(
    layout: Layout, credentials: Credentials, name: str, environ: Mapping[str, str], number: int = 1
) -> dict[str, str]:
    """The whole environment of one replica; `environ` is that of the `commdesk up` that starts the stack."""
    layout = layout.for_services()
    common = {
        "ENVIRONMENT": "development",
        "LOG_LEVEL": "INFO",
        "HTTP_PORT": str(layout.http_port(name, number)),
        "GRPC_PORT": str(layout.grpc_port(name, number)),
        "PUBLIC_URL": layout.public_edge_url,
        "REDIS_URL": redis_url(layout, name, credentials.redis[name]),
        "RABBITMQ_URL": broker_url(layout, name, credentials.broker[name]),
        "SERVICE_PRIVATE_KEY": credentials.keys[name]["private"],
        "SERVICE_PUBLIC_KEYS": json.dumps(credentials.public_keys(), sort_keys=True),
        "IDENTITY_JWKS_URL": f"{layout.http_url('identity', number)}/.well-known/jwks.json",
        # The load runs' virtual members come with tokens of an existing issuer.
        "JWT_SECRET": credentials.words["jwt_secret"],
        "JWT_HS256_ENABLED": "true",
        "ENCRYPTION_KEYS": f"k1:{credentials.words['encryption_key']}",
        "BLIND_INDEX_KEY": credentials.words["blind_index_key"],
        **{row.address_variable: layout.grpc_addresses(callee) for callee, row in SERVICES.items()},
        # PostgreSQL, the broker and every small allocation share two cores: freed arenas go back, threads stay few.
        "MALLOC_ARENA_MAX": "2",
        "PYTHONUNBUFFERED": "1",
    }
    role = SERVICES[name].package
    if layout.replicas > 1:
        common["SHUTDOWN_DRAIN_SECONDS"] = str(DRAIN_SECONDS)
    if SERVICES[name].database:
        common["DATABASE_URL"] = schema_url(layout, role, role, credentials.database[role])
    passed_on = {variable: environ[variable] for variable in PASSED_ON if variable in environ}
    environment = {**common, **_own(layout, credentials, name), **passed_on}
    if is_on(environ, "POOLER", default=False) and "DATABASE_URL" in environment:
        environment |= {
            "DATABASE_URL": database_url(layout, role, credentials.database[role], port="pgbouncer"),
            "DATABASE_POOLER": "true",
        }
    is_secured = is_on(environ, "INTERNAL_TLS", default=False)
    return internal_tls.secured(environment, layout, name) if is_secured else environment


def migration_environment(
    layout: Layout, credentials: Credentials, name: str, environ: Mapping[str, str]
) -> dict[str, str]:
    """The environment of `<service> migrate`: what the service has, and what it must not have while it serves."""
    own = layout.for_services()
    schema = SERVICES[name].package
    owner = schema + OWNER
    owners = {
        "DATABASE_MIGRATION_URL": schema_url(own, schema, owner, credentials.database[owner]),
        "RABBITMQ_MIGRATION_URL": broker_url(own, MIGRATOR, credentials.broker[MIGRATOR]),
    }
    if is_on(environ, "INTERNAL_TLS", default=False):
        owners = internal_tls.secured(owners, own, name)
    return {**service_environment(layout, credentials, name, environ), **owners}


def bootstrap_arguments(
    layout: Layout, credentials: Credentials, environ: Mapping[str, str], schemas: Sequence[str] = SCHEMAS
) -> list[str]:
    """The arguments of Python that make the database of *schemas*, its roles, and the broker's users of a stack."""
    superuser = credentials.words["postgresql_superuser"]
    return [
        *("-m", "common.bootstrap"),
        *("--database-url", schema_url(layout, schemas[0], "postgres", superuser, "postgres")),
        *("--schemas", ",".join(schemas)),
        *("--management-url", management_url(layout, credentials)),
        *("--vhost", VHOST),
        *("--retry-schedule-ms", ",".join(str(ttl_ms) for ttl_ms in retry_schedule_ms(environ))),
        *("--secrets", str(layout.run_dir / "secrets.json")),
    ]


def _own(layout: Layout, credentials: Credentials, name: str) -> dict[str, str]:
    """What one service has beyond the common settings."""
    cashfree_secret = credentials.words["cashfree_secret_key"]
    match name:
        case "payment":
            return {
                "CASHFREE_BASE_URL": f"{layout.sandbox_url}/pg",
                "CASHFREE_APP_ID": credentials.words["cashfree_app_id"],
                "CASHFREE_SECRET_KEY": cashfree_secret,
                "CASHFREE_API_VERSION": CASHFREE_API_VERSION,
                "CASHFREE_NOTIFY_URL": f"{layout.edge_url}/api/v1/webhooks/cashfree",
                "RAZORPAY_BASE_URL": f"{layout.sandbox_url}/razorpay",
                "RAZORPAY_KEY_ID": credentials.words["razorpay_key_id"],
                "RAZORPAY_KEY_SECRET": credentials.words["razorpay_key_secret"],
            }
        case "webhook-ingest":
            return {
                "CASHFREE_SECRET_KEY": cashfree_secret,
                "CASHFREE_WEBHOOK_SECRET": cashfree_secret,
                "RAZORPAY_WEBHOOK_SECRET": credentials.words["razorpay_webhook_secret"],
            }
        case "notifier":
            return {
                "SMTP_HOST": layout.host("smtp"),
                "SMTP_PORT": str(layout.port("smtp")),
                "SENDER_EMAIL": "billing@commdesk.test",
                "SUPPORT_EMAIL": "support@commdesk.test",
                "ADMIN_EMAIL": "admin@commdesk.test",
                "ACCOUNT_PAGE_URL": f"{layout.public_edge_url}/account",
                # Merchants' servers of tests and developers are on this machine.
                "WEBHOOK_PRIVATE_NETWORKS": "127.0.0.0/8",
                "WEBHOOK_RETRY_INTERVALS_TEST": "true",
            }
        case "ledger":
            return {
                "LEDGER_SIGNING_KEY": credentials.keys["ledger-heads"]["private"],
                "LEDGER_ANCHOR_URL": f"file://{layout.run_dir}/ledger-anchor",
                # Demo and tests verify what they have just booked.
                "LEDGER_SEAL_SECONDS": "5",
            }
        case "identity":
            return {
                "TOKEN_PRIVATE_KEY": credentials.keys["identity-tokens"]["private"],
                # All local clients share one address.
                "SIGN_UPS_PER_IP_MAX": "100000",
                "ACCOUNT_MAILS_PER_IP_MAX": "100000",
                # Demo and loads log in at once; tests/e2e/test_accounts.py verifies addresses.
                "EMAIL_VERIFICATION": "optional",
                "STAFF_SECOND_FACTOR": "optional",
                # key_test_abc123 and sk_test_abc123.
                "TEST_MERCHANT": "true",
            }
        case _:
            return {}


def service(layout: Layout, credentials: Credentials, replica: Replica, environ: Mapping[str, str]) -> Process:
    row = SERVICES[replica.service]
    return Process(
        name=replica.name,
        command=(sys.executable, "-m", row.package, "serve"),
        environment=service_environment(layout, credentials, row.name, environ, replica.number),
        stop_wait_seconds=30,  # above the services' own drain and grace period
        nice=min(row.nice, _nice_working_off(environ)),
    )


def sandbox(layout: Layout, credentials: Credentials, environ: Mapping[str, str]) -> Process:
    """The gateways' simulator; every SANDBOX_ and TEST_ variable of the caller reaches it."""
    passed_on = {name: value for name, value in environ.items() if name.startswith(("SANDBOX_", "TEST_"))}
    return Process(
        name="sandbox",
        command=(sys.executable, "-m", "sandbox"),
        environment={
            **SANDBOX_DEFAULTS,
            **passed_on,
            "SANDBOX_PORT": str(layout.port("sandbox")),
            "SANDBOX_PUBLIC_URL": layout.public_sandbox_url,
            "CASHFREE_APP_ID": credentials.words["cashfree_app_id"],
            "CASHFREE_SECRET_KEY": credentials.words["cashfree_secret_key"],
            "SANDBOX_RAZORPAY_KEY_ID": credentials.words["razorpay_key_id"],
            "SANDBOX_RAZORPAY_KEY_SECRET": credentials.words["razorpay_key_secret"],
            "SANDBOX_RAZORPAY_WEBHOOK_SECRET": credentials.words["razorpay_webhook_secret"],
            "SANDBOX_RAZORPAY_WEBHOOK_URL": f"{layout.edge_url}/api/v1/webhooks/razorpay",
            "PYTHONUNBUFFERED": "1",
            # Its webhooks go to the edge.
            **({"SSL_CERT_FILE": str(edge_certificate.files(layout).authority)} if layout.tls else {}),
        },
        # Payment asks it, and goes before it for no longer than it takes to ask.
        nice=min(SERVICES["payment"].nice, _nice_working_off(environ)),
    )


def _nice_working_off(environ: Mapping[str, str]) -> int:
    return int(environ.get("NICE_WORKING_OFF", NICE_WORKING_OFF))


def retry_schedule_ms(environ: Mapping[str, str]) -> list[int]:
    """The delays of this stack's retry tiers; the services' own default unless the caller of `up` sets others."""
    given = environ.get("RETRY_SCHEDULE_MS")
    return [int(part) for part in given.split(",")] if given else [*RETRY_SCHEDULE_MS]


def description(layout: Layout, credentials: Credentials, environ: Mapping[str, str]) -> dict[str, object]:
    """The part of stack.json that names services and credentials; local test credentials, all of them."""
    is_secured = is_on(environ, "INTERNAL_TLS", default=False)
    return {
        "run_dir": str(layout.run_dir),
        "port_base": layout.port_base,
        "replicas": layout.replicas,
        "databases": APART if layout.databases_apart else TOGETHER,
        "broker_nodes": layout.broker_nodes,
        "edge_url": layout.edge_url,
        "edge_ca": str(edge_certificate.files(layout).authority) if layout.tls else "",
        "edge_metrics_url": f"http://{layout.address('edge-metrics')}/metrics",
        "sandbox_url": layout.sandbox_url,
        "mail_url": layout.mail_url,
        "smtp": {"host": layout.host("smtp"), "port": layout.port("smtp")},
        "postgresql": {
            "host": layout.host("postgresql"),
            "port": layout.port("postgresql"),
            "user": "postgres",
            "password": credentials.words["postgresql_superuser"],
            "database": DATABASE,
            "superuser_url": database_url(layout, "postgres", credentials.words["postgresql_superuser"], "postgres"),
            # The database of each schema, as the superuser of its instance.
            "schema_urls": {
                schema: schema_url(layout, schema, "postgres", credentials.words["postgresql_superuser"])
                for schema in SCHEMAS
            },
        },
        "rabbitmq": {
            "host": layout.host("rabbitmq"),
            "port": layout.port("rabbitmq"),
            "vhost": VHOST,
            "user": ADMINISTRATOR,
            "password": credentials.words["rabbitmq_administrator"],
            "url": broker_url(layout, ADMINISTRATOR, credentials.words["rabbitmq_administrator"]),
            "management_url": management_url(layout, credentials),
            # Of each user of the contract: for tests and benches that speak in its name.
            "urls": {user: broker_url(layout, user, credentials.broker[user]) for user in users()},
            "user_ids": is_on(environ, "AMQP_USER_ID", default=True),
            "metrics_url": f"http://{layout.address('rabbitmq-prometheus')}/metrics",
        },
        "retry_schedule_ms": retry_schedule_ms(environ),
        "default_gateway": environ.get("DEFAULT_GATEWAY") or "cashfree",
        "redis": {"url": redis_url(layout, redis_server.ADMINISTRATOR, credentials.words["redis"])},
        "services": {
            name: {
                "http": layout.http_url(name),
                "grpc": layout.grpc_address(name),
                # All its processes, those two addresses being the first one's.
                "replicas": {
                    replica.name: {
                        "http": layout.http_url(name, replica.number),
                        "grpc": layout.grpc_address(name, replica.number),
                    }
                    for replica in layout.replicas_of(name)
                },
            }
            for name in SERVICES
        },
        "operator": {"name": OPERATOR, **credentials.keys[OPERATOR]},
        "grpc": internal_tls.certificate_variables(layout, OPERATOR) if is_secured else {},
        "service_keys": credentials.keys,
        "jwt_secret": credentials.words["jwt_secret"],
        "cashfree": {
            "app_id": credentials.words["cashfree_app_id"],
            "secret_key": credentials.words["cashfree_secret_key"],
            "api_version": CASHFREE_API_VERSION,
        },
        "razorpay": {
            "key_id": credentials.words["razorpay_key_id"],
            "key_secret": credentials.words["razorpay_key_secret"],
            "webhook_secret": credentials.words["razorpay_webhook_secret"],
        },
        "ports": {what: port for port, what in layout.all_ports().items()},
    }
