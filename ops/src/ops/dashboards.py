"""Grafana's dashboards as code; `make reference` writes them to monitoring/dashboards.

One panel is a row of PANELS: a title that says what is drawn, a unit, and expressions with their legends. Every replica
of a service reports the same depths and backlogs, so that the largest counts; what each counts itself is added up.
"""

from collections.abc import Mapping, Sequence

from grafana_foundation_sdk.builders import dashboard, prometheus, timeseries
from grafana_foundation_sdk.builders.common import VizLegendOptions
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.common import LegendDisplayMode, LegendPlacement
from grafana_foundation_sdk.models.dashboard import DataSourceRef, GridPos
from msgspec import Struct

# The data source's uid, here and where Grafana is provisioned.
DATASOURCE = DataSourceRef(type_val="prometheus", uid="prometheus")
COLUMNS, WIDTH, HEIGHT = 2, 12, 8


class Query(Struct, frozen=True):
    """An expression and the legend of its series: `{{label}}` is replaced."""

    expression: str
    legend: str = ""


class Panel(Struct, frozen=True):
    """A time series. *unit* is Grafana's id of it: reqps, s, percentunit, short …"""

    title: str
    unit: str
    queries: Sequence[Query]


def _quantile(quantile: float, histogram: str, by: str = "") -> str:
    labels = f"le, {by}" if by else "le"
    return f"histogram_quantile({quantile}, sum by ({labels}) (rate({histogram}_bucket[$__rate_interval])))"


def _quantiles(histogram: str, selector: str = "") -> list[Query]:
    return [
        Query(
            f"histogram_quantile({quantile}, sum by (le) (rate({histogram}_bucket{selector}[$__rate_interval])))",
            f"p{quantile * 100:.0f}",
        )
        for quantile in (0.5, 0.95, 0.99)
    ]


def _rate(counter: str, by: str, selector: str = "") -> str:
    return f"sum by ({by}) (rate({counter}{selector}[$__rate_interval]))"


FLEET = (
    Panel("Replicas that answer", "short", [Query('sum by (service) (up{job="commdesk"})', "{{service}}")]),
    Panel("Requests", "reqps", [Query(_rate("commdesk_http_requests_total", "service"), "{{service}}")]),
    Panel("Answers of HTTP by status", "reqps", [Query(_rate("commdesk_http_requests_total", "status"), "{{status}}")]),
    Panel(
        "Requests refused as too many",
        "reqps",
        [Query(_rate("commdesk_http_requests_refused_total", "service"), "{{service}}")],
    ),
    Panel(
        "Time of HTTP, p95",
        "s",
        [Query(_quantile(0.95, "commdesk_http_request_duration_seconds", "service"), "{{service}}")],
    ),
    Panel("Calls of gRPC", "reqps", [Query(_rate("commdesk_grpc_requests_total", "service"), "{{service}}")]),
    Panel("Answers of gRPC by status", "reqps", [Query(_rate("commdesk_grpc_requests_total", "status"), "{{status}}")]),
    Panel(
        "Time of gRPC, p95",
        "s",
        [Query(_quantile(0.95, "commdesk_grpc_request_duration_seconds", "service"), "{{service}}")],
    ),
    Panel(
        "The edge's answers by code",
        "reqps",
        [Query(_rate("traefik_entrypoint_requests_total", "code"), "{{code}}")],
    ),
    Panel("Time at the edge", "s", _quantiles("traefik_entrypoint_request_duration_seconds")),
    Panel(
        "Processor time",
        "short",
        [Query('sum by (service) (rate(process_cpu_seconds_total{job="commdesk"}[$__rate_interval]))', "{{service}}")],
    ),
    Panel(
        "Memory",
        "bytes",
        [Query('max by (service) (process_resident_memory_bytes{job="commdesk"})', "{{service}}")],
    ),
)

