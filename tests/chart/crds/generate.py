"""Make the schemas beside this file anew, in a folder that is given: npm installs the operators' types there."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import unquote

HERE = Path(__file__).parent
VERSIONS = {
    "traefik": "2.0.0",
    "keda": "2.0.0",
    "external-secrets": "2.0.0",
    "prometheus-operator": "6.0.0",
    "cert-manager": "6.0.0",
}
TOOLS = ("ts-json-schema-generator@2", "typescript@5")
KINDS = {
    "IngressRoute": "traefik/traefik.io/v1alpha1",
    "Middleware": "traefik/traefik.io/v1alpha1",
    "ServersTransport": "traefik/traefik.io/v1alpha1",
    "TLSOption": "traefik/traefik.io/v1alpha1",
    "ScaledObject": "keda/keda.sh/v1alpha1",
    "TriggerAuthentication": "keda/keda.sh/v1alpha1",
    "ExternalSecret": "external-secrets/external-secrets.io/v1",
    "ServiceMonitor": "prometheus-operator/monitoring.coreos.com/v1",
    "PrometheusRule": "prometheus-operator/monitoring.coreos.com/v1",
    "Certificate": "cert-manager/cert-manager.io/v1",
    "Issuer": "cert-manager/cert-manager.io/v1",
}
# Of kinds with a branch for each provider in the world: those that the chart may use.
BRANCHES = {"Issuer": {"ca", "selfSigned"}, "TriggerAuthentication": {"secretTargetRef"}}
COMPILER = {"module": "nodenext", "moduleResolution": "nodenext", "target": "es2022", "skipLibCheck": True}


def inlined(schema: Any, definitions: dict[str, Any]) -> Any:
    """The schema without references."""
    if isinstance(schema, dict):
        if "$ref" in schema:
            return inlined(definitions[unquote(schema["$ref"].rpartition("/")[2])], definitions)
        return {key: inlined(part, definitions) for key, part in schema.items()}
    return [inlined(part, definitions) for part in schema] if isinstance(schema, list) else schema


def of_kind(kind: str, generated: dict[str, Any]) -> dict[str, Any]:
    """The schema of what a client writes: no status; names and labels are the server's to check."""
    schema: dict[str, Any] = inlined(generated["definitions"][kind], generated["definitions"])
    properties = schema["properties"]
    properties.pop("status", None)
    properties["metadata"] = {"type": "object"}
    if kind in BRANCHES:
        spec = properties["spec"]
        spec["properties"] = {name: part for name, part in spec["properties"].items() if name in BRANCHES[kind]}
    return schema


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    packages = [f"@kubernetes-models/{name}@{version}" for name, version in VERSIONS.items()]
    (folder / "package.json").write_text('{"private": true, "type": "module"}')
    subprocess.run(["npm", "install", "--silent", "--ignore-scripts", *TOOLS, *packages], cwd=folder, check=True)
    lines = [
        f'import type {{ I{kind} }} from "@kubernetes-models/{path}/{kind}";\nexport type {kind} = I{kind};\n'
        for kind, path in KINDS.items()
    ]
    (folder / "kinds.ts").write_text("".join(lines))
    (folder / "tsconfig.json").write_text(json.dumps({"compilerOptions": COMPILER, "files": ["kinds.ts"]}))
    for kind in KINDS:
        options = ["--path", "kinds.ts", "--tsconfig", "tsconfig.json", "--type", kind]
        options += ["--no-type-check", "--expose", "none", "--jsDoc", "none"]
        made = subprocess.run(
            ["npx", "ts-json-schema-generator", *options], cwd=folder, check=True, capture_output=True
        ).stdout
        schema = of_kind(kind, json.loads(made))
        (HERE / f"{kind}.json").write_text(json.dumps(schema, sort_keys=True, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
