"""The measured exponent of a run, as a file that may come from anybody."""

from dataclasses import asdict, fields

import pytest

from nas.runs.measured import EXPONENT, MEASURED, SCHEMA_VERSION, MeasuredExponent, read_measured
from search_spaces import InputError
from search_spaces.document import write_document

WHOLE = MeasuredExponent(-0.1, 0.1, 0.05, 0.2, 5, 10, 0, "a doubling of MACs", "x", 0.1, {})


def written(folder, document):
    (folder / EXPONENT).mkdir()
    write_document(folder / MEASURED, document)
    return folder


def test_it_comes_back(tmp_path):
    (tmp_path / EXPONENT).mkdir()
    WHOLE.write(tmp_path)
    assert read_measured(tmp_path) == WHOLE


@pytest.mark.parametrize("name", [field.name for field in fields(MeasuredExponent)])
def test_a_field_that_is_missing_is_named(name, tmp_path):
    document = {"schema": SCHEMA_VERSION, **asdict(WHOLE)}
    del document[name]
    with pytest.raises(InputError, match=f"field '{name}' is missing"):
        read_measured(written(tmp_path, document))


@pytest.mark.parametrize("name", ["slope", "low", "high"])
@pytest.mark.parametrize("value", [1e5, -1e300])
def test_a_slope_that_no_accuracies_have_is_refused(name, value, tmp_path):
    with pytest.raises(InputError, match=f"{name} .*expected -100 to 100"):
        read_measured(written(tmp_path, {"schema": SCHEMA_VERSION, **asdict(WHOLE), name: value}))
