"""A real Prometheus and a real Alertmanager beside a running stack, with the project's own rules and routes."""

import json
import shutil
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import yaml
from msgspec import Struct

from ops import monitoring_files
from ops.ports import Layout

START_SECONDS = 30.0
STOP_SECONDS = 10.0
# Debian's package has the one name, upstream the other.
ALERTMANAGER_PROGRAMS = ("prometheus-alertmanager", "alertmanager")
Sample = tuple[Mapping[str, str], float]


class MonitoringMissing(Exception):
    """Prometheus or Alertmanager is not installed."""


class Servers(Struct, frozen=True):
    """Both servers, running."""

    prometheus_url: str
    alertmanager_url: str

    def query(self, expression: str) -> list[Sample]:
        """The series of an expression now. Raises HTTPError for one that Prometheus refuses."""
        answer = _get(f"{self.prometheus_url}/api/v1/query?" + urllib.parse.urlencode({"query": expression}))
        result = answer["data"]["result"]
        if answer["data"]["resultType"] == "scalar":
            return [({}, float(result[1]))]
        return [(each["metric"], float(each["value"][1])) for each in result]

    def targets(self) -> dict[str, str]:
        """The health of each target by its address: up, down, unknown."""
        active = _get(f"{self.prometheus_url}/api/v1/targets")["data"]["activeTargets"]
        return {each["scrapeUrl"]: each["health"] for each in active}

    def firing(self) -> list[Mapping[str, str]]:
        """The labels of the alerts that Alertmanager holds."""
        return [each["labels"] for each in _get(f"{self.alertmanager_url}/api/v2/alerts")]

    @classmethod
    def of(cls, layout: Layout) -> Self:
        return cls(f"http://127.0.0.1:{layout.port('prometheus')}", f"http://127.0.0.1:{layout.port('alertmanager')}")


def prometheus_configuration(description: Mapping[str, Any], alertmanager: str, seconds: int) -> dict[str, Any]:
    """Scrapes every service of *description* (stack.json), the broker and the edge, each *seconds*."""

    def target(url: str, **labels: str) -> dict[str, Any]:
        return {"targets": [urllib.parse.urlsplit(url).netloc], "labels": labels}

    return {
        "global": {"scrape_interval": f"{seconds}s", "evaluation_interval": f"{seconds}s"},
        "rule_files": [str(monitoring_files.RULES / "*.yml")],
        "alerting": {"alertmanagers": [{"static_configs": [{"targets": [alertmanager]}]}]},
        "scrape_configs": [
            {
                "job_name": "commdesk",
                "static_configs": [
                    target(replica["http"], service=name)
                    for name, service in description["services"].items()
                    for replica in service["replicas"].values()
                ],
            },
            {"job_name": "rabbitmq", "static_configs": [target(description["rabbitmq"]["metrics_url"])]},
            {"job_name": "edge", "static_configs": [target(description["edge_metrics_url"])]},
        ],
    }


def alertmanager_configuration(description: Mapping[str, Any]) -> dict[str, Any]:
    """The project's own, with the stack's mail inbox as its relay."""
    configuration: dict[str, Any] = yaml.safe_load(monitoring_files.ALERTMANAGER.read_text())
    smtp = description["smtp"]
    configuration["global"]["smtp_smarthost"] = f"{smtp['host']}:{smtp['port']}"
    return configuration


@contextmanager
def servers(layout: Layout, folder: Path, *, scrape_seconds: int = 2) -> Iterator[Servers]:
    """Run both beside the stack of *layout*, with their data in *folder*. Raises MonitoringMissing."""
    description = json.loads(layout.description.read_text())
    running = Servers.of(layout)
    alertmanager = urllib.parse.urlsplit(running.alertmanager_url).netloc
    folder.mkdir(parents=True, exist_ok=True)
    prometheus_file, alertmanager_file = folder / "prometheus.yml", folder / "alertmanager.yml"
    prometheus_file.write_text(yaml.safe_dump(prometheus_configuration(description, alertmanager, scrape_seconds)))
    alertmanager_file.write_text(yaml.safe_dump(alertmanager_configuration(description)))
    commands = (
        [
            _program(*ALERTMANAGER_PROGRAMS),
            f"--config.file={alertmanager_file}",
            f"--storage.path={folder / 'alertmanager'}",
            f"--web.listen-address={alertmanager}",
            "--cluster.listen-address=",
        ],
        [
            _program("prometheus"),
            f"--config.file={prometheus_file}",
            f"--storage.tsdb.path={folder / 'prometheus'}",
            f"--web.listen-address={urllib.parse.urlsplit(running.prometheus_url).netloc}",
        ],
    )
    processes: list[subprocess.Popen[bytes]] = []
    try:
        with (folder / "servers.log").open("wb") as log:
            for command in commands:
                processes.append(subprocess.Popen(command, stdout=log, stderr=log, cwd=folder))
        for url in (running.alertmanager_url, running.prometheus_url):
            _wait_until_ready(url, processes, folder / "servers.log")
        yield running
    finally:
        _stop(processes)


def _program(*names: str) -> str:
    found = next(filter(None, map(shutil.which, names)), None)
    if found is None:
        raise MonitoringMissing(f"{names[0]} is not installed: ops/install.sh --monitoring")
    return found


def _wait_until_ready(url: str, processes: Sequence[subprocess.Popen[bytes]], log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            with urllib.request.urlopen(f"{url}/-/ready", timeout=2):
                return
        except OSError:
            if any(process.poll() is not None for process in processes) or time.monotonic() > deadline:
                raise RuntimeError(f"{url} does not start: {log}") from None
            time.sleep(0.2)


def _stop(processes: Sequence[subprocess.Popen[bytes]]) -> None:
    for process in processes:
        process.terminate()
    for process in processes:
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _get(url: str) -> Any:
    with urllib.request.urlopen(url, timeout=10) as response:
        return json.load(response)
