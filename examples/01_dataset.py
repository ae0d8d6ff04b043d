"""A table with a meaning: read a file, describe its columns, ask it questions, and see what an error says.

python examples/01_dataset.py
"""

import tempfile
from pathlib import Path

import ppc
from ppc.dataset import Analysable

CUSTOMERS = """\
customer_id,age,income,city,default
00017,34,51000,Porto,0
00018,?,32500,Lisbon,1
00019,58,NA,Porto,0
00020,41,78250,,0
00021,29,27900,Lisbon,1
"""

SCHEMA = """\
name = "customers"

[fields.customer_id]
type = "string"          # an account number: its zeros matter
role = "identifier"
grade = 4

[fields.age]
type = "int64"
role = "feature"
bounds = [18, 120]       # public: no calculation on these customers gave them
unit = "years"

[fields.income]
type = "float64"
role = "feature"
grade = 3
unit = "EUR"

[fields.city]
type = "string"
role = "quasi_identifier"
domain = ["Lisbon", "Porto", "other"]

[fields.default]
type = "bool"
role = "label"
nullable = false
"""


def default_rate(ds: Analysable) -> float:
    """Written once; runs on clear, encrypted, shared and differentially private data alike."""
    return ds.release(ds.mean("default"))


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "customers.csv"
        path.write_text(CUSTOMERS)
        path.with_name("customers.schema.toml").write_text(SCHEMA)

        ds = ppc.read(path)  # finds the schema beside it
        print(ds)
        for field in ds.schema:
            print(f"  {field.name:12} {field.type:8} {field.role or ''}")

        print(f"default rate: {default_rate(ds):.0%}")
        print(f"mean income: {ds.mean('income'):,.0f} EUR over {ds.count('income')} of {ds.count()} customers")
        print(f"ages 18-40 and 40-120: {ds.histogram('age', [18, 40, 120])}")

        porto = ds.where("city = 'Porto' AND age < 40")
        print(f"young in Porto: {len(porto)}")

        model = ds.where("age IS NOT NULL AND income IS NOT NULL")
        features = [f.name for f in ds.schema.by_role(ppc.Role.FEATURE)]
        print(f"design matrix: {model.matrix(features, finite=True).shape}")

        ds.drop(["customer_id"]).write(Path(folder) / "features.parquet")
        print(f"written and read: {ppc.read(Path(folder) / 'features.parquet')}")

        # Errors name the file, the column and the row; never a value.
        path.write_text(CUSTOMERS.replace("51000", "fifty"))
        try:
            ppc.read(path)
        except ppc.errors.TypeMismatchError as error:
            print(f"error[{error.code}]: {str(error).replace(folder, '.')}")
        try:
            ds.mean("incom")
        except ppc.errors.ColumnError as error:
            print(f"error[{error.code}]: {error} {error.hint}")


if __name__ == "__main__":
    main()
