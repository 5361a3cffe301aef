"use strict";
// Without this script the page has the same numbers. Text is only ever inserted as text.
(function () {
  const root = document.documentElement;
  const themes = ["auto", "light", "dark"];

  function stored() {
    try { return localStorage.getItem("report-theme") || "auto"; } catch (_) { return "auto"; }
  }

  function setTheme(theme) {
    if (theme === "auto") { root.removeAttribute("data-theme"); } else { root.setAttribute("data-theme", theme); }
  }

  // Before the body is there, so that nothing flashes.
  setTheme(themes.includes(stored()) ? stored() : "auto");

  function make(tag, name, text) {
    const element = document.createElement(tag);
    if (name) { element.className = name; }
    if (text !== undefined) { element.textContent = text; }
    return element;
  }

  function startTheme() {
    const button = document.getElementById("theme");
    const word = button.querySelector("span");
    let theme = themes.includes(stored()) ? stored() : "auto";
    word.textContent = theme;
    button.hidden = false;
    button.addEventListener("click", function () {
      theme = themes[(themes.indexOf(theme) + 1) % themes.length];
      setTheme(theme);
      word.textContent = theme;
      try { localStorage.setItem("report-theme", theme); } catch (_) { /* a file may have no storage */ }
    });
  }

  function key(row, column) {
    const cell = row.cells[column];
    const shown = cell.querySelector(".value, .pill") || cell;
    const text = cell.dataset.sort !== undefined ? cell.dataset.sort : shown.textContent.trim();
    const value = Number(text);
    return text !== "" && Number.isFinite(value) ? value : text;
  }

  function compare(a, b) {
    if (typeof a === "number" && typeof b === "number") { return a - b; }
    return String(a).localeCompare(String(b), "en", { numeric: true });
  }

  function sortBy(table, heading) {
    const column = heading.cellIndex;
    const before = heading.getAttribute("aria-sort");
    // Numbers are sorted from the largest first, names from A.
    const first = heading.classList.contains("numeric") ? "descending" : "ascending";
    const second = first === "ascending" ? "descending" : "ascending";
    const direction = before === first ? second : first;
    for (const other of table.tHead.rows[0].cells) { other.removeAttribute("aria-sort"); }
    heading.setAttribute("aria-sort", direction);
    const sign = direction === "ascending" ? 1 : -1;
    const body = table.tBodies[0];
    const rows = Array.from(body.rows);
    rows.sort(function (a, b) { return sign * compare(key(a, column), key(b, column)); });
    body.append(...rows);
  }

  function startTables() {
    for (const table of document.querySelectorAll("table.sortable")) {
      for (const heading of table.tHead.rows[0].cells) {
        const button = make("button", "sort", heading.textContent);
        button.type = "button";
        heading.replaceChildren(button);
        button.addEventListener("click", function () { sortBy(table, heading); });
      }
    }
  }

  function startContents() {
    const links = new Map();
    for (const link of document.querySelectorAll(".contents a")) { links.set(link.hash.slice(1), link); }
    if (!("IntersectionObserver" in window)) { return; }
    const watcher = new IntersectionObserver(function (entries) {
      for (const entry of entries) {
        if (!entry.isIntersecting) { continue; }
        for (const link of links.values()) { link.removeAttribute("aria-current"); }
        const link = links.get(entry.target.id);
        if (link) { link.setAttribute("aria-current", "true"); }
      }
    }, { rootMargin: "-15% 0px -75% 0px" });
    for (const section of document.querySelectorAll("main > section")) { watcher.observe(section); }
  }

  // A link to something folded opens what hides it.
  function openTarget() {
    let at = document.getElementById(location.hash.slice(1));
    for (; at; at = at.parentElement) { if (at.tagName === "DETAILS") { at.open = true; } }
  }

  document.addEventListener("DOMContentLoaded", function () {
    startTheme();
    startTables();
    startContents();
    openTarget();
    window.addEventListener("hashchange", openTarget);
  });
})();
