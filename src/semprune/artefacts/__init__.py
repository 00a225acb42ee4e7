"""The tables of a run folder: what they hold, said once for whoever writes and whoever reads them; needs no torch."""

from semprune.artefacts.answers import Answers, read_answers
from semprune.artefacts.cell import (
    CELL,
    DENSE,
    DRAW,
    SETTING,
    UNSTRUCTURED,
    Cell,
    guided_calibration,
    is_guided,
    split_calibration,
    with_cell,
)
from semprune.artefacts.dataset_answers import NO_ANSWER, DatasetAnswers
from semprune.artefacts.files import RERUN, read_provenance, read_table, records, write_parts, write_table
from semprune.artefacts.tables import TABLES, RunTable, stated_once

__all__ = [
    "CELL",
    "DENSE",
    "DRAW",
    "NO_ANSWER",
    "RERUN",
    "SETTING",
    "TABLES",
    "UNSTRUCTURED",
    "Answers",
    "Cell",
    "DatasetAnswers",
    "RunTable",
    "guided_calibration",
    "is_guided",
    "read_answers",
    "read_provenance",
    "read_table",
    "records",
    "split_calibration",
    "stated_once",
    "with_cell",
    "write_parts",
    "write_table",
]
