"use strict";
(() => {
  const root = document.documentElement;
  const one = (selector, within = document) => within.querySelector(selector);
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];

  // Sorting: every header of the innermost level is a button; a third click restores the order of the study.
  const table = one("#table table");
  const rows = table ? all("tbody tr", table) : [];
  const bodies = rows.map((row) => row.parentNode);
  const headers = table ? [...table.tHead.rows[table.tHead.rows.length - 1].cells] : [];
  let sorted = null;

  const key = (row, index) => {
    const cell = row.cells[index];
    if (cell.tagName === "TH") return cell.textContent;
    return cell.dataset.value === undefined ? null : Number(cell.dataset.value);
  };
  const compare = (first, second) =>
    typeof first === "number" ? first - second : first.localeCompare(second, undefined, { numeric: true });

  function sort(state) {
    sorted = state && headers[state.index] ? state : null;
    headers.forEach((header, index) => {
      const own = sorted && sorted.index === index;
      header.setAttribute("aria-sort", own ? (sorted.down ? "descending" : "ascending") : "none");
    });
    table.classList.toggle("sorted", sorted !== null);
    if (!sorted) {
      rows.forEach((row, index) => bodies[index].append(row));
      return;
    }
    const sign = sorted.down ? -1 : 1;
    const keyed = rows.map((row) => [key(row, sorted.index), row]);
    const known = keyed.filter(([value]) => value !== null && value !== "");
    const missing = keyed.filter(([value]) => value === null || value === "");
    known.sort(([first], [second]) => sign * compare(first, second));
    [...known, ...missing].forEach(([, row]) => bodies[0].append(row));
  }

  headers.forEach((header, index) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...header.childNodes);
    header.append(button);
    header.setAttribute("aria-sort", "none");
    const first = !header.classList.contains("text"); // the best of most numbers is the largest
    button.addEventListener("click", () => {
      if (!sorted || sorted.index !== index) sort({ index, down: first });
      else sort(sorted.down === first ? { index, down: !first } : null);
    });
  });

  // Filtering: phrases over rows, cards, claims and failures; chips over columns.
  const controls = one("#controls");
  const filter = one("#filter");
  const chips = one("#chips");
  const hidden = new Set();
  const names = headers.map((header) => header.textContent);
  const groupText = table ? all("thead .group", table).map((group) => group.textContent) : [];
  const rowText = (row) =>
    [...all("th", row).map((cell) => `${names[cell.cellIndex]} ${cell.textContent}`), ...groupText].join(", ");
  const targets = [
    ...rows.map((row) => [row, rowText(row)]),
    ...all(".card").map((card) => [card, card.dataset.filter]),
    ...all(".dml-claims li").map((item) => [item, item.textContent]),
    ...all(".failure").map((item) => [item, item.textContent]),
  ].map(([element, words]) => [element, words.toLowerCase()]);

  function apply() {
    const phrases = filter.value.toLowerCase().split(",").map((each) => each.trim()).filter(Boolean);
    for (const [element, text] of targets) {
      const gone = hidden.has(element.dataset.dataset) || !phrases.every((phrase) => text.includes(phrase));
      element.classList.toggle("out", gone);
    }
    const shown = rows.filter((row) => !row.classList.contains("out")).length;
    one("#matches").textContent = phrases.length ? `${shown} of ${rows.length} rows` : "";
  }
  filter.addEventListener("input", apply);

  const groups = []; // for each column the texts of all headers above it
  if (table) {
    for (const row of table.tHead.rows) {
      let column = 0;
      for (const cell of row.cells) {
        for (let step = 0; step < cell.colSpan; step++, column++) {
          const numeric = !cell.classList.contains("text") && cell.tagName === "TH" && cell.textContent !== "n";
          (groups[column] = groups[column] || []).push(numeric ? cell.textContent : "");
        }
      }
    }
  }

  function columns() {
    const gone = groups.map((names) => names.some((name) => hidden.has(name)));
    for (const row of rows) [...row.cells].forEach((cell, index) => cell.classList.toggle("out", gone[index]));
    for (const row of table.tHead.rows) {
      let column = 0;
      for (const cell of row.cells) {
        const span = Number(cell.dataset.span || (cell.dataset.span = cell.colSpan));
        const left = gone.slice(column, column + span).filter((out) => !out).length;
        cell.classList.toggle("out", left === 0);
        cell.colSpan = Math.max(1, left);
        column += span;
      }
    }
  }

  function press(name) {
    if (hidden.has(name)) hidden.delete(name);
    else hidden.add(name);
    paint();
  }

  function paint() {
    for (const chip of chips.children) chip.setAttribute("aria-pressed", String(!hidden.has(chip.textContent)));
    if (table) columns();
    apply();
  }

  const levels = groups.length ? groups[0].length : 0;
  for (let level = 0; level < levels; level++) {
    const names = [...new Set(groups.map((each) => each[level]).filter(Boolean))];
    if (names.length < 2) continue;
    for (const name of names) {
      const chip = document.createElement("button");
      chip.type = "button";
      chip.textContent = name;
      chip.title = `show or hide ${name}`;
      chip.addEventListener("click", () => press(name));
      chips.append(chip);
    }
  }
  controls.hidden = targets.length === 0;

  // A page that loads itself again comes back as the reader left it.
  const place = `dml-study report ${location.pathname}`;
  const folds = () => all("details[data-fold]");
  let paused = false;

  function anchor() {
    const above = all("main > section").filter((each) => each.getBoundingClientRect().top <= 1);
    const last = above[above.length - 1];
    return last ? [last.id, -last.getBoundingClientRect().top] : ["", scrollY];
  }

  function save() {
    const state = {
      sorted,
      paused,
      filter: filter.value,
      typing: document.activeElement === filter ? [filter.selectionStart, filter.selectionEnd] : null,
      hidden: [...hidden],
      folds: Object.fromEntries(folds().map((each) => [each.dataset.fold, each.open])),
      anchor: anchor(),
    };
    try {
      sessionStorage.setItem(place, JSON.stringify(state));
    } catch {
      // a browser that keeps nothing for files shows the page from its top
    }
  }

  function saved() {
    try {
      return JSON.parse(sessionStorage.getItem(place));
    } catch {
      return null;
    }
  }

  function restore(state) {
    if (table && state.sorted) sort(state.sorted);
    filter.value = state.filter;
    state.hidden.forEach((name) => hidden.add(name));
    for (const each of folds()) {
      if (each.dataset.fold in state.folds) each.open = state.folds[each.dataset.fold];
    }
    paused = state.paused;
    paint();
    if (state.typing) {
      filter.focus({ preventScroll: true });
      filter.setSelectionRange(...state.typing);
    }
    const [id, offset] = state.anchor;
    const section = id ? document.getElementById(id) : null;
    scrollTo(0, (section ? section.getBoundingClientRect().top + scrollY : 0) + offset);
  }

  paint();
  const navigation = performance.getEntriesByType("navigation")[0];
  const state = navigation && navigation.type === "reload" ? saved() : null;
  if (state) {
    history.scrollRestoration = "manual";
    restore(state);
  }
  addEventListener("pagehide", save);

  const pause = one("#pause");
  if (root.dataset.reload && pause) {
    pause.hidden = false;
    const show = () => {
      pause.setAttribute("aria-pressed", String(paused));
      pause.textContent = paused ? "go on" : "pause";
    };
    pause.addEventListener("click", () => {
      paused = !paused;
      show();
    });
    show();
    setInterval(() => paused || location.reload(), 1000 * Number(root.dataset.reload));
  }

  let closed = [];
  addEventListener("beforeprint", () => {
    closed = all("details:not([open])");
    closed.forEach((each) => (each.open = true));
  });
  addEventListener("afterprint", () => closed.forEach((each) => (each.open = false)));
})();
