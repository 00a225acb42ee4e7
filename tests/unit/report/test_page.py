"""The page as a document: true numbers, escaped text, nothing from outside, sound structure, gaps explained."""

import base64
import hashlib
import re
import stat
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import pytest

import semprune.report
from semprune.artefacts import TABLES
from semprune.report import load_run, write_report
from semprune.report.run.formats import MINUS
from semprune.report.tables.headline import headline_table

VOID = {"wbr", "meta", "link", "br", "line", "circle", "rect", "path", "use", "input", "img", "hr"}


class Document(HTMLParser):
    """Elements as (tag, attributes, text), and whether every tag is closed in order."""

    def __init__(self, page):
        super().__init__()
        self.elements, self._open = [], []
        self.feed(page)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag, attributes):
        element = [tag, dict(attributes), ""]
        self.elements.append(element)
        if tag not in VOID:
            self._open.append(element)

    def handle_startendtag(self, tag, attributes):
        self.elements.append([tag, dict(attributes), ""])

    def handle_endtag(self, tag):
        assert self._open.pop()[0] == tag

    def handle_data(self, text):
        for element in self._open:
            element[2] += text

    def all(self, tag, **wanted):
        return [
            (attributes, text)
            for name, attributes, text in self.elements
            if name == tag and all(attributes.get(key) == value for key, value in wanted.items())
        ]


@pytest.fixture(scope="module")
def document(page):
    return Document(page)


def words(text):
    return " ".join(text.split())


def rows_after(document, caption):
    """Texts of the body cells of the table with this caption id."""
    elements = document.elements
    start = next(
        i for i, (tag, attributes, _) in enumerate(elements) if tag == "caption" and attributes.get("id") == caption
    )
    rows = []
    for tag, _, text in elements[start + 1 :]:
        if tag == "table":
            break
        if tag == "tr":
            rows.append([])
        elif tag in ("td", "th"):
            rows[-1].append(words(text))
    return rows


def test_headline_numbers_equal_the_parquet(document, built_run):
    run = load_run(built_run)
    for metric in ("accuracy", "auroc", "macro_f1"):
        shown = [row[-7:] for row in rows_after(document, f"scores-{metric}-caption") if len(row) >= 7][1:]
        shown = [row for row in shown if row[0].endswith("%")]
        table = headline_table(run, metric)
        assert len(shown) == len(table)
        for cells, (_, row) in zip(shown, table.iterrows(), strict=True):
            setting, dense, pruned, drop, interval, _, _ = cells
            assert setting == row["setting"]
            assert float(dense.split()[0]) == pytest.approx(100 * row["dense"], abs=0.051)
            assert float(pruned.split()[0]) == pytest.approx(100 * row["value"], abs=0.051)
            assert number(drop.lstrip("▼▲")) == pytest.approx(-100 * row["difference"], abs=0.051)
            ends = [number(end) for end in interval.strip("[]").split(", ")]
            assert ends == pytest.approx([-100 * row["difference_high"], -100 * row["difference_low"]], abs=0.051)
            assert ("▼" in drop) == (row["difference_high"] < 0)


def number(text):
    return float(text.replace(MINUS, "-"))


def test_hostile_text_is_escaped(page, hostile):
    assert hostile not in page
    assert "&lt;script&gt;window.hacked = true&lt;/script&gt;" in page
    assert "&lt;b&gt;" in page
    assert page.count("<script") == 1
    assert "\u202e" not in page
    assert "\x00" not in page


def test_hostile_names_are_escaped_everywhere(edit):
    evil = '"><img src=x onerror=alert(1)>'
    edit("results", lambda t: t.assign(dataset=evil + t["dataset"], backbone=evil, calibration=t["calibration"] + evil))
    edit("semantic_loss", lambda t: t.assign(concept=evil + t["concept"], calibration=t["calibration"] + evil))
    edit("layer_concept", lambda t: t.assign(concept=evil + t["concept"]))
    run_dir = edit("neurons", lambda t: t.assign(concept=evil + t["concept"], neuron_class=evil))
    assert Document(write_report(run_dir).read_text(encoding="utf-8")).all("img") == []


def test_nothing_is_loaded_from_outside(page, document):
    assert re.findall(r"(?:https?:)?//[\w.]", page.replace("http-equiv", "")) == []
    assert "@import" not in page
    assert "url(" not in page
    sources = [
        value for _, attributes, _ in document.elements for key in ("src", "href") if (value := attributes.get(key))
    ]
    assert {value[0] for value in sources if value != "data:,"} == {"#"}


def test_only_the_own_script_may_run(page, document):
    script = document.all("script")[0][1]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = next(attributes["content"] for attributes, _ in document.all("meta") if "http-equiv" in attributes)
    assert f"script-src 'sha256-{digest}'" in policy
    assert policy.startswith("default-src 'none'")
    assert not any(key.startswith("on") for _, attributes, _ in document.elements for key in attributes)


