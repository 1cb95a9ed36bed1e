"""The scenarios, by what breaks. Importing this package registers all of them, in the order of the table."""

from tests.faults.scenarios import processes  # isort: skip
from tests.faults.scenarios import webhooks  # isort: skip
from tests.faults.scenarios import gateway  # isort: skip
from tests.faults.scenarios import amounts  # isort: skip
from tests.faults.scenarios import money  # isort: skip
from tests.faults.scenarios import refunds  # isort: skip
from tests.faults.scenarios import postgresql  # isort: skip
from tests.faults.scenarios import schema  # isort: skip
from tests.faults.scenarios import rabbitmq  # isort: skip
from tests.faults.scenarios import redis  # isort: skip
from tests.faults.scenarios import rights  # isort: skip
from tests.faults.scenarios import operations  # isort: skip
from tests.faults.scenarios import clocks  # isort: skip
from tests.faults.scenarios import observers  # isort: skip

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
    "refunds",
    "rights",
    "schema",
    "webhooks",
]
