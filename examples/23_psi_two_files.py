"""Two organisations match two files from the command line: one listens, one connects with a one-time code.

Rows match by customer number or, where that is missing, by telephone number, however it is written.
Run it: python examples/23_psi_two_files.py
"""

import csv
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

BANK = [("id", "phone", "income")] + [
    (f"C{i:05}" if i % 5 else "", f"030 {234_000 + i}", 1000 + i) for i in range(1, 2001)
]
SHOP = [("customer", "tel", "visits")] + [
    (f"C{i:05}" if i % 3 else "", f"+49 30 {234_000 + i}", i % 7) for i in range(2500, 1500, -1)
]


def ppc(*arguments, **options):
    command = [sys.executable, "-m", "ppc.cli", "psi", *map(str, arguments), "--json"]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, **options)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for file, rows in (("bank.csv", BANK), ("shop.csv", SHOP)):
            with (folder / file).open("w", newline="") as f:
                csv.writer(f).writerows(rows)
        keys = ["--key", "id", "--or-key", "phone", "--form", "phone=phone:DE", "--columns", "income"]
        bank = ppc("listen", folder / "bank.csv", *keys, "--host", "127.0.0.1", "--out", folder / "bank.out.csv")
        told = json.loads(bank.stdout.readline())
        print("the bank tells the shop: port and code", end="\n\n")
        keys = ["--key", "customer", "--or-key", "tel", "--form", "tel=phone:DE", "--columns", "visits"]
        shop = ppc(
            "connect", f"127.0.0.1:{told['port']}", folder / "shop.csv", *keys, "--out", folder / "shop.out.csv",
            env={**os.environ, "PPC_PSI_CODE": told["code"]},
        )  # fmt: skip
        for party, process in (("bank", bank), ("shop", shop)):
            answer = json.loads(process.communicate()[0])
            print(f"{party}: {answer['matched']} of {answer['rows']} rows in common, {answer['matched_by']}")
        here, there = ((folder / f"{party}.out.csv").read_text().split() for party in ("bank", "shop"))
        print("\nthe first rows of both files, side by side:")
        for left, right in list(zip(here, there, strict=True))[:4]:
            print(f"  {left:>8} {right:>8}")