def test_ids_are_unique_and_references_lead_somewhere(document):
    ids = [attributes["id"] for _, attributes, _ in document.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    for _, attributes, _ in document.elements:
        named = [
            attributes.get(key)
            for key in ("aria-controls", "aria-labelledby", "aria-describedby", "for", "data-switch")
        ]
        named.append(attributes["href"][1:] if attributes.get("href", "").startswith("#") else None)
        assert {name for name in named if name} <= set(ids)


def test_every_tab_has_a_panel_that_names_it(document):
    tabs = document.all("button", role="tab")
    panels = {attributes["id"]: attributes for attributes, _ in document.all("div", role="tabpanel")}
    assert len(tabs) == len(panels) == 7 + 3
    for attributes, _ in tabs:
        assert panels[attributes["aria-controls"]]["aria-labelledby"] == attributes["id"]


def test_headings_do_not_skip_levels(document):
    levels = [int(tag[1]) for tag, _, _ in document.elements if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(later <= earlier + 1 for earlier, later in pairwise(levels))


def test_the_page_is_small(page):
    assert 100_000 < len(page.encode()) < 3_000_000


def test_concepts_are_sorted_by_excess_loss(document, built_run):
    loss = load_run(built_run).semantic_loss.query("layer == -1")
    expected = loss.groupby("concept")["xsl"].max().sort_values(ascending=False).index.tolist()
    start = next(i for i, element in enumerate(document.elements) if element[1].get("id") == "meanings")
    shown = [
        words(text)
        for tag, attributes, text in document.elements[start:]
        if tag == "th" and attributes.get("scope") == "row"
    ]
    assert shown[: len(expected)] == expected


def test_a_heatmap_cell_tells_its_value(document, built_run):
    strength = load_run(built_run).layer_concept.query("concept == 'negation' and layer == 24").iloc[0]
    start = next(i for i, element in enumerate(document.elements) if element[1].get("id") == "panel-layers-strength")
    row = next(
        i
        for i in range(start, len(document.elements))
        if document.elements[i][2] == "negation" and document.elements[i][0] == "th"
    )
    _, attributes, text = document.elements[row + 1 + 24]
    assert float(text) == pytest.approx(strength["strength"], rel=0.005)
    assert attributes["data-more"] == f"{strength['discoveries']} neurons"


def test_layers_without_excess_show_plain_loss(edit):
    page = write_report(edit("semantic_loss", lambda t: t.assign(xsl=t["xsl"].where(t["layer"] < 0)))).read_text()
    assert 'data-measure="semantic loss"' in page
    assert 'data-measure="excess semantic loss"' not in page


def test_cards_show_the_activation_dense_to_pruned(document, built_run):
    rows = load_run(built_run).neuron_activations
    first = rows[rows["method"] == "wanda"].iloc[0]
    cards = [words(text) for _, text in document.all("article")]
    assert f"{first['dense']:.3g} → {first['pruned']:.3g}" in cards[0]


def test_words_show_their_activation_most_frequent_first(document, built_run):
    tables = [words(text) for name, text in document.all("table") if "most frequent words" in words(text)]
    rows = load_run(built_run).word_activations
    assert len(tables) == rows["concept"].nunique()
    first = tables[0]
    assert rows["neuron"].iloc[0] in first
    assert first.index("worse540.310.01240.155") < first.index("badly310.2110.008450.106")


NAMED = [table.name for table in TABLES.values() if table.gives and table.name not in ("task_concepts", "calibration")]
"""What a run without a study's calibration section names where it is missing."""


@pytest.mark.parametrize("name", NAMED)
def test_a_missing_artefact_is_named_with_its_remedy(run_dir, name):
    (run_dir / f"{name}.parquet").unlink()
    page = write_report(run_dir).read_text(encoding="utf-8")
    assert f"<code>{name}.parquet</code>; <code>semprune study</code> writes it" in page
    Document(page)


def test_results_alone_make_a_page(run_dir):
    for path in run_dir.iterdir():
        if path.name != "results.parquet":
            path.unlink()
    page = write_report(run_dir).read_text(encoding="utf-8")
    assert page.count("Not in this run:") == len(NAMED) + 1 == 9  # and provenance
    assert "loses 9.6 points of AUROC" in page
    Document(page)


def test_the_report_is_replaced_whole_and_readable(run_dir):
    (run_dir / "report.html").write_text("old")
    path = write_report(run_dir)
    assert path == run_dir / "report.html"
    assert path.read_text(encoding="utf-8").startswith("<!doctype html>")
    assert stat.S_IMODE(path.stat().st_mode) & stat.S_IRUSR
    assert not list(run_dir.glob(".report*"))


def test_the_same_run_gives_the_same_bytes(built_run, page):
    assert write_report(built_run).read_text(encoding="utf-8") == page


def test_the_room_imports_neither_torch_nor_lightning():
    for path in Path(semprune.report.__file__).parent.rglob("*.py"):
        imported = re.findall(r"^\s*(?:from|import) ([\w.]+)", path.read_text(encoding="utf-8"), re.MULTILINE)
        assert not [name for name in imported if name.split(".")[0] in {"torch", "lightning", "transformers"}], path
