"""An ETL step that desensitizes: two tables, one policy, joins that survive, and a report of what was done.

python examples/03_etl_desensitize.py
"""

import tempfile
from pathlib import Path

import polars as pl
import pyarrow as pa

import ppc
import ppc.desensitize as desensitize
from ppc.desensitize import Key, KeyRef, Policy

POLICY = """\
version = 1
name = "customers and orders to analytics"
default = "deny"                     # a column that nobody thought of stops the job

[[rule]]
column = "customer_id"               # in both tables: one scope, so they still join
use = "token"
scope = "customer"

[[rule]]
column = "name"
use = "fake_name"
keep = ["family"]

[[rule]]
column = "phone"
use = "mask_phone"

[[rule]]
column = "card"                      # the fraud team can undo it with the key
use = "fpe_encrypt"

[[rule]]
column = "born"
use = "date_shift"
entity = "customer_id"
days = 60

[[rule]]
column = "remark"
when = "country = 'DE'"
use = "redact"

[[rule]]
column = "remark"
use = "free_text"

[[rule]]
column = ["country", "order_id"]
use = "keep"

[[rule]]
column = "amount"
use = "round"
to = 10.0
"""

CUSTOMERS = """\
customer_id,name,phone,card,born,country,remark
1001,王小明,13812345678,6222021234567890,1988-05-06,CN,call 13812345678 after six
1002,欧阳修远,13900001111,6222029876543210,1990-11-30,CN,
1003,李雷,13711112222,6222025555444433,1975-01-02,DE,does not want to be called
"""

ORDERS = pa.table(
    {"order_id": [1, 2, 3, 4], "customer_id": [1001, 1003, 1001, 1002], "amount": [12.5, 99.0, 7.25, 310.0]}
)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        (home / "policy.toml").write_text(POLICY, "utf-8")
        (home / "customers.csv").write_text(CUSTOMERS, "utf-8")
        Key.generate().save(home / "analytics.key")  # once; then kept apart from the data
        keys = KeyRef.file(home / "analytics.key")

        # Customers are checked against the schema before a row is read, and go through the library.
        customers = ppc.read(home / "customers.csv")
        policy = Policy.read(home / "policy.toml")
        safe, report = desensitize.apply_with_report(customers, policy.only(customers.columns), keys)
        print(report.text(), "\n")
        print(safe.to_polars(), "\n")

        # Orders come as a lazy Polars query; the same policy, keys and scope.
        lazy = pl.from_arrow(ORDERS).lazy().filter(pl.col("amount") > 10)
        orders = desensitize.polars.apply(lazy, policy.only(ORDERS.column_names), keys)

        joined = orders.collect().join(safe.to_polars(), on="customer_id")
        print(joined.select("order_id", "customer_id", "name", "amount"), "\n")

        # Who has the key can undo what is reversible.
        undo = [{"column": "card", "use": "fpe_decrypt"}]
        cards = desensitize.arrow.apply(safe.select(["card"]).to_arrow(), undo, keys)
        print("decrypted cards equal the first ones:", cards["card"].to_pylist() == cards_of(customers))


def cards_of(customers: ppc.Dataset) -> list[str]:
    return [str(v) for v in customers.column("card").to_pylist()]


if __name__ == "__main__":
    main()
