"use strict";
// Every query under any two systems. Text only ever goes in as text.
(function () {
  const PAGE = 40;
  const NONE = { 2: 0xffff, 4: 0xffffffff };
  const LIMITS = {
    moved: function (q) { return q.delta !== 0; },
    lost: function (q) { return q.delta < 0; },
    gained: function (q) { return q.delta > 0; },
    same: function (q) { return q.delta === 0; },
    nothing: function (q) { return q.now === 0; },
    neither: function (q) { return q.now === 0 && q.before === 0; },
    pinned: function (q) { return q.pinned; },
    all: function () { return true; },
  };

  function make(tag, name, ...inside) {
    const element = document.createElement(tag);
    if (name) { element.className = name; }
    element.append(...inside);
    return element;
  }

  function number(value) { return value.toFixed(3); }

  function signed(value) { return (value > 0 ? "+" : value < 0 ? "\u2212" : "") + Math.abs(value).toFixed(3); }

  function unpacked(text, width) {
    const letters = atob(text);
    const bytes = new Uint8Array(letters.length);
    for (let i = 0; i < letters.length; i += 1) { bytes[i] = letters.charCodeAt(i); }
    const view = new DataView(bytes.buffer);
    const numbers = new Array(bytes.length / width);
    for (let i = 0; i < numbers.length; i += 1) {
      numbers[i] = width === 2 ? view.getUint16(2 * i, true) : view.getUint32(4 * i, true);
    }
    return numbers;
  }

  // One query set: what a run scored and ranked. Arrays are unpacked when they are first read.
  function reader(set) {
    const n = set.ids.length;
    let ranks, values;
    return {
      value: function (run, measure, query) {
        values = values || unpacked(set.values, 2);
        return values[(run * set.measures.length + measure) * n + query] / set.scale;
      },
      ranking: function (run, query) {
        ranks = ranks || unpacked(set.ranks, set.width);
        const start = 10 * (run * n + query);
        return ranks.slice(start, start + 10).filter(function (doc) { return doc !== NONE[set.width]; });
      },
      grades: function (query) {
        const grades = new Map();
        for (let i = 0; i < set.grades[query].length; i += 2) { grades.set(set.grades[query][i], set.grades[query][i + 1]); }
        return grades;
      },
    };
  }

  function place(rank) { return rank < 0 ? "below 10" : "rank " + (rank + 1); }

  function start() {
    const holder = document.getElementById("explorer-data");
    if (!holder) { return; }
    const data = JSON.parse(holder.textContent);
    const readers = data.sets.map(reader);
    const at = {};
    for (const name of ["set", "before", "now", "measure", "side", "text", "count", "list", "more"]) {
      at[name] = document.getElementById("explorer-" + name);
    }
    let matches = [];
    let shown = 0;

    function options(select, names, wanted) {
      select.replaceChildren(...names.map(function (name, i) { return new Option(name, String(i)); }));
      select.value = String(Math.max(0, names.indexOf(wanted)));
    }

    function chosen(select) { return select.selectedIndex < 0 ? "" : select.options[select.selectedIndex].text; }

    function startSet() {
      const set = data.sets[at.set.value];
      const before = chosen(at.before) || data.pair[1];
      const now = chosen(at.now) || data.pair[2];
      options(at.before, set.runs, before);
      options(at.now, set.runs, now);
      if (at.before.value === at.now.value && set.runs.length > 1) { at.now.value = at.before.value === "0" ? "1" : "0"; }
      options(at.measure, set.measures, chosen(at.measure));
      at.side.querySelector("[value=pinned]").hidden = !set.pinned.length;
    }

    function update() {
      const set = data.sets[at.set.value];
      const read = readers[at.set.value];
      const before = Number(at.before.value), now = Number(at.now.value), measure = Number(at.measure.value);
      const pinned = new Set(set.pinned);
      const wanted = at.text.value.toLocaleLowerCase().split(/\s+/).filter(Boolean);
      const queries = set.ids.map(function (id, i) {
        const a = read.value(before, measure, i), b = read.value(now, measure, i);
        return { i: i, before: a, now: b, delta: b - a, pinned: pinned.has(i) };
      });
      matches = queries.filter(LIMITS[at.side.value]).filter(function (q) {
        const words = [set.ids[q.i], set.texts[q.i] || "", set.slices[q.i] || ""].join(" ").toLocaleLowerCase();
        return wanted.every(function (word) { return words.includes(word); });
      });
      matches.sort(function (a, b) { return Math.abs(b.delta) - Math.abs(a.delta) || a.delta - b.delta || a.i - b.i; });
      const lost = queries.filter(LIMITS.lost).length, gained = queries.filter(LIMITS.gained).length;
      at.count.textContent = lost + " lost, " + gained + " gained, " + (queries.length - lost - gained) +
        " equal of " + queries.length + "; " + matches.length + (matches.length === 1 ? " is" : " are") + " listed.";
      at.list.replaceChildren();
      shown = 0;
      more();
    }

    function more() {
      const next = matches.slice(shown, shown + PAGE);
      const rows = next.map(row);
      at.list.append(...rows);
      const again = shown > 0 && rows.length;
      shown += next.length;
      at.more.hidden = shown >= matches.length;
      at.more.textContent = "Show " + Math.min(PAGE, matches.length - shown) + " more";
      if (again) { rows[0].querySelector("button").focus(); }
    }

    function row(query) {
      const set = data.sets[at.set.value];
      const id = "explorer-query-" + query.i;
      const side = query.delta < 0 ? "lost" : query.delta > 0 ? "gained" : "equal";
      const tone = { lost: "worse", gained: "better", equal: "" }[side];
      const about = make("small", "", make("span", "name", set.ids[query.i]));
      if (set.slices[query.i]) { about.append(" " + set.slices[query.i]); }
      if (query.pinned) { about.append(" pinned"); }
      const what = make("span", "what", make("span", "words", set.texts[query.i] || set.ids[query.i]), about);
      const moves = make("span", "moves", number(query.before) + " \u2192 " + number(query.now));
      moves.append(make("small", "", query.delta ? signed(query.delta) : ""));
      const button = make("button", "query", make("span", "pill " + tone, side), what, moves);
      button.type = "button";
      button.setAttribute("aria-expanded", "false");
      const item = make("li", "", button);
      button.addEventListener("click", function () {
        const open = button.getAttribute("aria-expanded") === "true";
        button.setAttribute("aria-expanded", String(!open));
        if (open) { item.querySelector(".opened").remove(); button.removeAttribute("aria-controls"); return; }
        const panel = detail(query);
        panel.id = id;
        item.append(panel);
        button.setAttribute("aria-controls", id);
      });
      return item;
    }

    function detail(query) {
      const set = data.sets[at.set.value];
      const read = readers[at.set.value];
      const runs = [Number(at.before.value), Number(at.now.value)];
      const rankings = runs.map(function (run) { return read.ranking(run, query.i); });
      const grades = read.grades(query.i);
      const panel = make("div", "opened");
      panel.append(...relevant(set, query.i, grades, rankings));
      const pair = make("div", "rankings");
      ["Before: ", "Now: "].forEach(function (word, k) {
        pair.append(ranking(word + set.runs[runs[k]], rankings[k], k ? rankings[0] : null, grades, set.level));
      });
      panel.append(pair);
      return panel;
    }

    function passage(doc) {
      const text = data.documents[doc][1];
      return text ? [make("span", "passage", text)] : [];
    }

    function relevant(set, query, grades, rankings) {
      const docs = Array.from(grades.keys()).filter(function (doc) { return grades.get(doc) >= set.level; });
      if (!docs.length) { return []; }
      const list = make("ul", "relevant");
      for (const doc of docs) {
        const places = rankings.map(function (ids) { return place(ids.indexOf(doc)); });
        const moved = places[0] === places[1] ? places[0] + " in both" : places[0] + " \u2192 " + places[1];
        list.append(make("li", "", make("span", "name", data.documents[doc][0]),
          make("span", "aside-note", " grade " + grades.get(doc) + ", " + moved), ...passage(doc)));
      }
      const hidden = set.more.find(function (pair) { return pair[0] === query; });
      if (hidden) { list.append(make("li", "quiet", "and " + hidden[1] + " more that neither ranking shows")); }
      return [make("p", "small-title", docs.length === 1 ? "Relevant passage" : "Relevant passages"), list];
    }

    function ranking(title, ids, other, grades, level) {
      const box = make("div", "ranking", make("p", "small-title", title));
      if (!ids.length) { box.append(make("p", "quiet", "Nothing was retrieved.")); return box; }
      const list = make("ol");
      ids.forEach(function (doc, rank) {
        const hit = grades.get(doc) >= level;
        const item = make("li", hit ? "hit" : "", make("span", "name", data.documents[doc][0]));
        if (hit) { item.append(make("span", "mark", " relevant")); }
        if (!hit && grades.has(doc)) { item.append(make("span", "aside-note", " judged not relevant")); }
        if (other) { item.append(make("span", "aside-note", moved(rank, other.indexOf(doc)))); }
        item.append(...passage(doc));
        list.append(item);
      });
      box.append(list);
      return box;
    }

    function moved(rank, before) {
      if (before < 0) { return " new"; }
      return before === rank ? "" : before > rank ? " \u2191" + (before - rank) : " \u2193" + (rank - before);
    }

    function keys(event) {
      const buttons = Array.from(at.list.querySelectorAll("button.query"));
      const here = buttons.indexOf(document.activeElement);
      const to = { ArrowDown: here + 1, ArrowUp: here - 1, Home: 0, End: buttons.length - 1 }[event.key];
      if (here < 0 || to === undefined || !buttons[to]) { return; }
      event.preventDefault();
      buttons[to].focus();
    }

    options(at.set, data.sets.map(function (set) { return set.name; }), data.pair[0]);
    startSet();
    at.set.addEventListener("change", function () { startSet(); update(); });
    for (const name of ["before", "now", "measure", "side"]) { at[name].addEventListener("change", update); }
    at.text.addEventListener("input", update);
    at.more.addEventListener("click", more);
    at.list.addEventListener("keydown", keys);
    document.getElementById("explorer-swap").addEventListener("click", function () {
      [at.before.value, at.now.value] = [at.now.value, at.before.value];
      update();
    });
    document.querySelector(".filters").hidden = false;
    update();
  }

  document.addEventListener("DOMContentLoaded", start);
})();
