"""The table of options in docs/pruning.md is what the methods say of themselves."""

from tests.docs.pages import ROOT

from semprune.pruning.methods import methods


def test_every_option_of_a_method_has_its_row() -> None:
    rows = [
        f"| `{name}` | `{option}` | `{field.default}` | {field.metadata['about']} |"
        for name, method in methods().items()
        for option, field in method.option_fields().items()
    ]
    lines = (ROOT / "docs" / "pruning.md").read_text("utf-8").splitlines()
    head = lines.index("| method | option | default | what it is |")
    assert lines[head + 2 : lines.index("", head)] == rows
