"""`python -m tests.images check`, `compose`, `chart`: what `make image-check`, `compose-check`, `chart-check` run."""

import subprocess
import sys
from typing import Annotated

import typer

from ops.progress import Progress
from tests.images import base, builds, fleet, inspection, played, runtime, trial

Deployables = Annotated[list[str] | None, typer.Argument(help="Some of them; without any, all.")]

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=__doc__)


@app.command()
def check(deployables: Deployables = None) -> None:
    """Lint the Dockerfile, build every image, look at each, and run payment's on real engines."""
    chosen = deployables or list(builds.DEPLOYABLES)
    if unknown := set(chosen) - set(builds.DEPLOYABLES):
        raise typer.BadParameter(f"no deployable: {', '.join(sorted(unknown))}")
    if not runtime.is_within():
        subprocess.run([sys.executable, "-m", "pytest", "-q", "tests/test_pipelines.py", "-k", "docker"], check=True)
        _fetch()
        raise typer.Exit(runtime.enter(["check", *chosen]))
    progress = _prepared()
    for deployable in chosen:
        builds.build(deployable)
        progress.done(f"{deployable}: {inspection.inspect(deployable)}")
    if "payment" in chosen:
        trial.run("payment", progress)


@app.command()
def compose() -> None:
    """Bring the fleet of compose.yaml up, and take the demo's payment through it."""
    if not runtime.is_within():
        _fetch()
        base.fetch("engines", base.ENGINE_PACKAGES)
        raise typer.Exit(runtime.enter(["compose"]))
    fleet.run(_built())


@app.command()
def chart() -> None:
    """Play the chart's manifests: migrations, services, the demo's payment."""
    if not runtime.is_within():
        _fetch()
        base.fetch("engines", base.ENGINE_PACKAGES)
        raise typer.Exit(runtime.enter(["chart"]))
    played.run(_built())


def _fetch() -> None:
    """What needs the network, before the network is left behind."""
    runtime.configure()
    base.fetch("python", base.PYTHON_PACKAGES)
    builds.fetch_wheels()


def _built() -> Progress:
    progress = _prepared()
    for deployable in builds.DEPLOYABLES:
        builds.build(deployable)
    progress.done(f"{len(builds.DEPLOYABLES)} images are built")
    base.make_engines(base.fetch("engines", base.ENGINE_PACKAGES))
    progress.done("engines' images are there")
    return progress


def _prepared() -> Progress:
    progress = Progress()
    runtime.remove_containers()
    base.make_python(base.fetch("python", base.PYTHON_PACKAGES))
    progress.done(f"{base.python_image()} is there, made of packages")
    return progress


if __name__ == "__main__":
    try:
        app()
    except (runtime.CommandFailed, inspection.ImageWrong, trial.TrialFailed, fleet.FleetFailed) as problem:
        sys.exit(str(problem))
