"""Reads events that are partitioned by day and hour, and holds each row's partition against its own time.

    hours.py <folder>
"""

import sys

import duckdb
import pyarrow
import pyarrow.dataset

# Both readers take a time in a path as one only where they are told to.
PARTITION = pyarrow.schema(
    [("event_date", pyarrow.date32()), ("event_hour", pyarrow.int32()), ("hour_start", pyarrow.timestamp("us"))]
)


def main(folder):
    by = pyarrow.dataset.partitioning(PARTITION, flavor="hive")
    compare("pyarrow", pyarrow.dataset.dataset(folder, format="parquet", partitioning=by).to_table())
    connection = duckdb.connect()
    connection.execute("set timezone = 'UTC'")
    types = "{'event_date': date, 'event_hour': int, 'hour_start': timestamp}"
    read = f"select * from read_parquet(?, hive_partitioning = true, hive_types = {types})"
    compare("duckdb", connection.execute(read, [f"{folder}/**/*.parquet"]).fetch_arrow_table())


def compare(reader, table):
    for row in table.to_pylist():
        at = row["event_datetime"]
        assert row["event_date"] == at.date(), f"{reader}: {row}"
        assert row["event_hour"] == at.hour and not isinstance(row["event_hour"], str), f"{reader}: {row}"
        start = at.replace(minute=0, second=0, microsecond=0, tzinfo=None)
        assert row["hour_start"] == start, f"{reader}: {row}"
    print(f"{reader}: {table.num_rows} rows")


if __name__ == "__main__":
    main(*sys.argv[1:])
