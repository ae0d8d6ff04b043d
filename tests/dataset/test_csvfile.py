"""CSV and TSV as people write them: what is inferred, what counts as missing, and how errors read."""

import datetime as dt
import gzip
import math

import pyarrow as pa
import pytest

from ppc.dataset import Dataset, Field, Schema, csvfile, read
from ppc.errors import ColumnError, ConfigError, FileError, SchemaError, TypeMismatchError


@pytest.fixture
def csv(tmp_path):
    def write(text, name="data.csv", encoding="utf-8"):
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode(encoding))
        return path

    return write


def columns(path, **options):
    return read(path, **options).to_arrow().to_pydict()


def kinds(path, **options):
    return {f.name: f.type for f in read(path, **options).schema}


# --- what is inferred ---
def test_types(csv):
    path = csv(
        "i,f,b,d,t,s\n1,1.5,true,2020-01-31,2020-01-31 12:30:00,a\n-2,2,False,2021-02-28,2021-02-28T00:00:00,b\n"
    )
    assert kinds(path) == {"i": "int64", "f": "float64", "b": "bool", "d": "date", "t": "timestamp", "s": "string"}
    assert columns(path)["t"] == [dt.datetime(2020, 1, 31, 12, 30), dt.datetime(2021, 2, 28)]


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (["007", "12"], "string"),
        (["12", "00"], "string"),
        (["0", "12"], "int64"),
        (["+4917012345", "1"], "string"),
        (["0.5", "0"], "float64"),
        (["00.5", "+1"], "float64"),
        (["6222021234567890123", "1"], "int64"),  # 19 digits still fit
        (["62220212345678901234", "1"], "string"),  # a double would drop the last ones
        (["110101199003070011", "11010119900307001X"], "string"),
        (["1e5", "2"], "float64"),
    ],
)
def test_codes_stay_text(csv, values, kind):
    path = csv("x,y\n" + "".join(f"{v},1\n" for v in values))
    assert kinds(path)["x"] == kind
    if kind == "string":
        assert columns(path)["x"] == values


def test_a_code_far_down_a_file_keeps_the_whole_column_text(csv, monkeypatch):
    monkeypatch.setattr(csvfile, "_BLOCK", 4096)
    path = csv("x,y\n" + "".join(f"{i},1\n" for i in range(1, 5000)) + "007,1\n")
    assert columns(path)["x"][-2:] == ["4999", "007"]


# --- what is missing ---
def test_missing_values_are_nulls_and_numbers_stay_numbers(csv):
    path = csv('n,s\n1,?\n?,NA\nNA,""\n,a\n nan,N/A\n ?, ?\n2.5,b\n')
    assert columns(path) == {"n": [1, None, None, None, None, None, 2.5], "s": [None] * 3 + ["a", None, None, "b"]}


def test_what_is_missing_can_be_said(csv):
    path = csv("n,s\n1,?\n-9,NA\n,x\n")
    assert columns(path, null_values=["-9"]) == {"n": ["1", None, ""], "s": ["?", "NA", "x"]}
    assert columns(path, null_values=["", "-9"])["n"] == [1, None, None]


def test_nan_in_a_csv_is_missing_and_infinity_is_not(csv):
    path = csv("x\ninf\n-inf\n1\nnan\n")
    assert columns(path, null_values=[""])["x"] == [math.inf, -math.inf, 1, None]


def test_in_a_file_of_one_column_an_empty_line_is_a_missing_value(csv):
    assert columns(csv("x\n1\n\n3\n")) == {"x": [1, None, 3]}
    assert columns(csv("x,y\n1,2\n\n3,4\n")) == {"x": [1, 3], "y": [2, 4]}


# --- how it is laid out ---
@pytest.mark.parametrize(
    "text",
    [
        "a,b\n1,x\n",
        "a,b\n1,x",
        "a,b\r\n1,x\r\n",
        "\ufeffa,b\n1,x\n",
        "\n\na,b\n1,x\n",
        ' a , "b"\n1,x\n'.replace(', "', ',"'),
        '"a","b"\n"1","x"\n',
        "a,b\n 1,x\n",
    ],
)
def test_layouts_of_one_table(csv, text):
    assert columns(csv(text)) == {"a": [1], "b": ["x"]}


