"""Branches encrypt, a cloud adds, the head office decrypts the totals, and nothing else.

python examples/05_outsourced_sums.py
"""

import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa

from ppc import he
from ppc.dataset import Dataset
from ppc.he import Answers, EncryptedDataset, Envelope

PASSPHRASE = "correct horse battery staple"


def branch(seed: int) -> Dataset:
    """One branch's loans."""
    rng = np.random.default_rng(seed)
    n = 2000
    return Dataset.from_arrow(
        pa.table(
            {
                "loan": [f"{seed}-{i:05}" for i in range(n)],
                "product": rng.choice(["car", "home", "study"], n).tolist(),
                "amount": np.round(rng.lognormal(9, 0.6, n), 2),
            }
        )
    )


def main() -> None:
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)

        # The head office makes a key pair; the public half goes to everyone.
        he.generate("paillier").write(folder / "office.json", passphrase=PASSPHRASE)
        public = he.read_public(folder / "office.json")
        print(public)

        # Each branch encrypts the amounts; the product stays clear, and the rows are grouped by it.
        branches = [branch(seed) for seed in (1, 2, 3)]
        for i, loans in enumerate(branches):
            he.encrypt(loans, public, ["amount"], by=["product"], squares=True).write(folder / f"branch{i}.parquet")

        # The cloud adds what it can not read.
        total = None
        for i in range(len(branches)):
            loans = EncryptedDataset.open(folder / f"branch{i}.parquet", public)
            part = {"sum": loans.sum("amount"), "mean": loans.mean("amount"), "variance": loans.variance("amount")}
            part |= {f"sum, {product}": value for product, value in loans.sum_by("amount").items()}
            total = Answers(part) if total is None else total + Answers(part)
        total.to_envelope().write(folder / "totals.ppche")

        # The head office reads the totals.
        private = he.read_private(folder / "office.json", passphrase=PASSPHRASE)
        answers = Answers.from_envelope(Envelope.read(folder / "totals.ppche"), private).release(private)
        for name, value in answers.items():
            print(f"{name:<12} {value:18,.2f}")

        everything = np.concatenate([b.numpy("amount") for b in branches])
        assert np.isclose(answers["sum"], everything.sum(), rtol=1e-9)
        assert np.isclose(answers["variance"], everything.var(ddof=1), rtol=1e-6)


if __name__ == "__main__":
    main()
