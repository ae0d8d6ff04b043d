"""What `import ppc` gives, and what it costs."""

import importlib
import json
import subprocess
import sys

import pytest

import ppc

PUBLIC = {
    "Dataset", "Field", "Grade", "Role", "Schema", "__version__", "dataset", "desensitize", "dp", "errors", "he",
    "joint", "mpc", "read",
}  # fmt: skip
HEAVY = [
    "numba", "tenseal", "opendp", "grpc", "pyarrow", "pandas", "polars", "duckdb", "numpy", "scipy", "matplotlib",
    "sqlalchemy", "pydantic", "cryptography", "tomlkit",
]  # fmt: skip


def run(code: str) -> str:
    """What a fresh interpreter, with warnings as errors, prints for `code`."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_public_names_are_these():
    assert set(ppc.__all__) == PUBLIC
    assert len(ppc.__all__) == len(PUBLIC)
    assert set(dir(ppc)) >= PUBLIC


@pytest.mark.parametrize("name", sorted(PUBLIC))
def test_every_public_name_is_there(name):
    assert getattr(ppc, name) is not None


def test_the_names_are_the_ones_of_the_packages():
    from ppc.dataset import dataset, io, schema

    assert ppc.Dataset is dataset.Dataset
    assert ppc.read is io.read
    assert ppc.Schema is schema.Schema
    assert ppc.mpc is importlib.import_module("ppc.mpc")


def test_star_imports_and_lists_agree():
    names = json.loads(run("import json; from ppc.dataset import *; print(json.dumps(dir()))"))
    assert set(names) >= set(ppc.dataset.__all__)
    assert set(dir(ppc.dataset)) >= set(ppc.dataset.__all__)


def test_an_unknown_name_is_an_attribute_error():
    for module in (ppc, ppc.dataset):
        with pytest.raises(AttributeError, match="no attribute 'Datset'"):
            module.Datset


def test_importing_loads_nothing_heavy_and_takes_no_time():
    code = "import sys, time; t = time.perf_counter(); import ppc; t = time.perf_counter() - t; import json\n"
    code += f"print(json.dumps([t, [m for m in {HEAVY!r} if m in sys.modules]]))"
    seconds, loaded = json.loads(run(code))
    print(f"import ppc: {seconds * 1000:.0f} ms")
    assert loaded == []
    assert seconds < 2.0  # 0.01 s on an idle machine; generous, for a busy one


def test_schemas_are_read_without_the_libraries_for_data():
    """A process that handles descriptions only (a coordinator) never loads what reads data."""
    code = "import sys, ppc; ppc.Schema.from_toml('[fields.a]\\ntype = \"int64\"'); ppc.Role; ppc.Grade; ppc.errors\n"
    code += f"print([m for m in {HEAVY!r} if m in sys.modules])"
    assert run(code).strip() == "[]"


def test_data_are_read_without_pandas_and_polars(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("a,b\n1,x\n2,?\n")
    code = f"""
import sys
class NotInstalled:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("pandas", "polars"):
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, NotInstalled())
import ppc
ds = ppc.read({str(path)!r})
ds = ds.with_column("c", [1, None]).where([True, True]).where("a > 0")
ds.write({str(tmp_path / "a.parquet")!r})
ds = ppc.read({str(tmp_path / "a.parquet")!r})
print(ds.sum("a"), ds.mean("c"), len(ppc.Dataset.from_arrow(ds)))
print([m for m in ("numba", "tenseal", "opendp", "grpc") if m in sys.modules])
"""
    assert run(code).split("\n")[:2] == ["3 1.0 2", "[]"]
