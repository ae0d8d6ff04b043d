"""Where exact aggregates are computed: DuckDB, Polars or Spark. Each answers the same `Request`, in exact integers."""
