"""The page in a real browser: no console errors, no requests, every tab, chooser and square works."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from semprune.report import write_report

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs a browser; un-skip when chromium is installed")
FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
         "--disable-background-networking", "--disable-component-update", "--remote-debugging-pipe")  # fmt: skip


class Browser:
    """Chromium over its debugging pipe: JSON messages ended by a zero byte, commands on fd 3, answers on fd 4."""

    def __init__(self, profile: Path):
        commands_out, self._commands = os.pipe()
        answers, answers_in = os.pipe()

        def place_pipes():
            high = [os.dup(commands_out), os.dup(answers_in)]
            for place, pipe in zip((3, 4), high, strict=True):
                os.dup2(pipe, place)

        self._process = subprocess.Popen(
            [CHROMIUM, *FLAGS, f"--user-data-dir={profile}", "about:blank"],
            preexec_fn=place_pipes, close_fds=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        os.close(commands_out)
        os.close(answers_in)
        self._answers, self._rest, self._sent, self.events = answers, b"", 0, []
        target = next(t for t in self.call("Target.getTargets")["targetInfos"] if t["type"] == "page")
        self._session = self.call("Target.attachToTarget", targetId=target["targetId"], flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def call(self, method, **params):
        self._sent += 1
        message = {"id": self._sent, "method": method, "params": params}
        if hasattr(self, "_session"):
            message["sessionId"] = self._session
        os.write(self._commands, json.dumps(message).encode() + b"\0")
        while (answer := self._receive()).get("id") != self._sent:
            self.events.append(answer)
        assert "error" not in answer, answer
        return answer["result"]

    def _receive(self):
        while b"\0" not in self._rest:
            read = os.read(self._answers, 1 << 16)
            assert read, "the browser ended"
            self._rest += read
        message, _, self._rest = self._rest.partition(b"\0")
        return json.loads(message)

    def open(self, url, width=1280, height=900, dark=False):
        self.events.clear()
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])
        self.call("Page.navigate", url=url)
        while not any(event.get("method") == "Page.loadEventFired" for event in self.events):
            self.events.append(self._receive())

    def run(self, script):
        answer = self.call("Runtime.evaluate", expression=script, returnByValue=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def complaints(self):
        wanted = ("Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded")
        return [event["params"] for event in self.events if event.get("method") in wanted]

    def requests(self):
        sent = (event["params"] for event in self.events if event.get("method") == "Network.requestWillBeSent")
        return [params["request"]["url"] for params in sent]

    def close(self):
        self._process.terminate()
        self._process.wait(timeout=20)
        os.close(self._commands)
        os.close(self._answers)


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    browser = Browser(tmp_path_factory.mktemp("profile"))
    yield browser
    browser.close()


@pytest.fixture(scope="module")
def page(built_run):
    return write_report(built_run).as_uri()


def test_nothing_is_requested_and_nothing_complains(browser, page):
    for dark in (False, True):
        browser.open(page, dark=dark)
        browser.run("document.querySelectorAll('[role=tab], summary').forEach((one) => one.click())")
        assert browser.complaints() == []
        assert [url for url in browser.requests() if url != page and not url.startswith("data:")] == []


def test_hostile_text_does_not_run(browser, page):
    browser.open(page)
    assert browser.run("typeof window.hacked") == "undefined"


def test_each_tab_shows_its_panel_alone(browser, page):
    browser.open(page)
    lists = browser.run(
        """[...document.querySelectorAll('[role=tablist]')].map((list) => {
          const tabs = [...list.querySelectorAll('[role=tab]')];
          return tabs.map((tab) => {
            tab.click();
            return tabs.map((each) => document.getElementById(each.getAttribute('aria-controls')).checkVisibility());
          });
        })"""
    )
    assert len(lists) == 2
    for seen in lists:
        assert seen == [[row == column for column in range(len(seen))] for row in range(len(seen))]


def test_arrow_keys_walk_the_tabs_and_wrap(browser, page):
    browser.open(page)
    browser.run("document.querySelector('[role=tab]').focus()")
    press(browser, "ArrowRight")
    assert browser.run("document.activeElement.textContent") == "Accuracy"
    press(browser, "ArrowLeft")
    press(browser, "ArrowLeft")
    assert browser.run("document.activeElement.id") == browser.run(
        "[...document.querySelectorAll('[role=tablist]')][0].lastElementChild.id"
    )
    assert browser.run("document.activeElement.getAttribute('aria-selected')") == "true"


def test_a_square_tells_its_value_to_the_keyboard(browser, page):
    browser.open(page)
    browser.run("document.querySelector('.heat tbody td').focus()")
    press(browser, "ArrowRight")
    press(browser, "ArrowDown")
    title, text, value = browser.run(
        """(() => {
          const row = document.querySelector('.heat tbody').rows[1];
          return [row.cells[0].textContent, document.getElementById('tip').textContent, row.cells[2].textContent];
        })()"""
    )
    assert text.startswith(f"{title}, layer 1association strength {value}; ")
    press(browser, "Escape")
    assert browser.run("document.getElementById('tip').hidden")


def test_the_chooser_shows_one_concept(browser, page):
    browser.open(page)
    shown = browser.run(
        """(() => {
          const chooser = document.getElementById('concept');
          chooser.value = 'neurons-3';
          chooser.dispatchEvent(new Event('change'));
          return [...document.querySelectorAll('.concept')].filter((one) => one.checkVisibility()).map((one) => one.id);
        })()"""
    )
    assert shown == ["neurons-3"]


def test_every_tab_has_a_link_that_opens_it(browser, page):
    browser.open(page)
    panels = browser.run(
        """[...document.querySelectorAll('[role=tab]')].map((tab) => {
          tab.click();
          return [tab.getAttribute('aria-controls'), location.hash.slice(1).split(',')];
        })"""
    )
    assert len(panels) >= 4
    for panel, address in panels:
        assert panel in address
        browser.run(f"location.hash = '{panel}'")  # as where a link is followed on the page itself
        browser.call("Runtime.evaluate", expression="new Promise((done) => setTimeout(done, 20))", awaitPromise=True)
        assert browser.run(f"document.getElementById('{panel}').checkVisibility()")
    for panel in (panels[1][0], panels[-1][0]):
        browser.open("about:blank")
        browser.open(f"{page}#{panel}")
        assert browser.run(f"document.getElementById('{panel}').checkVisibility()")
    assert browser.complaints() == []


def test_the_state_of_the_page_is_its_address(browser, page):
    state = """(() => ({
      tabs: [...document.querySelectorAll('[role=tab][aria-selected=true]')].map((tab) => tab.id),
      concept: document.getElementById('concept').value,
      open: [...document.querySelectorAll('details')].map((one) => one.open),
      theme: document.documentElement.dataset.theme ?? '',
    }))()"""
    browser.open(page)
    first = browser.run(state)
    assert browser.run("location.hash") == ""
    browser.run(
        """(() => {
          document.querySelectorAll('[role=tablist] [role=tab]:last-child').forEach((tab) => tab.click());
          const chooser = document.getElementById('concept');
          chooser.value = chooser.options[2].value;
          chooser.dispatchEvent(new Event('change'));
          document.querySelectorAll('details')[1].open = true;
          document.getElementById('theme').click();
        })()"""
    )
    browser.run("location.hash = 'meanings'")  # as a link in the navigation does
    wait = "new Promise((done) => setTimeout(() => done(location.href), 200))"
    address = browser.call("Runtime.evaluate", expression=wait, awaitPromise=True)["result"]["value"]
    chosen = browser.run(state)
    assert all(chosen[name] != first[name] for name in first)
    browser.run("localStorage.clear()")
    browser.open("about:blank")
    browser.open(address)
    assert browser.run(state) == chosen
    assert browser.run("Math.abs(document.getElementById('meanings').getBoundingClientRect().top) < 120")
    browser.run("localStorage.clear()")


def test_the_choices_of_a_study_are_in_its_address(browser, study):
    browser.open(study)
    values = "[...document.querySelectorAll('select')].map((one) => one.value)"
    browser.run(
        """document.querySelectorAll('select').forEach((one) => {
          one.value = one.options[one.options.length - 1].value;
          one.dispatchEvent(new Event('change'));
        })"""
    )
    chosen, address = browser.run(values), browser.run("location.href")
    browser.open("about:blank")
    browser.open(address)
    assert browser.run(values) == chosen
    assert browser.complaints() == []


@pytest.fixture(scope="module")
def study(study_run):
    return write_report(study_run).as_uri()


def test_every_choice_of_a_study_shows_one_panel_without_complaint(browser, study):
    browser.open(study)
    shown = browser.run(
        """(() => {
          const counts = {};
          const visible = (one) => one.checkVisibility();
          for (const name of new Set([...document.querySelectorAll('select')].map((one) => one.dataset.switch))) {
            const group = [...document.querySelectorAll(`select[data-switch='${name}']`)];
            const walk = (place) => {
              if (place === group.length) {
                const open = [...document.getElementById(name).children].filter(visible).map((one) => one.id);
                (counts[name] ??= []).push(open.join());
                return;
              }
              for (const option of group[place].options) {
                group[place].value = option.value;
                group[place].dispatchEvent(new Event('change'));
                walk(place + 1);
              }
            };
            walk(0);
          }
          return counts;
        })()"""
    )
    sizes = {"ranking-panels": 3 * 2, "drop-panels": 3 * 2 * 2, "predictor-panels": 3 * 2, "prediction-panels": 2}
    assert {name: len(set(panels)) for name, panels in shown.items()} == sizes
    assert all(panel and "," not in panel for panels in shown.values() for panel in panels)
    browser.run("document.querySelectorAll('[role=tab], summary').forEach((one) => one.click())")
    assert browser.complaints() == []
    assert [url for url in browser.requests() if url != study and not url.startswith("data:")] == []


def test_a_square_of_a_study_names_its_data_set(browser, study):
    browser.open(study)
    browser.run("document.querySelector('#drops-0-0-accuracy tbody td').focus()")
    press(browser, "ArrowRight")
    text = browser.run("document.getElementById('tip').textContent")
    assert text.startswith("good_set, data set moviesdrop ")
    assert "answers became wrong (items " in text


@pytest.mark.parametrize("width", [360, 1280])
def test_a_study_never_scrolls_sideways(browser, study, width):
    browser.open(study, width=width)
    assert browser.run("document.documentElement.scrollWidth") <= width


def test_theme_follows_the_system_until_chosen(browser, page):
    scheme = "getComputedStyle(document.body).backgroundColor"
    browser.open(page)
    light = browser.run(scheme)
    browser.open(page, dark=True)
    dark = browser.run(scheme)
    assert dark != light
    browser.run("document.getElementById('theme').click()")
    assert browser.run(scheme) == light
    browser.run("localStorage.clear()")


@pytest.mark.parametrize("width", [360, 800, 1280])
def test_the_page_never_scrolls_sideways(browser, page, width):
    browser.open(page, width=width)
    assert browser.run("document.documentElement.scrollWidth") <= width


def press(browser, key):
    for kind in ("keyDown", "keyUp"):
        browser.call("Input.dispatchKeyEvent", type=kind, key=key, code=key)