_OUTCOMES = "commdesk_payment_outcomes_total"
PAYMENTS = (
    Panel(
        "Success rate by gateway and method",
        "percentunit",
        [
            Query(
                _rate(_OUTCOMES, "gateway", '{outcome="success"}') + " / " + _rate(_OUTCOMES, "gateway"), "{{gateway}}"
            ),
            Query(
                _rate(_OUTCOMES, "method", '{outcome="success",method!="none"}') + " / " + _rate(_OUTCOMES, "method"),
                "{{method}}",
            ),
        ],
    ),
    Panel("Outcomes", "reqps", [Query(_rate(_OUTCOMES, "outcome"), "{{outcome}}")]),
    Panel(
        "Payments by the status that they reach",
        "reqps",
        [Query(_rate("commdesk_payment_moves_total", "status"), "{{status}}")],
    ),
    Panel("Create: time to the answer", "s", _quantiles("commdesk_payment_create_seconds")),
    Panel(
        "Create: answers", "reqps", [Query(_rate("commdesk_payment_create_seconds_count", "outcome"), "{{outcome}}")]
    ),
    Panel("From the webhook to the success", "s", _quantiles("commdesk_payment_webhook_success_seconds")),
    Panel("From the success to the credits", "s", _quantiles("commdesk_wallet_grant_seconds")),
    Panel("From the create to the success", "s", _quantiles("commdesk_payment_success_seconds")),
    Panel(
        "Gateway calls, p95",
        "s",
        [Query(_quantile(0.95, "commdesk_payment_gateway_call_seconds", "operation"), "{{operation}}")],
    ),
    Panel(
        "Gateway calls by outcome",
        "reqps",
        [Query(_rate("commdesk_payment_gateway_call_seconds_count", "outcome"), "{{outcome}}")],
    ),
    Panel(
        "Webhooks received",
        "reqps",
        [Query(_rate("commdesk_webhooks_received_total", "gateway, outcome"), "{{gateway}} {{outcome}}")],
    ),
    Panel(
        "Webhooks refused, and payments found by the sweep",
        "reqps",
        [
            Query("sum(rate(commdesk_webhooks_refused_total[$__rate_interval])) or vector(0)", "refused"),
            Query("sum(rate(commdesk_payment_swept_total[$__rate_interval])) or vector(0)", "swept"),
        ],
    ),
    Panel(
        "Refunds by what became of them",
        "reqps",
        [
            Query(
                f'sum(rate(commdesk_payment_refunds_total{{status="{status}"}}[$__rate_interval])) or vector(0)',
                status.lower(),
            )
            for status in ("SUCCESS", "FAILED", "REVERSED")
        ],
    ),
    Panel("Decisions of fraud", "reqps", [Query(_rate("commdesk_fraud_decisions_total", "decision"), "{{decision}}")]),
    Panel(
        "Payments without a score",
        "reqps",
        [Query("sum(rate(commdesk_payment_fraud_unscored_total[$__rate_interval])) or vector(0)", "unscored")],
    ),
    Panel(
        "Objectives: share of bad events of an hour (budget 0.1 %)",
        "percentunit",
        [
            Query("commdesk:create_errors:ratio_rate1h", "create"),
            Query("commdesk:credits_late:ratio_rate1h", "credits"),
        ],
    ),
)

_BALANCE = "commdesk_reconciler_account_balance"
MONEY = (
    Panel(
        "Open cases",
        "short",
        [Query("sum by (kind) (max by (kind, age) (commdesk_reconciler_cases_open)) > 0", "{{kind}}")],
    ),
    Panel(
        "Open cases by age in days",
        "short",
        [Query("sum by (age) (max by (kind, age) (commdesk_reconciler_cases_open))", "{{age}}")],
    ),
    Panel(
        "Money in question",
        "short",
        [Query("max by (currency) (commdesk_reconciler_unmatched_minor_units)", "{{currency}}, minor units")],
    ),
    Panel(
        "Differences between the books",
        "short",
        [Query("max by (kind, reference) (commdesk_reconciler_difference)", "{{kind}} {{reference}}")],
    ),
    Panel(
        "Since the last comparison",
        "s",
        [Query("time() - max by (scope) (commdesk_reconciler_finished_timestamp_seconds > 0)", "{{scope}}")],
    ),
    Panel(
        "Money at gateways and bank, paise",
        "short",
        [Query(f'max by (account) ({_BALANCE}{{account=~"asset:.*"}})', "{{account}}")],
    ),
    Panel(
        "Owed for credits and unmatched receipts, paise",
        "short",
        [
            Query(
                f'max by (account) ({_BALANCE}{{account=~"liability:(deferred_credits|unapplied_receipts)"}})',
                "{{account}}",
            )
        ],
    ),
    Panel(
        "GST, paise", "short", [Query(f'max by (account) ({_BALANCE}{{account=~"liability:gst:.*"}})', "{{account}}")]
    ),
    Panel(
        "Revenue and fees, paise",
        "short",
        [Query(f'max by (account) ({_BALANCE}{{account=~"(revenue|expense):.*"}})', "{{account}}")],
    ),
    Panel("Credits", "short", [Query(f'max by (account) ({_BALANCE}{{asset="CREDIT"}})', "{{account}}")]),
)

QUEUES = (
    Panel("Age of the oldest event", "s", [Query("max by (queue) (commdesk_queue_lag_seconds)", "{{queue}}")]),
    Panel("Messages that wait", "short", [Query("max by (queue) (commdesk_queue_messages)", "{{queue}}")]),
    Panel("Consumers", "short", [Query("max by (queue) (commdesk_queue_consumers)", "{{queue}}")]),
    Panel(
        "Events handled",
        "reqps",
        [Query(_rate("commdesk_queue_events_total", "queue", '{outcome="handled"}'), "{{queue}}")],
    ),
    Panel(
        "Retried, split, dead, refused",
        "reqps",
        [Query(_rate("commdesk_queue_events_total", "outcome", '{outcome!="handled"}'), "{{outcome}}")],
    ),
    Panel("Time of a batch, p95", "s", [Query(_quantile(0.95, "commdesk_queue_batch_seconds", "queue"), "{{queue}}")]),
    Panel(
        "Events of a batch, median",
        "short",
        [Query(_quantile(0.5, "commdesk_queue_batch_events", "queue"), "{{queue}}")],
    ),
    Panel(
        "Items of a flush, median", "short", [Query(_quantile(0.5, "commdesk_batch_items", "batcher"), "{{batcher}}")]
    ),
    Panel(
        "Age of the oldest announcement", "s", [Query("max by (service) (commdesk_outbox_lag_seconds)", "{{service}}")]
    ),
    Panel(
        "Announcements not confirmed", "short", [Query("max by (service) (commdesk_outbox_unmarked)", "{{service}}")]
    ),
    Panel("Dead letters", "short", [Query("max by (service) (commdesk_dead_letters_open)", "{{service}}")]),
    Panel("Effects that wait", "short", [Query("max by (service) (commdesk_intents_pending)", "{{service}}")]),
    Panel(
        "Batches that waited for infrastructure",
        "reqps",
        [Query(_rate("commdesk_queue_pauses_total", "queue"), "{{queue}}")],
    ),
    Panel(
        "Mails",
        "reqps",
        [Query(_rate("commdesk_notifier_mails_total", "template, outcome"), "{{template}} {{outcome}}")],
    ),
)

