"""A run folder's artefacts as a page, as tables and in the terminal; needs neither torch nor lightning."""

from semprune.report.export import write_tables
from semprune.report.page import write_report
from semprune.report.run.load_run import RunArtefacts, load_run
from semprune.report.terminal import concept_summary, terminal_table

__all__ = ["RunArtefacts", "concept_summary", "load_run", "terminal_table", "write_report", "write_tables"]
