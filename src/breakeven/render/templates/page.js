// Sorts and filters the table of cases. Without scripts the table is complete, in the order of the report.
"use strict";
(() => {
  // Rows shown unless all are requested: thousands would freeze the page at each key, cards fill a phone's screen.
  const FIRST = window.matchMedia("(max-width: 40rem)").matches ? 30 : 200;
  const table = document.getElementById("cases");
  if (!table) return;
  document.documentElement.classList.add("js");
  const body = table.tBodies[0];
  const rows = Array.from(body.rows, (row, index) => ({ row, index, text: row.textContent.toLowerCase() }));
  const headers = Array.from(table.tHead.rows[0].cells);
  const form = document.getElementById("filter");
  const count = document.getElementById("count");
  const more = document.getElementById("more");
  const selects = Array.from(form.querySelectorAll("[data-column]"));
  const choice = document.getElementById("order");
  let order = rows;
  let matching = rows;
  let isWhole = false;

  const show = (whole) => {
    const shown = whole ? matching : matching.slice(0, FIRST);
    body.replaceChildren(...shown.map(({ row }) => row));
    const rest = matching.length - shown.length;
    const some = rest ? `, the first ${shown.length} shown` : "";
    count.textContent = `${matching.length} of ${rows.length} cases${some}`;
    more.hidden = !rest;
    more.textContent = `show all ${matching.length}`;
  };

  const filter = () => {
    const words = form.elements.words.value.toLowerCase().split(/\s+/).filter(Boolean);
    const wanted = selects.filter((select) => select.selectedIndex > 0) // the first option means all
      .map((select) => [Number(select.dataset.column), select.value]);
    matching = order.filter(({ row, text }) => words.every((word) => text.includes(word))
      && wanted.every(([column, value]) => row.cells[column].textContent === value));
    show(isWhole);
  };

  const valueOf = (cell) => {
    const text = cell.dataset.v === undefined ? cell.textContent : cell.dataset.v;
    const number = text === "" ? NaN : Number(text);
    return Number.isNaN(number) ? text : number;
  };
  const collator = new Intl.Collator("en", { numeric: true });
  const compare = (a, b) => (typeof a === "number" && typeof b === "number"
    ? a - b : collator.compare(String(a), String(b)));

  const sort = (column, ascending) => {
    const keyed = rows.map((entry) => ({ entry, key: valueOf(entry.row.cells[column]) }));
    keyed.sort((a, b) => {
      const unknown = (a.key === "") - (b.key === ""); // unknown values come last in both directions
      const by = unknown || (ascending ? compare(a.key, b.key) : compare(b.key, a.key));
      return by || a.entry.index - b.entry.index;
    });
    order = keyed.map(({ entry }) => entry);
    headers.forEach((header, at) => {
      header.setAttribute("aria-sort", at === column ? (ascending ? "ascending" : "descending") : "none");
    });
    filter();
  };

  headers.forEach((header, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = header.textContent;
    header.setAttribute("aria-sort", "none");
    header.replaceChildren(button);
    button.addEventListener("click", () => sort(column, header.getAttribute("aria-sort") !== "ascending"));
  });
  // On a phone, where the headings are hidden, a list sorts.
  headers.forEach((header, column) => choice.add(new Option(header.textContent, column)));
  choice.addEventListener("change", () => {
    if (choice.value !== "") sort(Number(choice.value), true);
  });
  // A model's first row may be filtered out, or below the rows that are shown.
  const showTarget = () => {
    const found = rows.find(({ row }) => row.id && `#${row.id}` === window.location.hash);
    if (!found || found.row.isConnected) return;
    form.reset();
    isWhole = true;
    filter();
    found.row.scrollIntoView();
  };
  window.addEventListener("hashchange", showTarget);
  selects.forEach((select) => {
    const values = new Set(rows.map(({ row }) => row.cells[Number(select.dataset.column)].textContent));
    [...values].sort().forEach((value) => select.add(new Option(value === "" ? "(none)" : value, value)));
  });
  form.addEventListener("input", filter);
  form.addEventListener("reset", () => setTimeout(filter)); // after the fields are cleared
  form.addEventListener("submit", (event) => event.preventDefault());
  more.addEventListener("click", () => { isWhole = true; show(isWhole); });
  window.addEventListener("beforeprint", () => show(true));
  window.addEventListener("afterprint", () => show(isWhole));
  filter();
  showTarget();
})();