ENGINES = (
    Panel("Engines that services reach", "short", [Query("min by (engine) (commdesk_engine_up)", "{{engine}}")]),
    Panel(
        "PostgreSQL: connections of each role",
        "short",
        [Query('max by (service) (commdesk_database_connections{scope="role"})', "{{service}}")],
    ),
    Panel(
        "PostgreSQL: connections of the server",
        "short",
        [
            Query('max(commdesk_database_connections{scope="server"})', "used"),
            Query('max(commdesk_database_connections_max{scope="server"})', "accepted"),
        ],
    ),
    Panel(
        "Pools: share in use",
        "percentunit",
        [
            Query(
                'max by (service) (commdesk_database_pool_connections{state="used"})'
                " / max by (service) (commdesk_database_pool_connections_max)",
                "{{service}}",
            )
        ],
    ),
    Panel(
        "RabbitMQ: messages",
        "short",
        [
            Query("sum(rabbitmq_queue_messages_ready)", "ready"),
            Query("sum(rabbitmq_queue_messages_unacked)", "in hand"),
        ],
    ),
    Panel(
        "RabbitMQ: published and redelivered",
        "reqps",
        [
            Query("sum(rate(rabbitmq_global_messages_received_total[$__rate_interval]))", "published"),
            Query("sum(rate(rabbitmq_global_messages_redelivered_total[$__rate_interval]))", "redelivered"),
        ],
    ),
    Panel(
        "RabbitMQ: memory",
        "bytes",
        [
            Query("max(rabbitmq_process_resident_memory_bytes)", "used"),
            Query("max(rabbitmq_resident_memory_limit_bytes)", "limit"),
        ],
    ),
    Panel("RabbitMQ: free disk", "bytes", [Query("min(rabbitmq_disk_space_available_bytes)", "free")]),
    Panel("RabbitMQ: connections", "short", [Query("sum(rabbitmq_connections)", "connections")]),
    Panel(
        "Redis: commands without an answer",
        "reqps",
        [Query("sum(rate(commdesk_redis_failures_total[$__rate_interval])) or vector(0)", "failed")],
    ),
    Panel(
        "Edge: open connections", "short", [Query("sum by (entrypoint) (traefik_open_connections)", "{{entrypoint}}")]
    ),
)

PANELS: Mapping[str, Sequence[Panel]] = {
    "fleet": FLEET,
    "payments": PAYMENTS,
    "money": MONEY,
    "queues": QUEUES,
    "engines": ENGINES,
}


def files() -> dict[str, bytes]:
    """The dashboards by the name of their file."""
    return {f"{name}.json": _encoded(name, panels) for name, panels in PANELS.items()}


def _encoded(name: str, panels: Sequence[Panel]) -> bytes:
    board = (
        dashboard.Dashboard(f"CommDesk Pay: {name}")
        .uid(f"commdesk-{name}")
        .tags(["commdesk"])
        .time("now-1h", "now")
        .refresh("30s")
        .readonly()
    )
    for number, panel in enumerate(panels):
        board = board.with_panel(_panel(number, panel))
    return JSONEncoder(sort_keys=True, indent=2).encode(board.build()).encode() + b"\n"


def _panel(number: int, panel: Panel) -> timeseries.Panel:
    row, column = divmod(number, COLUMNS)
    legend = VizLegendOptions().display_mode(LegendDisplayMode.LIST).placement(LegendPlacement.BOTTOM).show_legend(True)
    drawn = (
        timeseries.Panel()
        .id(number + 1)
        .title(panel.title)
        .unit(panel.unit)
        .datasource(DATASOURCE)
        .legend(legend)
        .grid_pos(GridPos(h=HEIGHT, w=WIDTH, x=column * WIDTH, y=row * HEIGHT))
    )
    for letter, query in zip("ABCDEFGH", panel.queries, strict=False):
        drawn = drawn.with_target(
            prometheus.Dataquery()
            .ref_id(letter)
            .datasource(DATASOURCE)
            .expr(query.expression)
            .legend_format(query.legend or panel.title)
        )
    return drawn
