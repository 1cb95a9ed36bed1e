"""The scenarios, by what breaks. Importing this package registers all of them, in the order of the table."""

from ops.faults.scenarios import processes  # isort: skip
from ops.faults.scenarios import webhooks  # isort: skip
from ops.faults.scenarios import gateway  # isort: skip
from ops.faults.scenarios import money  # isort: skip
from ops.faults.scenarios import postgresql  # isort: skip
from ops.faults.scenarios import rabbitmq  # isort: skip
from ops.faults.scenarios import redis  # isort: skip

__all__ = ["gateway", "money", "postgresql", "processes", "rabbitmq", "redis", "webhooks"]
