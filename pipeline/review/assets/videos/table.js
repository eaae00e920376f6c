"use strict";
// The overview's table. Only the rows in sight are in the document, so that thousands cost no more than thirty.

(function () {
  const SPARE = 8; // rows beyond what is in sight
  const SVG = "http://www.w3.org/2000/svg";
  const SPARK = { width: 120, height: 24 };

  const byText = new Intl.Collator("en", { numeric: true }).compare;

  /** Columns: title, the value that rows are sorted by, and what a cell shows. `down`: largest first. */
  const COLUMNS = [
    { name: "name", title: "Video", value: (row) => row.id, cell: nameCell },
    { name: "peak", title: "Peak", value: (row) => row.peak, cell: (row) => text(row.peak, vad.score), down: true },
    { name: "spark", title: "Curve", cell: sparkCell },
    { name: "category", title: "Strongest event", value: (row) => row.category, cell: categoryCell },
    { name: "events", title: "Events", value: (row) => row.events, cell: (row) => text(row.events), down: true },
    { name: "length", title: "Length", value: (row) => row.seconds, cell: (row) => text(row.seconds, vad.clock), down: true },
    { name: "status", title: "Status", value: (row) => row.status, cell: statusCell },
  ];

  const text = (value, show = String) => (value === null ? "" : show(value));

  function nameCell(row) {
    if (!row.key) return vad.make("span", { className: "failed-name", text: row.id, title: row.id });
    return vad.make("a", { text: row.id, title: row.id, href: `#video=${row.key}` });
  }

  function statusCell(row) {
    if (row.status === "ok") return row.marks ? `${row.marks} marked` : "ok";
    return vad.make("span", { className: "failure", text: row.reason, title: `${row.path}: ${row.reason}` });
  }

  function categoryCell(row, columnOf) {
    if (!row.category) return "";
    const cell = document.createDocumentFragment();
    cell.append(vad.swatch(columnOf(row.category)), ` ${row.category}`);
    return cell;
  }

  function sparkCell(row) {
    const svg = document.createElementNS(SVG, "svg");
    const n = row.spark.length / 2;
    if (!n) return "";
    svg.setAttribute("viewBox", `0 0 ${SPARK.width} ${SPARK.height}`);
    svg.setAttribute("aria-hidden", "true");
    const y = (i) => (SPARK.height - 1 - (row.spark.slice(2 * i, 2 * i + 2) / 99) * (SPARK.height - 2)).toFixed(1);
    const step = SPARK.width / n;
    const points = Array.from({ length: n }, (_, i) => `${(i * step).toFixed(1)} ${y(i)}H${((i + 1) * step).toFixed(1)}`);
    const path = document.createElementNS(SVG, "path");
    path.setAttribute("d", `M${points.join("L")}`);
    svg.append(path);
    return svg;
  }

  class Table {
    /** @param columnOf a category's column, by its name */
    constructor(container, columnOf) {
      this.columnOf = columnOf;
      this.items = [];
      this.sort = { name: "peak", down: true };
      this.head = vad.make("div", { className: "row head", role: "row" });
      this.body = vad.make("div", { className: "rows", role: "rowgroup" });
      container.setAttribute("role", "table");
      container.setAttribute("aria-label", "Videos");
      container.append(vad.make("div", { className: "headgroup", role: "rowgroup" }, this.head), this.body);
      this.headers = COLUMNS.map((column) => this.header(column));
      this.head.append(...this.headers);
      this.body.addEventListener("click", (event) => {
        const link = event.target.closest(".row")?.querySelector("a");
        if (link && !event.target.closest("a") && !getSelection().toString()) location.hash = link.hash;
      });
      const draw = vad.eachFrame(() => this.draw());
      window.addEventListener("scroll", draw, { passive: true });
      window.addEventListener("resize", () => this.measure());
    }

    header(column) {
      const cell = vad.make("div", { className: `cell ${column.name}`, role: "columnheader" });
      if (!column.value) {
        cell.textContent = column.title;
        return cell;
      }
      const button = vad.make("button", { type: "button", text: column.title });
      button.addEventListener("click", () => {
        const again = this.sort.name === column.name;
        this.sortBy(column.name, again ? !this.sort.down : Boolean(column.down));
      });
      cell.append(button);
      return cell;
    }

    /** Show these rows, in the order that is chosen. `groupOf` gives a row's heading, or null for none. */
    show(rows, groupOf = null) {
      this.rows = rows;
      this.groupOf = groupOf;
      this.arrange();
    }

    sortBy(name, down) {
      this.sort = { name, down };
      this.arrange();
      this.onSort?.(this.sort);
    }

    arrange() {
      const { value } = COLUMNS.find((column) => column.name === this.sort.name);
      const sign = this.sort.down ? -1 : 1;
      const compare = (a, b) => {
        const [x, y] = [value(a), value(b)];
        if (x === null || y === null) return (x === null) - (y === null); // what is not known comes last, either way
        return sign * (typeof x === "string" ? byText(x, y) : x - y) || byText(a.id, b.id);
      };
      const sorted = [...this.rows].sort(compare);
      this.items = this.groupOf ? grouped(sorted, this.groupOf) : sorted;
      this.headers.forEach((header, i) => {
        if (COLUMNS[i].name === this.sort.name) header.setAttribute("aria-sort", sign < 0 ? "descending" : "ascending");
        else header.removeAttribute("aria-sort");
      });
      this.measure();
    }

    measure() {
      this.height = parseFloat(getComputedStyle(this.body).getPropertyValue("--row")) || 44;
      this.body.style.height = `${this.items.length * this.height}px`;
      this.body.parentElement.setAttribute("aria-rowcount", this.items.length + 1);
      this.from = this.to = -1;
      this.draw();
    }

    /** Put the rows in sight into the document. */
    draw() {
      if (!this.body.offsetParent) return;
      const above = -this.body.getBoundingClientRect().top;
      const from = Math.max(0, Math.floor(above / this.height) - SPARE);
      const to = Math.min(this.items.length, Math.ceil((above + window.innerHeight) / this.height) + SPARE);
      if (from === this.from && to === this.to) return;
      const focused = document.activeElement?.closest?.(".rows .row")?.dataset.row;
      [this.from, this.to] = [from, to];
      const shown = [];
      for (let i = from; i < to; i++) shown.push(this.row(this.items[i], i));
      this.body.replaceChildren(...shown);
      if (focused !== undefined) this.body.querySelector(`[data-row="${focused}"] a`)?.focus({ preventScroll: true });
    }

    row(item, index) {
      const row = vad.make("div", { className: "row", role: "row", "aria-rowindex": index + 2, "data-row": index });
      row.style.top = `${index * this.height}px`;
      if (item.heading) {
        row.classList.add("group");
        row.append(vad.make("div", { role: "cell", className: "cell heading", text: item.heading }));
        return row;
      }
      if (!item.key) row.classList.add("failed");
      for (const column of COLUMNS) {
        const cell = vad.make("div", { className: `cell ${column.name}`, role: "cell" });
        cell.append(column.cell(item, this.columnOf));
        row.append(cell);
      }
      return row;
    }

    /** Move the focus to the next row that can be opened, up or down. */
    move(by) {
      const now = document.activeElement?.closest?.(".rows .row")?.dataset.row;
      let index = now === undefined ? (by > 0 ? 0 : this.items.length - 1) : Number(now) + by;
      while (this.items[index] && !this.items[index].key) index += by;
      if (!this.items[index]) return;
      const top = this.body.getBoundingClientRect().top + index * this.height;
      const low = 2 * this.height;
      const high = window.innerHeight - 2 * this.height;
      if (top < low || top > high) window.scrollBy(0, top - (top < low ? low : high));
      this.draw();
      this.body.querySelector(`[data-row="${index}"] a`)?.focus({ preventScroll: true });
    }

    /** The rows that can be opened, in the order shown. */
    get order() {
      return this.items.filter((item) => item.key);
    }
  }

  /** Rows below a heading each; groups stand in the order of their first row. */
  function grouped(rows, groupOf) {
    const groups = new Map();
    for (const row of rows) {
      const heading = groupOf(row);
      if (!groups.has(heading)) groups.set(heading, []);
      groups.get(heading).push(row);
    }
    return [...groups].flatMap(([heading, members]) => [{ heading: `${heading} (${members.length})` }, ...members]);
  }

  vad.Table = Table;
  vad.tableColumns = COLUMNS.filter((column) => column.value).map(({ name, title, down }) => ({ name, title, down }));
})();
