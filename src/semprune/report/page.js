"use strict";
{
  const root = document.documentElement;
  root.classList.add("js");

  /* The state of the page is its address, after the #: the section to look at, then every tab, choice, opened part and
     theme that was chosen. Each keeper writes its own parts and reads them back; what it does not find stays. */
  const keepers = [];
  let section = "";
  const parts = () => location.hash.slice(1).split(",").filter(Boolean).map(decodeURIComponent);
  const write = () => {
    const state = [section, ...keepers.flatMap((keeper) => keeper.parts())].filter(Boolean);
    history.replaceState(null, "", `#${state.map(encodeURIComponent).join(",")}`);
  };
  const read = () => {
    const state = parts();
    for (const keeper of keepers) keeper.read(state);
    const own = new Set(keepers.flatMap((keeper) => keeper.parts()));
    section = state.find((part) => document.getElementById(part) && !own.has(part)) ?? "";
    const tab = document.querySelector(`[aria-controls="${CSS.escape(state[0] ?? "")}"]`);
    (tab?.parentElement ?? document.getElementById(state[0]))?.scrollIntoView();  // of a panel also its tabs
  };

  /* Theme: the system's, unless chosen here or by ?theme=dark. Storage may be denied for local files. */
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const button = document.getElementById("theme");
  const stored = () => { try { return localStorage.getItem("semprune-theme"); } catch { return null; } };
  const themes = { "theme.dark": "dark", "theme.light": "light" };
  const chosen = new URLSearchParams(location.search).get("theme") ?? stored();
  const isDark = () => (root.dataset.theme ? root.dataset.theme === "dark" : dark.matches);
  const name = () => { button.textContent = isDark() ? "Light theme" : "Dark theme"; };
  if (chosen === "dark" || chosen === "light") root.dataset.theme = chosen;
  button.hidden = false;
  button.addEventListener("click", () => {
    root.dataset.theme = isDark() ? "light" : "dark";
    try { localStorage.setItem("semprune-theme", root.dataset.theme); } catch { /* stays for this visit */ }
    name();
    write();
  });
  keepers.push({
    parts: () => (root.dataset.theme ? [`theme.${root.dataset.theme}`] : []),
    read: (state) => {
      const found = state.find((part) => part in themes);
      if (found) { root.dataset.theme = themes[found]; name(); }
    },
  });
  dark.addEventListener("change", name);
  name();

  /* Tabs: arrow keys move and select; only the selected tab is in the tab order. */
  for (const list of document.querySelectorAll("[role=tablist]")) {
    const tabs = [...list.querySelectorAll("[role=tab]")];
    const panel = (tab) => tab.getAttribute("aria-controls");
    let chosen = false;  // the first one too has a link of its own, once it is asked for
    const select = (tab, focus) => {
      for (const other of tabs) {
        const on = other === tab;
        other.setAttribute("aria-selected", String(on));
        other.tabIndex = on ? 0 : -1;
        document.getElementById(panel(other)).classList.toggle("off", !on);
      }
      if (focus) tab.focus();
    };
    tabs.forEach((tab, place) => {
      tab.addEventListener("click", () => { chosen = true; select(tab); write(); });
      tab.addEventListener("keydown", (event) => {
        const to = { ArrowLeft: place - 1, ArrowRight: place + 1, Home: 0, End: tabs.length - 1 }[event.key];
        if (to === undefined) return;
        event.preventDefault();
        chosen = true;
        select(tabs[(to + tabs.length) % tabs.length], true);
        write();
      });
    });
    select(tabs[0]);
    keepers.push({
      parts: () => tabs.filter((tab) => chosen && tab.getAttribute("aria-selected") === "true").map(panel),
      read: (state) => {
        const found = tabs.find((tab) => state.includes(panel(tab)));
        if (found) { chosen = true; select(found); }
      },
    });
  }

  /* Selects that show one panel of a container: the one whose id is their values, joined by hyphens. */
  const choosers = Map.groupBy(document.querySelectorAll("select[data-switch]"), (one) => one.dataset.switch);
  for (const [container, group] of choosers) {
    const show = () => {
      const id = group.map((chooser) => chooser.value).join("-");
      for (const panel of document.getElementById(container).children) panel.classList.toggle("off", panel.id !== id);
    };
    for (const chooser of group) {
      const named = (value) => (group.length > 1 ? `${chooser.id}.${value}` : value);  // alone it is its panel's id
      const values = [...chooser.options].map((option) => option.value);
      chooser.closest(".chooser").hidden = false;
      chooser.addEventListener("change", () => { show(); write(); });
      keepers.push({
        parts: () => (chooser.value === values[0] ? [] : [named(chooser.value)]),
        read: (state) => {
          const found = values.find((value) => state.includes(named(value)));
          if (found !== undefined) { chooser.value = found; show(); }
        },
      });
    }
    show();
  }

  /* Parts that open. */
  document.querySelectorAll("details").forEach((details, place) => {
    const mark = `open.${place}`;
    details.addEventListener("toggle", write);
    keepers.push({
      parts: () => (details.open ? [mark] : []),
      read: (state) => { if (state.includes(mark)) details.open = true; },
    });
  });

  read();
  addEventListener("hashchange", () => { read(); write(); });

  /* Heatmaps: a tooltip under the pointer and under the keyboard, arrow keys from square to square. */
  const tip = document.getElementById("tip");
  const hide = () => { tip.hidden = true; };
  const describe = (cell) => {
    const table = cell.closest("table");
    const row = cell.parentElement.cells[0].textContent;
    const column = table.tHead.rows[1].cells[cell.cellIndex].textContent;
    const value = cell.textContent ? `${table.dataset.measure} ${cell.textContent}` : "";
    return [`${row}, ${table.dataset.column} ${column}`, [value, cell.dataset.more].filter(Boolean).join("; ")];
  };
  const show = (cell) => {
    const [title, text] = describe(cell);
    tip.replaceChildren(Object.assign(document.createElement("strong"), { textContent: title }), text);
    tip.hidden = false;
    const at = cell.getBoundingClientRect();
    const left = Math.min(Math.max(at.left + at.width / 2 - tip.offsetWidth / 2, 8), root.clientWidth - tip.offsetWidth - 8);
    const above = at.top - tip.offsetHeight - 8;
    tip.style.left = `${left + scrollX}px`;
    tip.style.top = `${(above > 56 ? above : at.bottom + 8) + scrollY}px`;
  };
  for (const table of document.querySelectorAll("table.heat")) {
    const cells = [...table.tBodies[0].rows].map((row) => [...row.cells].slice(1));
    let current = cells[0]?.[0];
    if (!current) continue;
    const move = (cell) => {
      current.tabIndex = -1;
      current = cell;
      current.tabIndex = 0;
    };
    current.tabIndex = 0;
    table.addEventListener("pointerover", (event) => {
      const cell = event.target.closest("tbody td");
      if (cell) show(cell); else hide();
    });
    table.addEventListener("pointerleave", hide);
    table.addEventListener("click", (event) => {
      const cell = event.target.closest("tbody td");
      if (cell) { move(cell); cell.focus(); show(cell); }
    });
    table.addEventListener("focusin", (event) => { if (event.target.matches("td")) show(event.target); });
    table.addEventListener("focusout", hide);
    table.addEventListener("keydown", (event) => {
      if (event.key === "Escape") hide();
      const step = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[event.key];
      if (!step || !event.target.matches("td")) return;
      const row = cells.findIndex((line) => line.includes(current));
      const next = cells[row + step[0]]?.[cells[row].indexOf(current) + step[1]];
      event.preventDefault();
      if (next) { move(next); next.focus(); }
    });
  }
}
