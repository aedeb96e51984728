"use strict";
(() => {
  // A click on a column's button sorts by it, a second one the other way; lines without a value stay last.
  for (const table of document.querySelectorAll("table[data-sortable]")) {
    const body = table.tBodies[0];
    const key = (row, column) => row.cells[column].dataset.key ?? row.cells[column].textContent.trim();
    table.tHead.addEventListener("click", (event) => {
      const button = event.target.closest("button");
      if (!button) return;
      const head = button.closest("th");
      const down = head.getAttribute("aria-sort") === "ascending";
      for (const other of table.tHead.querySelectorAll("th")) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const compare = (a, b) => {
        const [x, y] = [key(a, head.cellIndex), key(b, head.cellIndex)];
        const [noX, noY] = [x === "" || x === "–", y === "" || y === "–"];
        if (noX || noY) return noX - noY;
        const order = x !== "" && !isNaN(x) && !isNaN(y) ? x - y : x.localeCompare(y);
        return down ? -order : order;
      };
      body.append(...[...body.rows].sort(compare));
    });
  }
})();
