"""What a fit reads of anybody's data module is said where it is missing."""

from types import SimpleNamespace

import pytest

from semprune.data import CalibrationDataModule
from semprune.data.modules.contract import document_batch_of, fit_data
from semprune.errors import DataContractError

WHOLE = {"datasets": ("film",), "classes": ["film.bad", "film.good"], "max_length": 64}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"datasets": None}, "data module SimpleNamespace has no datasets: a fit reads `datasets`"),
        ({"classes": None, "max_length": None}, "has no classes, max_length"),
        ({"datasets": "film"}, "has datasets 'film'"),
        ({"classes": [0, 1]}, r"has classes \[0, 1\]"),
        ({"max_length": "64"}, "has max_length '64'"),
        ({"max_length": -1}, "has max_length -1"),
    ],
)
def test_what_is_missing_is_named(change, said):
    with pytest.raises(DataContractError, match=said):
        fit_data(SimpleNamespace(**{**WHOLE, **change}))


def test_loaders_without_a_data_module_are_refused():
    with pytest.raises(DataContractError, match="data module None was given"):
        fit_data(None)


def test_whoever_offers_it_serves():
    assert fit_data(SimpleNamespace(**WHOLE)) == (("film.bad", "film.good"), ("film",), 64)
    assert fit_data(CalibrationDataModule("c4", length=32)) == ((), ("c4",), 32)


def test_batches_of_another_kind_are_refused():
    with pytest.raises(DataContractError, match="has batches of dict"):
        document_batch_of({"input_ids": []})