@pytest.mark.parametrize("encoding", ["gb18030", "utf-16", "latin-1", "utf-8"])
def test_encodings(csv, encoding):
    text = "näme,b\né,1\n" if encoding == "latin-1" else "名,b\n中文,1\n"
    path = csv(text, encoding=encoding)
    assert list(columns(path, encoding=encoding).values()) == [[text.split("\n")[1].split(",")[0]], [1]]


@pytest.mark.parametrize("text", ["a,b\n中文,1\n", "名,b\n1,2\n"])
@pytest.mark.parametrize("encoding", ["gb18030", "utf-16"])
def test_a_wrong_encoding_is_an_error_with_a_hint(csv, text, encoding):
    path = csv(text, encoding=encoding)
    with pytest.raises(FileError, match="not utf-8") as e:
        read(path)
    assert "gb18030" in e.value.hint
    with pytest.raises(FileError, match="not utf-8"):
        read(path, schema=Schema((Field(text[0], "string"), Field("b", "int64"))))
    with pytest.raises(FileError, match="not ascii"):
        read(path, encoding="ascii")


def test_zipped_files_and_other_delimiters(csv):
    assert columns(csv(gzip.compress(b"a,b\n1,2\n"), "d.csv.gz")) == {"a": [1], "b": [2]}
    assert columns(csv("a\tb\n1\t2\n", "d.tsv")) == {"a": [1], "b": [2]}
    assert columns(csv("a;b\n1;2\n"), delimiter=";") == {"a": [1], "b": [2]}
    with pytest.raises(FileError, match="another delimiter") as e:
        read(csv("a;b\n1;2\n"))
    assert e.value.hint == "Pass delimiter=';'."
    assert columns(csv("a;b\n1\n"), delimiter=",") == {"a;b": [1]}
    with pytest.raises(ConfigError, match="one character"):
        read(csv("a,b\n1,2\n"), delimiter="::")
    with pytest.raises(ConfigError, match="no encoding 'utf8000'"):
        read(csv("a,b\n1,2\n"), encoding="utf8000")


def test_columns_can_be_chosen(csv):
    path = csv("a,b,c\n1,2,x\n")
    assert list(columns(path, columns=["c", "a"])) == ["c", "a"]
    schema = Schema((Field("a", "float64"), Field("b", "string"), Field("c", "string")))
    assert kinds(path, columns=["b"], schema=schema) == {"b": "string"}
    with pytest.raises(ColumnError, match="no column 'd'"):
        read(path, columns=["d"])
    with pytest.raises(TypeMismatchError, match="list of names"):
        read(path, columns="a")
    with pytest.raises(ColumnError, match="2 columns are named 'a'"):
        read(path, columns=["a", "a"])


@pytest.mark.parametrize("text", ["a,b\n", "a,b"])
def test_a_header_alone_is_a_dataset_without_rows(csv, text):
    assert columns(csv(text)) == {"a": [], "b": []}
    schema = Schema((Field("a", "float64"), Field("b", "string")))
    assert read(csv(text), schema=schema).schema == schema


# --- what is wrong with it ---
@pytest.mark.parametrize(
    ("text", "error", "what"),
    [
        ("", FileError, "is empty"),
        ("\n\n", FileError, "no line of column names"),
        ("a,a\n1,2\n", ColumnError, "2 columns are named 'a'"),
        ("a, a\n1,2\n", ColumnError, "2 columns are named 'a'"),
        ("a,,c\n1,2,3\n", ColumnError, "column 2 of 3 has no name"),
        ("a,b\n1,2\n3,4,5\n", FileError, "a row has 3 values, and the header has 2"),
        ("a,b\n1,2\n3\n", FileError, "a row has 1 values, and the header has 2"),
        ('a,b\n1,2\n3,"x\n', FileError, "never closed"),
        ('a,b\n1,2\n3,"x\n4,y\n5,z\n', FileError, "never closed"),
        ('"a,b\n1,2\n', FileError, "first line"),
    ],
)
def test_malformed_files(csv, text, error, what):
    path = csv(text)
    with pytest.raises(error, match=what) as e:
        read(path)
    assert str(path) in e.value.where


def test_a_ragged_row_is_found_and_not_shown(csv):
    path = csv("a,b\n" + "1,2\n" * 9 + "secret,4,5\n1,2\n")
    with pytest.raises(FileError) as e:
        read(path)
    assert "data row 10" in e.value.where
    assert "secret" not in f"{e.value}{e.value.hint}{e.value.__cause__}"


