#!/usr/bin/env bash
# Generate protos/gen from the .proto sources and copy the tables beside it. `make proto` runs this.
set -euo pipefail
cd "$(dirname "$0")"
python="${PYTHON:-../.venv/bin/python}"
rm -rf gen/commdesk
mkdir -p gen
mapfile -t sources < <(find commdesk -name '*.proto' | sort)
"$python" -m grpc_tools.protoc -I. --python_out=gen --pyi_out=gen --grpc_python_out=gen "${sources[@]}"
# A file without a service needs no stub module.
find gen -name '*_pb2_grpc.py' ! -exec grep -q '^class .*Stub' {} \; -delete
find gen/commdesk -type d -exec touch {}/__init__.py \;
touch gen/commdesk/py.typed
cp bindings.toml permissions.toml services.toml gen/commdesk/
