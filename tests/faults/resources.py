"""What the services hold: after a fault each is back where it was before."""

from dataclasses import dataclass

import psutil

# A crowd that waited fills the pools (64 connections to Redis, 64 to the gateway); what leaks with every fault passes
# this in the course of the scenarios.
FILES_MORE_MAX = 160
MEMORY_TIMES_MAX = 2.0


@dataclass(frozen=True)
class Holding:
    """Open files and sockets, and resident memory of one process.

    Connections that others opened to it do not count: the edge keeps hundreds for a minute and a half.
    """

    files: int
    memory_bytes: int


def held(pids: dict[str, int]) -> dict[str, Holding]:
    """What each process holds now; one that is gone is left out."""
    found = {}
    for name, pid in pids.items():
        try:
            process = psutil.Process(pid)
            found[name] = Holding(process.num_fds() - _inbound(process), process.memory_info().rss)
        except psutil.NoSuchProcess:
            continue
    return found


def _inbound(process: psutil.Process) -> int:
    connections = process.net_connections("tcp")
    listening = {each.laddr.port for each in connections if each.status == psutil.CONN_LISTEN}
    return sum(each.laddr.port in listening for each in connections if each.status != psutil.CONN_LISTEN)


def grown(before: dict[str, Holding], now: dict[str, Holding]) -> list[str]:
    """Who holds clearly more than before."""
    found = []
    for name, holding in now.items():
        was = before.get(name)
        if was is None:
            continue
        if holding.files > was.files + FILES_MORE_MAX:
            found.append(f"{name} holds {holding.files} files open, {was.files} before")
        if holding.memory_bytes > was.memory_bytes * MEMORY_TIMES_MAX:
            found.append(f"{name} uses {holding.memory_bytes >> 20} MiB, {was.memory_bytes >> 20} before")
    return found
