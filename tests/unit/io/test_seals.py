"""A header's hash of itself."""

import json

import pytest

from semprune.io.seals import check_seal, seal

HEADER = {"concepts": ("a", "é"), "number": 0.1, "nested": {1: [True, None]}}


def test_a_header_survives_being_written_and_no_change_of_a_value_does():
    written = json.dumps(seal(HEADER), sort_keys=True)
    check_seal(json.loads(written), "x")
    for old, new in (("0.1", "0.2"), ('"a"', '"b"'), ("true", "false"), ("null", "1"), ('"number"', '"mumber"')):
        with pytest.raises(ValueError, match="does not have the hash"):
            check_seal(json.loads(written.replace(old, new)), "x")


def test_a_header_is_sealed_anew_when_it_is_handed_on():
    check_seal(seal({**seal(HEADER), "number": 3}), "x")


def test_a_header_without_a_seal_is_taken_with_a_line_in_the_log(caplog):
    with caplog.at_level("INFO", "semprune"):
        check_seal(HEADER, "old.safetensors")
    assert "old.safetensors was written before files carried a hash" in caplog.text
