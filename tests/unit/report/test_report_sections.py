"""Sections of the page: each is registered once, with a template beside the code that fills it."""

import re
from importlib.resources import files

from semprune.report import load_run
from semprune.report.page import SECTIONS


def test_every_template_of_a_section_is_on_the_page_and_opens_with_its_id():
    room = files("semprune.report")
    folders = {section.folder for section in SECTIONS}
    found = [f"{folder}/{path.name}" for folder in folders for path in room.joinpath(folder).iterdir()]
    assert sorted(name for name in found if name.endswith(".j2")) == sorted(section.template for section in SECTIONS)
    for section in SECTIONS:
        text = room.joinpath(section.template).read_text(encoding="utf-8")
        assert re.findall(r'<section id="(\w+)"', text) == [section.name]


def test_the_navigation_names_the_sections_in_their_order(page, study_page):
    names = [(section.name, section.title) for section in SECTIONS]
    asked = {"fidelity", "protected"}  # no run has them that was not asked for them
    ablated = {"frontier", "carriers", "gate_controls", "mediation"}
    for text, absent in ((study_page, asked | ablated), (page, {*asked, "calibration"})):
        shown = [name for name in names if name[0] not in absent]
        assert re.findall(r'<li><a href="#(\w+)">([^<]+)</a></li>', text) == shown
        assert re.findall(r'<section id="(\w+)"', text) == [name for name, _ in shown]


def test_no_section_takes_the_name_that_another_gives_to_its_template(built_run):
    run = load_run(built_run)
    given = [name for section in SECTIONS for name in section.view(run, run) or ()]
    assert len(given) > len(SECTIONS) / 2
    assert sorted(given) == sorted(set(given))