def test_a_quote_that_swallows_more_than_a_block(csv, monkeypatch):
    monkeypatch.setattr(csvfile, "_BLOCK", 4096)
    with pytest.raises(FileError):
        read(csv('a,b\n1,"x\n' + "2,y\n" * 5000))


def test_quoted_newlines_are_fine(csv):
    assert columns(csv('a,b\n1,"x\ny"\n2,"say ""hi"""\n')) == {"a": [1, 2], "b": ["x\ny", 'say "hi"']}
    assert columns(csv('a,b\n2,"say ""hi"""\n1,"x\ny"\n'))["b"] == ['say "hi"', "x\ny"]


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [
        ("int64", "12", "twelve"),
        ("int64", "12", "1.5"),
        ("int8", "12", "1200"),
        ("float64", "1.5", "1,5x"),
        ("bool", "true", "maybe"),
        ("date", "2020-01-31", "31.01.2020"),
        ("timestamp", "2020-01-31 10:00:00", "yesterday"),
        ("decimal128(6, 2)", "12.25", "12.x"),
    ],
)
@pytest.mark.parametrize("rows", [0, 3000])
def test_text_in_a_number_column_names_file_column_and_row_but_not_the_value(csv, monkeypatch, kind, good, bad, rows):
    monkeypatch.setattr(csvfile, "_BLOCK", 8192)
    schema = Schema((Field("id", "int64"), Field("income", kind)))
    path = csv("id,income\n" + f'1,"{good}"\n2,?\n' * (rows // 2) + f'3,"{bad}"\n4,"{good}"\n5,"{bad}"\n')
    with pytest.raises(TypeMismatchError) as e:
        read(path, schema=schema)
    assert e.value.what == f"column 'income' should be {kind}, but a value is not"
    assert e.value.where == f"{path}, column 'income', data row {rows + 1}"
    assert bad not in f"{e.value}{e.value.hint}{e.value.__cause__}"
    path.write_text(path.read_text().replace(bad, good))
    assert read(path, schema=schema).schema == schema


def test_a_schema_decides(csv):
    path = csv("code,n\n007,1\n010,?\n")
    schema = Schema((Field("n", "float64"), Field("code", "string")))
    assert columns(path, schema=schema) == {"n": [1.0, None], "code": ["007", "010"]}
    assert columns(path, schema=schema.with_field(Field("code", "int64")))["code"] == [7, 10]


def test_a_schema_that_does_not_fit(csv):
    path = csv("a,b\n1,\n")
    with pytest.raises(SchemaError, match="schema has column 'c'") as e:
        read(path, schema=Schema((Field("a", "int64"), Field("b", "int64"), Field("c", "int64"))))
    assert str(path) in e.value.where
    with pytest.raises(SchemaError, match="data have column 'b'"):
        read(path, schema=Schema((Field("a", "int64"),)))
    with pytest.raises(SchemaError, match="may not have missing values") as e:
        read(path, schema=Schema((Field("a", "int64"), Field("b", "int64", nullable=False))))
    assert "data row 1" in e.value.where
    with pytest.raises(SchemaError, match="CSV can not hold"):
        read(path, schema=Schema((Field("a", "int64"), Field("b", "list<int64>"))))


# --- writing ---
def test_what_is_written_is_read_back(tmp_path):
    ds = Dataset.from_arrow(
        pa.table(
            {
                "a,b": [1, None, 3],
                'say "hi"': ["x,y", None, 'q"q\nq'],
                "f": [0.1, 1e300, None],
                "t": pa.array([dt.datetime(2020, 1, 1, 1, 2, 3, 4), None, None], pa.timestamp("us")),
                "d": [dt.date(2020, 1, 1), None, dt.date(1066, 10, 14)],
                "z": pa.array(["007", "1", None]),
                "b": [True, None, False],
            }
        )
    )
    for name in ("d.csv", "d.tsv"):
        ds.write(tmp_path / name)
        assert read(tmp_path / name).equals(ds)


def test_one_column_with_nulls_is_read_back(tmp_path):
    ds = Dataset.from_arrow(pa.table({"x": [1, None, 3, None]}))
    ds.write(tmp_path / "x.csv")
    assert read(tmp_path / "x.csv").equals(ds)
