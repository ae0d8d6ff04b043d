"""The layout shows the architecture: imports point down, and the four protections know nothing of each other."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1] / "ppc"
# What each part may import of ppc, besides itself and ppc.errors.
ALLOWED = {
    "core": set(),
    "dataset": {"core"},
    "net": {"core"},
    "report": {"core", "dataset"},
    "he": {"core", "dataset"},
    "dp": {"core", "dataset"},
    "desensitize": {"core", "dataset"},
    "mpc": {"core", "dataset", "net"},
    "joint": {"core", "dataset", "net", "report", "he", "dp", "desensitize", "mpc"},
    "coordinator": {"core", "dataset", "net", "report", "he", "dp", "desensitize", "mpc", "joint"},
    "demos": {"core", "dataset", "net", "report", "he", "dp", "desensitize", "mpc", "joint", "coordinator"},
    "cli": {"core", "dataset", "net", "report", "he", "dp", "desensitize", "mpc", "joint", "coordinator", "demos"},
}
GRPC_ADAPTERS = {"coordinator", "net/relay.py"}
SEPARATE = {"random", "numpy.random", "pickle", "cloudpickle"}


def _imports(path: Path) -> set[str]:
    """Absolute names of all that a file imports, also inside functions."""
    found: set[str] = set()
    package = ("ppc", *path.relative_to(ROOT).parts[:-1])
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                base = ".".join((*package[: len(package) - node.level + 1], *([base] if base else [])))
            found.update([base, *(f"{base}.{alias.name}" for alias in node.names)])
    return found


def _files() -> list[Path]:
    return sorted(p for p in ROOT.glob("*/**/*.py") if not p.name.endswith(("_pb2.py", "_pb2_grpc.py")))


@pytest.mark.parametrize("path", _files(), ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_point_down(path: Path) -> None:
    parts = path.relative_to(ROOT).parts
    here = parts[0]
    used = {name.split(".")[1] for name in _imports(path) if name.startswith("ppc.")}
    used &= set(ALLOWED)
    assert used <= ALLOWED[here] | {here}, f"{'/'.join(parts)} imports {sorted(used - ALLOWED[here] - {here})}"


@pytest.mark.parametrize("path", _files(), ids=lambda p: str(p.relative_to(ROOT)))
def test_adapters_and_randomness(path: Path) -> None:
    name = str(path.relative_to(ROOT))
    imports = _imports(path)
    if not any(name.startswith(prefix) for prefix in GRPC_ADAPTERS):
        assert not any(i == "grpc" or i.startswith("grpc.") for i in imports), f"{name} imports grpc"
    assert not imports & SEPARATE, f"{name} imports {sorted(imports & SEPARATE)}"
    if name != "core/rng.py":
        assert "secrets" not in imports, f"{name}: randomness comes from ppc.core.rng alone"


def test_the_errors_stand_alone() -> None:
    assert not any(name.startswith("ppc") for name in _imports(ROOT / "errors.py"))
