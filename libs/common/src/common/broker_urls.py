"""The nodes of a broker's cluster, as a setting lists them: AMQP URLs separated by commas."""

from urllib.parse import unquote, urlsplit

import aio_pika
from aio_pika.abc import AbstractConnection
from loguru import logger


def urls_of(setting: str) -> tuple[str, ...]:
    """The URL of each node."""
    return tuple(url.strip() for url in setting.split(",") if url.strip())


def user_of(setting: str) -> str:
    """The broker user that the URLs log in as. Raises ValueError when they are not one user's."""
    users = {unquote(urlsplit(url).username or "guest") for url in urls_of(setting)}
    if len(users) != 1:
        raise ValueError("the nodes of one cluster are addressed as one user")
    return users.pop()


async def connect(setting: str, *, timeout_seconds: float) -> AbstractConnection:
    """A connection to the first node that answers within *timeout_seconds*. Raises what the last one failed with."""
    *others, last = urls_of(setting)
    for url in others:
        try:
            return await aio_pika.connect(url, timeout=timeout_seconds)
        except (OSError, TimeoutError, aio_pika.exceptions.AMQPError) as error:
            logger.warning("a node of the broker is away: {}", type(error).__name__)
    return await aio_pika.connect(last, timeout=timeout_seconds)
