#!/usr/bin/env bash
# Generate protos/gen from the .proto sources and copy the tables beside it. `make proto` runs this.
set -euo pipefail
cd "$(dirname "$0")"
python="${PYTHON:-../.venv/bin/python}"
rm -rf gen/commdesk
mkdir -p gen
"$python" -m grpc_tools.protoc -I. --python_out=gen --pyi_out=gen --grpc_python_out=gen $(find commdesk -name '*.proto' | sort)
# A file without a service needs no stub module.
for stub in $(find gen -name '*_pb2_grpc.py'); do grep -q '^class .*Stub' "$stub" || rm "$stub"; done
find gen/commdesk -type d -exec touch {}/__init__.py \;
touch gen/commdesk/py.typed
cp bindings.toml services.toml gen/commdesk/
