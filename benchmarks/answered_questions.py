"""Reserved questions of mmlu with their right answers, as plain text that `text:` protects.

python -m benchmarks.answered_questions questions.txt
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from semprune.data.calibration.reserved import load_reserved_items
from semprune.types import Item

ASKED = re.compile(r"[^\n]*\n\n(.*)\nA\. (.*)\nB\. (.*)\nC\. (.*)\nD\. (.*)\nAnswer:", re.DOTALL)
"""How a question is asked: its subject, the question and four answers."""


def answered(item: Item) -> str:
    """A question and its right answer in words, without the wrong ones."""
    asked = ASKED.fullmatch(item.requests[0][0])
    if asked is None:
        raise SystemExit(f"not asked as expected: {item.requests[0][0]!r}")
    question, *answers = asked.groups()
    return f"Question: {question}\nAnswer: {answers[item.label].strip()}"


if __name__ == "__main__":
    questions = [answered(item) for item in load_reserved_items("mmlu", items=300)]
    Path(sys.argv[1]).write_text("\n\n".join(questions) + "\n", encoding="utf-8")
    print(f"{len(questions)} questions")
