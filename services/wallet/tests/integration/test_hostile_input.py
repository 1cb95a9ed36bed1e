"""Nothing that comes in ends in a bug: see common.testing.hostile."""

from common.testing.hostile_tests import *  # noqa: F403
