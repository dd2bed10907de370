// Sorts and filters the table of cases. Without scripts the table is whole, in the order of the report.
"use strict";
(() => {
  const table = document.getElementById("cases");
  if (!table) return;
  document.documentElement.classList.add("js");
  const body = table.tBodies[0];
  const rows = Array.from(body.rows, (row, index) => ({
    row, index, shown: true, text: row.textContent.toLowerCase(),
  }));
  const headers = Array.from(table.tHead.rows[0].cells);
  const form = document.getElementById("filter");
  const count = document.getElementById("count");
  const cellOf = (row, column) => row.cells[column];

  const valueOf = (cell) => {
    const exact = cell.dataset.v;
    const text = exact === undefined ? cell.textContent : exact;
    const number = text === "" ? NaN : Number(text);
    return Number.isNaN(number) ? text.toLowerCase() : number;
  };
  const compare = (a, b) => {
    if (a === "" || b === "") return a === b ? 0 : a === "" ? 1 : -1; // what is unknown comes last
    if (typeof a === "number" && typeof b === "number") return a - b;
    return String(a).localeCompare(String(b), "en", { numeric: true });
  };

  const sort = (column, ascending) => {
    const keyed = rows.map((entry) => ({ entry, key: valueOf(cellOf(entry.row, column)) }));
    keyed.sort((a, b) => {
      const unknown = a.key === "" || b.key === "";
      const order = compare(a.key, b.key);
      return (ascending || unknown ? order : -order) || a.entry.index - b.entry.index;
    });
    body.append(...keyed.map(({ entry }) => entry.row));
    headers.forEach((header, at) => {
      header.setAttribute("aria-sort", at === column ? (ascending ? "ascending" : "descending") : "none");
    });
  };

  headers.forEach((header, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = header.textContent;
    header.setAttribute("aria-sort", "none");
    header.replaceChildren(button);
    button.addEventListener("click", () => sort(column, header.getAttribute("aria-sort") !== "ascending"));
  });

  const selects = Array.from(form.querySelectorAll("select"));
  selects.forEach((select) => {
    const column = Number(select.dataset.column);
    const values = new Set(rows.map(({ row }) => cellOf(row, column).textContent));
    [...values].sort().forEach((value) => select.add(new Option(value === "" ? "(none)" : value, value)));
  });

  const filter = () => {
    const words = form.elements.words.value.toLowerCase().split(/\s+/).filter(Boolean);
    const wanted = selects.filter((select) => select.selectedIndex > 0) // the first stands for all
      .map((select) => [Number(select.dataset.column), select.value]);
    let shown = 0;
    for (const entry of rows) {
      const match = words.every((word) => entry.text.includes(word))
        && wanted.every(([column, value]) => cellOf(entry.row, column).textContent === value);
      if (match !== entry.shown) {
        entry.row.hidden = !match;
        entry.shown = match;
      }
      shown += match;
    }
    count.textContent = `${shown} of ${rows.length} cases`;
  };
  form.addEventListener("input", filter);
  form.addEventListener("reset", () => setTimeout(filter)); // once the fields are empty
  form.addEventListener("submit", (event) => event.preventDefault());
  filter();
})();
