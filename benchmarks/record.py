"""Run benchmarks and keep what they print in RESULTS.md: `python benchmarks/record.py credit mpc`.

Each benchmark is one section, replaced as a whole: the date, the machine, the command, and its figures.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import shlex
import subprocess
import sys
from datetime import date
from importlib.metadata import version
from pathlib import Path

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "RESULTS.md"
HEAD = """# Results

What the programs of this folder printed, by `python benchmarks/record.py NAME…`. Peers ran in the same go, in their own
environments (`make peers`). Machines are noisy: read ratios before seconds. A missed target stands as it was measured.
"""


def machine() -> str:
    """The processor, cores and memory of this machine, and what the figures depend on."""
    cpu = platform.processor() or platform.machine()
    if Path("/proc/cpuinfo").exists():
        found = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
        cpu = found[1] if found else cpu
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    versions = ", ".join(f"{name} {version(name)}" for name in ("numpy", "numba", "pyarrow", "cryptography"))
    return f"{cpu}, {os.cpu_count()} cores, {memory:.0f} GiB; Python {platform.python_version()}, {versions}"


def section(name: str, options: list[str]) -> str:
    """One benchmark's section; stops with its output if it fails."""
    command = [sys.executable, str(HERE / f"{name}.py"), "--json", *options]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    if ran.returncode != 0:
        sys.exit(f"{name} failed with status {ran.returncode}:\n{ran.stderr[-3000:]}")
    lines = [json.loads(line) for line in ran.stdout.splitlines() if line.startswith("{")]
    shown = shlex.join(["python", f"benchmarks/{name}.py", "--json", *options])
    rows = ["| " + " | ".join(_cells(r)) + " |" for r in lines]
    table = ["| work | value | peer | ratio | target | met |", "|---|---|---|---|---|---|", *rows]
    return f"## {title(name, options)}\n\n{date.today()}; {machine()}; `{shown}`\n\n" + "\n".join(table) + "\n"


def title(name: str, options: list[str]) -> str:
    """A section's title: other options are another section."""
    return " ".join([name, *(o.lstrip("-") for o in options)])


def _cells(row: dict[str, object]) -> list[str]:
    value = f"{_number(row['value'])} {row.get('unit') or ''}".strip()
    return [
        str(row["work"]), value, _text(row.get("peer")), _number(row.get("ratio")), _text(row.get("target")),
        _met(row.get("met")),
    ]  # fmt: skip


def _number(value: object) -> str:
    if isinstance(value, bool) or value is None:
        return ""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _text(value: object) -> str:
    return "" if value is None else str(value).replace("|", "/") if not isinstance(value, float) else f"{value:.4g}"


def _met(value: object) -> str:
    return "" if value is None else "yes" if value else "**no**"


def main() -> None:
    """Parse the names, run, and replace the sections."""
    parser = argparse.ArgumentParser(description=__doc__)
    known = sorted(p.stem for p in HERE.glob("*.py") if p.stem not in ("record", "memory"))
    parser.add_argument("names", nargs="+", choices=known)
    parser.add_argument("--options", default="", help="further options for the benchmarks, as one string")
    arguments = parser.parse_args()
    for name in arguments.names:
        print(f"{name} …", file=sys.stderr, flush=True)
        options = shlex.split(arguments.options)
        fresh = section(name, options)
        text = RESULTS.read_text() if RESULTS.exists() else HEAD
        sections = {s.split("\n", 1)[0]: "## " + s for s in text.split("\n## ")[1:]}
        sections[title(name, options)] = fresh
        RESULTS.write_text(HEAD + "".join(f"\n{s.strip()}\n" for _, s in sorted(sections.items())))


if __name__ == "__main__":
    main()
