"""Generates the Python of coordinator.proto: `python -m ppc.coordinator.proto.generate`.

The generated files are committed, so that an installation needs no compiler; a test generates them again and compares.
"""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

from ppc.errors import MissingExtra, PpcError

ROOT = Path(__file__).resolve().parent
PROTO = "ppc/coordinator/v1/coordinator.proto"
GENERATED = ("coordinator_pb2.py", "coordinator_pb2.pyi", "coordinator_pb2_grpc.py")

# protoc names the module after the proto's own path; here it lies beside the file that imports it.
_ABSOLUTE = "from ppc.coordinator.v1 import coordinator_pb2 as"
_RELATIVE = "from . import coordinator_pb2 as"


def generate(target: Path) -> list[Path]:
    """Writes the generated modules below `target` (the proto's package becomes its folders) and returns their paths."""
    if importlib.util.find_spec("grpc_tools") is None:
        raise MissingExtra("grpcio-tools is not installed", hint="pip install 'ppc[test]'")
    target.mkdir(parents=True, exist_ok=True)
    compile_proto(*(f"--{kind}_out={target}" for kind in ("python", "pyi", "grpc_python")))
    folder = (target / PROTO).parent
    adapter = folder / "coordinator_pb2_grpc.py"
    adapter.write_text(adapter.read_text("utf-8").replace(_ABSOLUTE, _RELATIVE), "utf-8")
    return [folder / name for name in GENERATED]


def compile_proto(*arguments: str) -> None:
    """Runs the compiler in a process of its own: in one process with TenSEAL, which carries its own protobuf, one of
    the two aborts.
    """
    command = [sys.executable, "-m", "grpc_tools.protoc", f"-I{ROOT}", *arguments, PROTO]
    if subprocess.run(command, check=False).returncode != 0:
        raise PpcError("protoc failed", where=PROTO)


if __name__ == "__main__":
    generate(ROOT)
