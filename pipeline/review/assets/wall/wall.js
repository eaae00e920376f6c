"use strict";
// The wall: cards in lines below headings. Only the lines in sight are in the document, so that twenty thousand events
// cost no more than fifty.

(function () {
  const LEAST_WIDTH = 172; // px of a card; it grows to fill the line
  const GAP = 12;
  const WORDS_HEIGHT = 80; // below the picture
  const HEADING_HEIGHT = 48;
  const SPARE = 400; // px drawn above and below what is in sight
  const AT_ONCE = 6; // cards made in one frame while scrolling, so that no frame takes long

  class Wall {
    /** @param selection which events are selected */
    constructor(container, { zone, groupOf, selection }) {
      Object.assign(this, { container, zone, groupOf, selection, events: [], lines: [], drawn: new Map(), old: new Map() });
      this.drawMore = vad.eachFrame(() => this.draw(AT_ONCE));
      window.addEventListener("scroll", this.drawMore, { passive: true });
      new ResizeObserver(() => this.measure()).observe(container);
      vad.verdicts.onChange(() => this.each((card) => card.refresh()));
      selection.onChange(() => {
        this.each((card) => card.setPicked(selection.has(card.event)));
        for (const line of this.drawn.values()) line.refresh?.();
      });
    }

    each(act) {
      for (const { cards } of this.drawn.values()) cards.forEach(act);
    }

    /** Show these events, below headings or not. */
    show(events, grouped) {
      Object.assign(this, { events, grouped });
      this.arrange();
    }

    measure() {
      const width = this.container.clientWidth;
      if (!width || width === this.width) return;
      this.width = width;
      this.arrange();
    }

    /** Lines of cards and headings, each with its place. */
    arrange() {
      const width = this.container.clientWidth;
      if (!width) return;
      this.width = width;
      const columns = Math.max(1, Math.floor((width + GAP) / (LEAST_WIDTH + GAP)));
      const card = (width - GAP * (columns - 1)) / columns;
      const height = Math.round((card * 9) / 16) + WORDS_HEIGHT;
      this.columns = columns;
      this.lines = [];
      let top = 0;
      for (const { from, to, headings } of packed(this.stretches(), columns)) {
        if (headings.length) {
          this.lines.push({ top, height: HEADING_HEIGHT, headings, from, to });
          top += HEADING_HEIGHT;
        }
        for (let first = from; first < to; first += columns) {
          this.lines.push({ top, height: height + GAP, from: first, to: Math.min(first + columns, to) });
          top += height + GAP;
        }
      }
      this.container.style.height = `${top}px`;
      this.container.style.setProperty("--columns", columns);
      this.container.style.setProperty("--card-height", `${height}px`);
      const focused = document.activeElement?.closest?.(".card")?.dataset.id;
      this.old = new Map();
      this.each((card) => this.old.set(card.event.id, card));
      for (const line of this.drawn.values()) line.element.remove();
      this.drawn.clear();
      this.draw();
      this.old.clear();
      if (focused) this.cardOf(focused)?.link.focus({ preventScroll: true });
    }

    /** Stretches of events with one heading. */
    stretches() {
      if (!this.events.length) return [];
      if (!this.grouped) return [{ from: 0, to: this.events.length, text: null }];
      const found = [];
      let from = 0;
      for (let i = 1; i <= this.events.length; i++) {
        const row = this.events[from].row;
        const other = this.events[i]?.row;
        if (other && (other === row || (other.day === row.day && other.camera === row.camera))) continue;
        found.push({ from, to: i, text: this.groupOf(this.events[from]) });
        from = i;
      }
      return found;
    }

    /** Put the lines in sight into the document, and take the others out; with so many cards, the rest a frame later. */
    draw(most = Infinity) {
      if (!this.container.offsetParent) return;
      const above = -this.container.getBoundingClientRect().top;
      const [first, top, bottom, last] = [-SPARE, 0, window.innerHeight, window.innerHeight + SPARE].map((y) => this.lineAt(above + y));
      for (const [index, line] of this.drawn) {
        if (index >= first && index <= last) continue;
        if (line.element.contains(document.activeElement)) continue; // it keeps the focus
        line.element.remove();
        this.drawn.delete(index);
      }
      let made = 0;
      for (const [from, to] of [[top, bottom], [first, top], [bottom, last]]) {
        for (let index = from; index <= to; index++) {
          if (!this.lines[index] || this.drawn.has(index)) continue;
          if (made >= most) return this.drawMore();
          this.drawn.set(index, this.line(index));
          made += this.drawn.get(index).cards.length;
        }
      }
    }

    /** The line at a height. */
    lineAt(y) {
      let low = 0;
      let high = this.lines.length;
      while (high - low > 1) {
        const middle = (low + high) >> 1;
        if (this.lines[middle].top <= y) low = middle;
        else high = middle;
      }
      return low;
    }

    line(index) {
      const line = this.lines[index];
      const element = vad.make("div", { className: line.headings ? "wall-heading" : "wall-line" });
      element.style.top = `${line.top}px`;
      const drawn = { element, cards: [] };
      if (line.headings) {
        const headings = line.headings.map((heading) => this.heading(heading, line));
        drawn.refresh = () => headings.forEach((heading) => heading.refresh());
        element.append(...headings.map((heading) => heading.element));
      } else {
        const onPick = (event, picked, range) => this.selection.pick(event, picked, range ? this.events : null);
        const events = this.events.slice(line.from, line.to);
        drawn.cards = events.map((event) => this.old.get(event.id) || new vad.Card(event, { zone: this.zone, picked: this.selection.has(event), onPick }));
        element.append(...drawn.cards.map((card) => card.element));
      }
      // lines stand in the document as they are read, also where one comes back above
      const next = [...this.drawn.keys()].filter((other) => other > index);
      this.container.insertBefore(element, next.length ? this.drawn.get(Math.min(...next)).element : null);
      return drawn;
    }

    /** A heading above its cards, with a box that selects all of them. */
    heading({ text, from, to }, line) {
      const events = this.events.slice(from, to);
      const pick = vad.make("input", { type: "checkbox", "aria-label": `Select all of ${text}` });
      const refresh = () => (pick.checked = this.selection.hasAll(events));
      refresh();
      pick.addEventListener("change", () => this.selection.set(events, pick.checked));
      const isNarrow = line.headings.length > 1 && events.length === 1;
      const count = isNarrow ? [] : [vad.make("span", { className: "quiet", text: vad.count(events.length, "event") })];
      const element = vad.make("div", { className: isNarrow ? "group-heading narrow" : "group-heading" }, pick, vad.make("h2", { text, title: text }), ...count);
      element.style.gridColumn = line.headings.length > 1 ? `span ${events.length}` : "1 / -1";
      return { element, refresh };
    }

    cardOf(id) {
      for (const { cards } of this.drawn.values()) {
        const card = cards.find((each) => each.event.id === id);
        if (card) return card;
      }
      return null;
    }

    /** The event whose card has the focus, -1 for none. */
    get current() {
      const id = document.activeElement?.closest?.(".card")?.dataset.id;
      return id === undefined ? -1 : this.events.findIndex((event) => event.id === id);
    }

    /** Give an event's card the focus, and bring it into sight. */
    focus(index) {
      const event = this.events[index];
      if (!event) return;
      const line = this.lines.find((each) => !each.headings && each.from <= index && index < each.to);
      const top = this.container.getBoundingClientRect().top + line.top;
      const room = window.innerHeight - line.height - 80;
      if (top < 60 || top > room) window.scrollBy(0, top - (top < 60 ? 60 : Math.max(60, room)));
      this.draw();
      this.cardOf(event.id)?.link.focus({ preventScroll: true });
    }

    /** Move the focus by so many cards, or lines. */
    move(by, lines = 0) {
      const { current } = this;
      if (current < 0) return this.focus(0);
      if (!lines) return this.focus(Math.min(Math.max(current + by, 0), this.events.length - 1));
      const cards = this.lines.filter((line) => !line.headings);
      const at = cards.findIndex((line) => current < line.to);
      const other = cards[at + lines];
      if (other) this.focus(Math.min(other.from + current - cards[at].from, other.to - 1));
    }
  }

  /** Stretches that follow one another and fit into one line share it: a day of few events takes no line of its own. */
  function packed(stretches, columns) {
    const packs = [];
    for (const stretch of stretches) {
      const last = packs.at(-1);
      if (last && stretch.to - last.from <= columns) {
        last.to = stretch.to;
        last.headings.push(stretch);
      } else packs.push({ from: stretch.from, to: stretch.to, headings: stretch.text === null ? [] : [stretch] });
    }
    return packs;
  }

  vad.Wall = Wall;
})();
