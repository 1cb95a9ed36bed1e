"""Write the README's table of services: from protos/services.toml and from the modules that each service has."""

from pathlib import Path

from common.services import SERVICES, ListedService
from ops.ports import ROOT

BEGIN, END = "<!-- services:begin -->", "<!-- services:end -->"
# The module that a service has for each kind of interface.
INTERFACES = {"routes": "HTTP", "servicer": "gRPC", "consumers": "queues"}


def table(root: Path) -> str:
    """The table as Markdown."""
    rows = [
        f"| [{name}](services/{name}/README.md) | {row.owns} | {', '.join(_interfaces(root, row))} |"
        for name, row in SERVICES.items()
    ]
    return "\n".join(["| service | what it owns | interfaces |", "|---|---|---|", *rows])


def _interfaces(root: Path, row: ListedService) -> list[str]:
    package = root / "services" / row.name / "src" / row.package
    return [
        interface
        for module, interface in INTERFACES.items()
        if (package / f"{module}.py").is_file() or (package / module).is_dir()
    ]


def with_table(readme: str, root: Path) -> str:
    """*readme* with the table between its markers. Raises ValueError without markers."""
    before, begin, rest = readme.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the README lacks {BEGIN} and {END}")
    return f"{before}{BEGIN}\n{table(root)}\n{END}{after}"


def main() -> None:
    path = ROOT / "README.md"
    path.write_text(with_table(path.read_text(), ROOT))


if __name__ == "__main__":
    main()
