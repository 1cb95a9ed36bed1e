"""The scenarios, by what breaks. Importing this package registers all of them, in the order of the table."""

from ops.faults.scenarios import processes  # isort: skip
from ops.faults.scenarios import webhooks  # isort: skip
from ops.faults.scenarios import gateway  # isort: skip
from ops.faults.scenarios import amounts  # isort: skip
from ops.faults.scenarios import money  # isort: skip
from ops.faults.scenarios import postgresql  # isort: skip
from ops.faults.scenarios import schema  # isort: skip
from ops.faults.scenarios import rabbitmq  # isort: skip
from ops.faults.scenarios import redis  # isort: skip
from ops.faults.scenarios import operations  # isort: skip
from ops.faults.scenarios import clocks  # isort: skip
from ops.faults.scenarios import observers  # isort: skip

__all__ = [
    "amounts",
    "clocks",
    "gateway",
    "money",
    "observers",
    "operations",
    "postgresql",
    "processes",
    "rabbitmq",
    "redis",
    "schema",
    "webhooks",
]
