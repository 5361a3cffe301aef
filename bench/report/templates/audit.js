"use strict";
// Answers live in this page and in the browser's storage until they are downloaded. Text only ever goes in as text.
(function () {
  function start() {
    const audit = document.getElementById("audit");
    const cards = Array.from(document.querySelectorAll(".card"));
    const place = "pairs-audit:" + audit.dataset.sample;
    let answers = {};
    let here = 0;

    try { answers = JSON.parse(localStorage.getItem(place)) || {}; } catch (_) { /* a file may have no storage */ }

    function entry(card) { return answers[card.dataset.id] || { answer: "", note: "" }; }

    function show(card) {
      const current = entry(card);
      card.classList.toggle("accepted", current.answer === "accept");
      card.classList.toggle("rejected", current.answer === "reject");
      card.querySelector(".accept").setAttribute("aria-pressed", String(current.answer === "accept"));
      card.querySelector(".reject").setAttribute("aria-pressed", String(current.answer === "reject"));
    }

    function count() {
      const done = cards.filter(function (card) { return entry(card).answer; }).length;
      document.getElementById("progress").value = done;
      document.getElementById("count").textContent = done + " of " + cards.length;
    }

    function save(card, change) {
      answers[card.dataset.id] = Object.assign({}, entry(card), change);
      try { localStorage.setItem(place, JSON.stringify(answers)); } catch (_) { /* the download still works */ }
      show(card);
      count();
    }

    function go(to) {
      cards[here].classList.remove("here");
      here = Math.max(0, Math.min(cards.length - 1, to));
      cards[here].classList.add("here");
      cards[here].focus({ preventScroll: true });
      cards[here].scrollIntoView({ block: "start" });
    }

    function answer(word) {
      save(cards[here], { answer: word });
      if (word) { go(here + 1); }
    }

    function download() {
      const rows = cards.map(function (card) { return Object.assign({ id: card.dataset.id }, entry(card)); });
      const whole = { format: 1, kind: "pairs-audit-answers", pairs: audit.dataset.name, digest: audit.dataset.digest, answers: rows };
      const address = URL.createObjectURL(new Blob([JSON.stringify(whole, null, 1)], { type: "application/json" }));
      const link = document.createElement("a");
      link.href = address;
      link.download = audit.dataset.name + ".answers.json";
      link.click();
      URL.revokeObjectURL(address);
    }

    cards.forEach(function (card, number) {
      const note = card.querySelector("textarea");
      note.value = entry(card).note;
      note.addEventListener("input", function () { save(card, { note: note.value }); });
      card.querySelector(".accept").addEventListener("click", function () { here = number; save(card, { answer: "accept" }); });
      card.querySelector(".reject").addEventListener("click", function () { here = number; save(card, { answer: "reject" }); });
      show(card);
    });

    document.addEventListener("keydown", function (event) {
      if (event.ctrlKey || event.metaKey || event.altKey || !cards.length) { return; }
      if (event.target.tagName === "TEXTAREA") {
        if (event.key === "Escape") { go(here); }
        return;
      }
      const keys = {
        j: function () { go(here + 1); }, ArrowDown: function () { go(here + 1); },
        k: function () { go(here - 1); }, ArrowUp: function () { go(here - 1); },
        a: function () { answer("accept"); }, r: function () { answer("reject"); }, u: function () { answer(""); },
        n: function () { cards[here].querySelector("textarea").focus(); }
      };
      if (Object.prototype.hasOwnProperty.call(keys, event.key)) { event.preventDefault(); keys[event.key](); }
    });
    document.getElementById("download").addEventListener("click", download);
    count();
    const open = cards.findIndex(function (card) { return !entry(card).answer; });
    if (cards.length) { cards[0].classList.add("here"); }
    // A new page begins at its title; a page with answers begins at the first open pair.
    if (open > 0) { go(open); } else if (cards.length) { cards[0].focus({ preventScroll: true }); }
  }

  document.addEventListener("DOMContentLoaded", start);
}());
