"""Reads what Millstream wrote with readers that are not ours, and holds it against what the test says was written.

    read.py <folder> <expected.json>

`expected.json` holds every row as an object, by the record's own key. Each reader must find the same rows, columns and types.
"""

import datetime
import glob
import json
import sys

import datasets
import duckdb
import polars
import pyarrow
import pyarrow.dataset

FILE_TYPES = {
    "id": pyarrow.string(),
    "published": pyarrow.timestamp("us", tz="UTC"),
    "amount": pyarrow.int64(),
    "user": pyarrow.struct([("platform", pyarrow.string()), ("id", pyarrow.string())]),
    "tags": pyarrow.list_(pyarrow.string()),
    "text": pyarrow.string(),
    "word_count": pyarrow.int64(),
}
PARTITION = {"event_date": pyarrow.date32()}


def main(folder, expected):
    with open(expected, encoding="utf-8") as file:
        expected = json.load(file)
    pattern = f"{folder}/**/*.parquet"
    readers = {
        "pyarrow": with_pyarrow(folder),
        "duckdb": with_duckdb(pattern),
        "polars": with_polars(pattern),
        "datasets": with_datasets(pattern),
    }
    for reader, table in readers.items():
        compare(reader, table, expected)
        print(f"{reader}: {table.num_rows} rows")


def with_pyarrow(folder):
    by = pyarrow.dataset.partitioning(pyarrow.schema(list(PARTITION.items())), flavor="hive")
    return pyarrow.dataset.dataset(folder, format="parquet", partitioning=by).to_table()


def with_duckdb(pattern):
    connection = duckdb.connect()
    connection.execute("set timezone = 'UTC'")
    # DuckDB 1.4 does not know Hive's name of a null: it shows the name, and so the whole column as text.
    read = (
        "select * replace (cast(nullif(event_date, '__HIVE_DEFAULT_PARTITION__') as date) as event_date)"
        " from read_parquet(?, hive_partitioning = true)"
    )
    table = connection.execute(read, [pattern]).fetch_arrow_table()
    words, amount = connection.execute(f"select sum(word_count), sum(amount) from ({read})", [pattern]).fetchone()
    rows = table.to_pylist()
    assert words == sum(row["word_count"] for row in rows)
    assert amount == sum(row["amount"] or 0 for row in rows)
    return table


def with_polars(pattern):
    lazy = polars.scan_parquet(pattern, hive_partitioning=True, hive_schema={"event_date": polars.Date})
    return lazy.collect().to_arrow()


def with_datasets(pattern):
    # It has no notion of partitions: the columns of the files are all that it shows.
    files = sorted(glob.glob(pattern, recursive=True))
    loaded = datasets.load_dataset("parquet", data_files=files, split="train")
    return loaded.with_format("arrow")[:]


def compare(reader, table, expected):
    wanted = dict(FILE_TYPES) if reader == "datasets" else FILE_TYPES | PARTITION
    assert table.column_names == list(wanted), f"{reader}: {table.column_names}"
    for name, kind in wanted.items():
        found = plain(table.schema.field(name).type)
        assert found == kind, f"{reader}: {name} is {found}, not {kind}"
    rows = {row["id"]: told(row) for row in table.to_pylist()}
    assert table.num_rows == len(rows) == len(expected), f"{reader}: {table.num_rows} rows, {len(rows)} ids"
    for key, row in expected.items():
        row = {name: row[name] for name in wanted}
        assert rows[key] == row, f"{reader}: {key} is {rows[key]}, not {row}"


def plain(kind):
    """The type without the choice of its layout, which is each reader's own."""
    if pyarrow.types.is_large_string(kind) or pyarrow.types.is_string_view(kind):
        return pyarrow.string()
    if pyarrow.types.is_struct(kind):
        return pyarrow.struct([(field.name, plain(field.type)) for field in kind])
    if pyarrow.types.is_list(kind) or pyarrow.types.is_large_list(kind):
        return pyarrow.list_(plain(kind.value_type))
    if pyarrow.types.is_timestamp(kind) and kind.tz == "Etc/UTC":
        return pyarrow.timestamp(kind.unit, tz="UTC")
    return kind


def told(row):
    """A row in the form of JSON: times in microseconds, dates as text."""

    def value(cell):
        if isinstance(cell, datetime.datetime):
            epoch = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
            return (cell - epoch) // datetime.timedelta(microseconds=1)
        return cell.isoformat() if isinstance(cell, datetime.date) else cell

    return {name: value(cell) for name, cell in row.items()}


if __name__ == "__main__":
    main(*sys.argv[1:])
