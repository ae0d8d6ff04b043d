"""Job files: what is read, what is refused and where the error points."""

from __future__ import annotations

from pathlib import Path

import pytest

from ppc.errors import FileError, JobFileError
from ppc.joint import Job

GOOD = """
name = "scorecard"          # a comment
parties = ["bank-a", "bank-b"]
helper = "helper"
result = "bank-b"
seed = 3

[datasets]
bank-a = "customers"
bank-b = "behaviour"

[[step]]
operator = "align"
keys = ["id"]
holdout = 0.25

[[step]]
name = "model"
operator = "logistic_regression"
label = "default"
class_weight = { "0" = 1.0, "1" = 3.0 }
"""


def test_a_job_is_read() -> None:
    job = Job.from_toml(GOOD)
    assert job.parties == ("bank-a", "bank-b")
    assert (job.name, job.helper, job.result, job.seed) == ("scorecard", "helper", "bank-b", 3)
    assert job.datasets == {"bank-a": "customers", "bank-b": "behaviour"}
    assert [(s.name, s.operator) for s in job.steps] == [("align", "align"), ("model", "logistic_regression")]
    assert job.step("model").params.class_weight == {"0": 1.0, "1": 3.0}  # type: ignore[attr-defined]
    assert job.rank("bank-b") == 1


def test_the_hash_is_of_the_meaning_not_of_the_layout() -> None:
    job = Job.from_toml(GOOD)
    other = GOOD.replace("# a comment", "")
    other = other.replace('label = "default"', 'solver = "sgd"\nlabel   =   "default"')
    assert other != GOOD
    assert Job.from_toml(other).hash == job.hash  # solver = "sgd" is the default
    assert Job.from_toml(GOOD.replace("0.25", "0.26")).hash != job.hash
    assert Job.from_toml(GOOD.replace('["bank-a", "bank-b"]', '["bank-b", "bank-a"]')).hash != job.hash


def test_a_job_survives_its_dictionary() -> None:
    job = Job.from_toml(GOOD)
    doc = job.to_dict()
    steps = [{"name": s["name"], "operator": s["operator"], **s["params"]} for s in doc["steps"]]
    again = Job.from_dict(
        {k: doc[k] for k in ("name", "parties", "helper", "result", "seed", "datasets")} | {"step": steps}
    )
    assert again.hash == job.hash


def test_public_streams_depend_on_seed_and_label_only() -> None:
    job = Job.from_toml(GOOD)
    a = job.public_stream("x").permutation(50).tolist()
    assert a == Job.from_toml(GOOD.replace("0.25", "0.5")).public_stream("x").permutation(50).tolist()
    assert a != job.public_stream("y").permutation(50).tolist()
    assert a != Job.from_toml(GOOD.replace("seed = 3", "seed = 4")).public_stream("x").permutation(50).tolist()


@pytest.mark.parametrize(
    ("old", "new", "what", "where"),
    [
        ('helper = "helper"', 'helpr = "helper"', "unknown key 'helpr'", "line 4"),
        ('helper = "helper"', 'helper = "bank-a"', "helper must not be one of the parties", "line 4"),
        ('result = "bank-b"', 'result = "bank-c"', "'bank-c' is not a party", "line 5"),
        ("seed = 3", "seed = -3", "whole number", "line 6"),
        ("seed = 3", "seed = true", "whole number", "line 6"),
        ('["bank-a", "bank-b"]', '["bank-a"]', "two or more", "line 3"),
        ('["bank-a", "bank-b"]', '["bank-a", "bank-a"]', "twice", "line 3"),
        ('["bank-a", "bank-b"]', '["bank-a", "../b"]', "cannot be a name", "line 3"),
        ('bank-b = "behaviour"', 'bank-c = "behaviour"', "'bank-c' is not a party", "line 10"),
        ('bank-b = "behaviour"', "", "names no dataset of 'bank-b'", "line 8"),
        ('operator = "align"', 'operator = "allign"', "there is no operator 'allign'", "line 13"),
        ("holdout = 0.25", "holdot = 0.25", "unknown key 'holdot'", "line 15"),
        ("holdout = 0.25", "holdout = 1.5", "less than 1", "line 15"),
        ("holdout = 0.25", 'holdout = "0.25"', "valid number", "line 15"),
        ("holdout = 0.25", "holdout = nan", "finite number", "line 15"),
        ('keys = ["id"]', "", "field required", "line 12"),
        ('name = "model"', 'name = "align"', "two steps are called 'align'", "line 18"),
        ('{ "0" = 1.0, "1" = 3.0 }', '{ "0" = 1.0 }', "a factor for", "line 17"),
        ("seed = 3", "seed = ", "not valid TOML", "job"),
    ],
)  # fmt: skip
def test_a_fault_names_line_and_key(old: str, new: str, what: str, where: str) -> None:
    with pytest.raises(JobFileError) as caught:
        Job.from_toml(GOOD.replace(old, new, 1))
    assert what in caught.value.what
    assert where in (caught.value.where or "")


def test_a_near_miss_is_suggested() -> None:
    with pytest.raises(JobFileError) as caught:
        Job.from_toml(GOOD.replace("holdout", "holdot"))
    assert caught.value.hint == "Did you mean 'holdout'?"
    assert "step 'align'" in (caught.value.where or "")


def test_a_job_without_steps_or_name_is_refused() -> None:
    for text in (
        'parties = ["a", "b"]\n[[step]]\noperator = "score"\n',
        'name = "j"\nparties = ["a", "b"]\n',
        "step = 3",
    ):
        with pytest.raises(JobFileError):
            Job.from_toml(text)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="cannot read the job file"):
        Job.read(tmp_path / "absent.toml")
    (tmp_path / "bad.toml").write_bytes(b"name = '\xff'")
    with pytest.raises(JobFileError, match="UTF-8") as caught:
        Job.read(tmp_path / "bad.toml")
    assert "bad.toml" in (caught.value.where or "")
    (tmp_path / "good.toml").write_text(GOOD, "utf-8")
    assert Job.read(tmp_path / "good.toml") == Job.from_toml(GOOD)
