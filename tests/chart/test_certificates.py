"""Certificates for gRPC name their owner and nothing else; with a mesh there are none."""

from common.services import SERVICES
from tests.chart.rendering import Object, objects_of, of_kind, secrets_of, templates

OUTSIDE = {"operator", "community-api"}


def names(objects: list[Object]) -> dict[str, list[str]]:
    return {
        each["spec"]["secretName"]: each["spec"]["dnsNames"]
        for each in of_kind(objects, "Certificate")
        if each["spec"]["secretName"].endswith("-grpc")
    }


def test_every_service_and_caller_has_one_in_its_own_name() -> None:
    objects = objects_of("in-cluster")
    assert names(objects) == {f"commdesk-{name}-grpc": [name] for name in {*SERVICES, *OUTSIDE}}
    for name in SERVICES:
        volumes = templates(objects)[f"commdesk-{name}"]["spec"]["volumes"]
        assert [each["secret"]["secretName"] for each in volumes if "secret" in each] == [f"commdesk-{name}-grpc"]


def test_colours_have_their_own_by_the_same_authority() -> None:
    assert names(objects_of("blue")) == {f"commdesk-blue-{name}-grpc": [name] for name in SERVICES}
    assert names(objects_of("shared")) == {f"commdesk-shared-{name}-grpc": [name] for name in OUTSIDE}
    issuers = {
        each["spec"]["issuerRef"]["name"]
        for profile in ("blue", "shared")
        for each in of_kind(objects_of(profile), "Certificate")
        if not each["spec"].get("isCA")
    }
    assert issuers == {"commdesk-internal"}
    assert {each["metadata"]["name"] for each in of_kind(objects_of("shared"), "Issuer")} == {
        "commdesk-internal",
        "commdesk-internal-root",
    }


def test_a_mesh_needs_none() -> None:
    objects = objects_of("mesh")
    assert names(objects) == {}
    assert of_kind(objects, "Issuer") == []


def test_external_secrets_make_every_secret_that_a_pod_names() -> None:
    made = {each["spec"]["target"]["name"] for each in of_kind(objects_of("shared"), "ExternalSecret")}
    named = {name for template in templates(objects_of("blue")).values() for name in secrets_of(template)}
    assert {name for name in named if not name.endswith("-grpc")} == made
