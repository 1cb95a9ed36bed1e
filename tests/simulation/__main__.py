"""python -m tests.simulation: run many seeds in two processes, or replay one.

python -m tests.simulation --seeds 100000
python -m tests.simulation --seeds 10000 --without inbox_claim  stops at the first violation
python -m tests.simulation --replay 4711                         prints the trace
"""

import argparse
import os
import sys

from common import guards

from .runner import run
from .simulate import PRODUCT, simulate


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description="Simulated schedules, by seed.")
    parser.add_argument("--seeds", type=int, default=20_000, help="how many schedules")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--replay", type=int, help="run this seed alone and print its trace")
    parser.add_argument(
        "--without", default="", choices=[guard.name for guard in guards.ALL], help="a guard to take away"
    )
    arguments = parser.parse_args()
    if arguments.replay is None:
        return 1 if run(arguments.first, arguments.seeds, arguments.without) else 0

    in_place = PRODUCT.without(guards.named(arguments.without)) if arguments.without else PRODUCT
    violation = simulate(arguments.replay, in_place, traced=True, keep=True)
    assert violation is not None, "`keep` always answers"
    print(*violation.trace, str(violation), "" if violation.found else "Everything held.", sep="\n")
    return 1 if violation.found else 0


if __name__ == "__main__":
    # Texts hash alike in every run, or sets of them would be walked in another order.
    if os.environ.get("PYTHONHASHSEED") != "0":
        os.execve(
            sys.executable,
            [sys.executable, "-m", "tests.simulation", *sys.argv[1:]],
            os.environ | {"PYTHONHASHSEED": "0"},
        )
    sys.exit(main())
