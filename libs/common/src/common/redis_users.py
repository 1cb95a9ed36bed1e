"""The users of Redis: one for each service, who may touch the service's own keys and nothing else (ADR 0034).

The keys stand in protos/services.toml. `python -m common.redis_users` prints the lines for redis.conf or an ACL file.
"""

import hashlib
import json
import sys

from redis.asyncio import Redis

from common.services import SERVICES, ListedService

READY_SECONDS = 60

# What common and the services send, and no more: no KEYS, no CONFIG, no FLUSHALL. EVAL is for the shared quota; what a
# script does is held to the same keys and commands. SELECT is for a URL that names another numbered database.
COMMANDS = ("get", "mget", "set", "del", "ping", "select", "eval", "evalsha", "time")


def acl_rule(service: ListedService, password: str) -> str:
    """`user <name> on #<sha256 of the password> …`, everything else denied."""
    keys = " ".join(f"~{pattern}" for pattern in service.redis_keys)
    commands = " ".join(f"+{command}" for command in COMMANDS)
    secret = hashlib.sha256(password.encode()).hexdigest()
    return f"user {service.name} on #{secret} resetchannels {keys} -@all {commands}"


async def write_ready(redis: Redis, name: str) -> None:
    """Write one key of each kind that the service *name* uses. Raises RedisError.

    `best_effort` swallows a refusal: a user without its keys would be a cache that is silently dead.
    """
    pipeline = redis.pipeline(transaction=False)
    for pattern in SERVICES[name].redis_keys:
        pipeline.set(pattern.replace("*", "ready"), b"1", ex=READY_SECONDS)
    await pipeline.execute()


def main() -> None:
    """`python -m common.redis_users < passwords.json`: the lines for the users of a JSON object, name to password."""
    passwords = json.load(sys.stdin)
    for name, service in SERVICES.items():
        if name in passwords:
            sys.stdout.write(acl_rule(service, passwords[name]) + "\n")


if __name__ == "__main__":
    main()
