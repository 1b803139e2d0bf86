"""Spaces of more architectures than a float can count."""

import json

import pytest

from nas.export.exportable import describe_space, exportable_space
from search_spaces import InputError, StagedSpace
from search_spaces.counting import count_text, share_text
from search_spaces.document import read_document, write_document

STAGE = {
    "op": ["mbconv3", "basic"],
    "channels": [8],
    "kernel": [3, 5],
    "repeats": [*range(1, 41)],
    "se_ratio": [0.0, 0.25],
}


def vast(stages):
    return StagedSpace.from_document({"schema": 1, "space": "vast", "stages": [STAGE] * stages})


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0"), (999_999, "999,999"), (10**6, "1e6"), (51 * 10**15, "5.1e16"), (12345 * 10**400, "1.23e404")],
)
def test_count(count, text):
    assert count_text(count) == text


@pytest.mark.parametrize(
    ("count", "of", "text"),
    [
        (7, 7, "all"),
        (10**400, 10**400, "all"),
        (23, 1000, "2.3%"),
        (23 * 10**400, 10**403, "2.3%"),
        (1, 10**320, "1e-318%"),
        (3, 12 * 10**400, "1 in 4e400"),
        (0, 5, "0%"),
    ],
)
def test_share(count, of, text):
    assert share_text(count, of) == text


def test_a_narrowed_space_is_described_kept_and_read_again(tmp_path):
    whole = vast(130)
    assert whole.size > 10**320
    part = exportable_space(whole, ("torchvision",))
    assert part.size < whole.size
    assert f"of {count_text(whole.size)} architectures" in describe_space(part)
    for name in ("space.yaml", "space.json"):
        write_document(tmp_path / name, part.to_document())
        again = StagedSpace.from_document(read_document(tmp_path / name))
        assert (again.size, again.exportable) == (part.size, part.exportable)
    assert json.loads(json.dumps({"size": whole.size})) == {"size": whole.size}


def test_a_size_that_could_not_be_written_is_refused():
    with pytest.raises(InputError, match=r"search space 'vast': .*e4\d{3} architectures: expected fewer"):
        StagedSpace.from_document(
            {
                "schema": 1,
                "space": "vast",
                "stages": [{**STAGE, "kernel": [3, 5, 7], "repeats": [*range(1, 1001)]}] * 1024,
            }
        )
