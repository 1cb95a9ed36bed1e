"""`ops`, `sandbox` and `loadtests` are folders that hold a package of their own name.

With `--import-mode=importlib` pytest names a test after its path, `ops.tests.…`, and would take the folder for the
package unless the package is there first.
"""

import importlib

for package in ("loadtests", "ops", "sandbox"):
    importlib.import_module(package)
