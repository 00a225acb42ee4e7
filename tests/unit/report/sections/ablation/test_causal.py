"""What the page says in the place of a causal check that a run does not have."""

import json

from semprune.report import write_report


def test_a_check_that_was_not_asked_for_is_not_promised(run_dir):
    path = run_dir / "provenance.json"
    told = json.loads(path.read_text()) | {"settings": {"causal": None}}
    path.write_text(json.dumps(told))
    (run_dir / "causal.parquet").unlink()
    page = write_report(run_dir).read_text()
    assert "the causal check, which its configuration leaves out" in page
    assert "The folder has no <code>causal.parquet</code>" not in page
