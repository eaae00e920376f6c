"use strict";
// The events of a video as a list: a picture, when, what, how high, and what reviewers say of each.

(function () {
  const MOST = 60; // cards in the document at once: a day's video may have thousands of events

  class EventList {
    /**
     * @param list the <ol>
     * @param onOpen told which event was chosen
     * @param onMark told an event, and what was said of it
     */
    constructor(list, { onOpen, onMark }) {
      Object.assign(this, { list, onOpen, mark: onMark, events: [], current: -1, first: 0 });
      vad.verdicts.onChange(() => this.refresh());
    }

    /** @param others what colleagues say of this video's events */
    open({ categories, pictures, others, clock }) {
      Object.assign(this, { categories, pictures, others, clock, events: [], current: -1, first: 0 });
    }

    /** Show these events, near misses among them, by time. */
    setEvents(events) {
      this.events = events;
      this.current = -1;
      this.first = Math.min(this.first, Math.max(0, events.length - MOST));
      this.draw();
    }

    draw() {
      const last = Math.min(this.first + MOST, this.events.length);
      this.cards = new Map();
      const shown = [];
      if (this.first > 0) shown.push(this.pager(`${vad.count(this.first, "event")} before`, this.first - MOST));
      for (let i = this.first; i < last; i++) shown.push(this.card(this.events[i], i));
      const left = this.events.length - last;
      if (left > 0) shown.push(this.pager(`${vad.count(left, "event")} after`, last));
      this.list.replaceChildren(...shown);
    }

    pager(text, first) {
      const button = vad.make("button", { type: "button", text });
      button.addEventListener("click", () => {
        this.first = Math.max(0, first);
        this.draw();
        this.list.scrollTop = 0;
      });
      return vad.make("li", { className: "pager" }, button);
    }

    /** Mark the event that is being looked at. */
    setCurrent(index) {
      if (index === this.current) return;
      this.cards?.get(this.current)?.element.removeAttribute("aria-current");
      this.current = index;
      if (index < 0 || !this.events[index]) return;
      if (index < this.first || index >= this.first + MOST) {
        this.first = Math.max(0, Math.min(index - MOST / 2, this.events.length - MOST));
        this.draw();
      }
      const { element } = this.cards.get(index);
      element.setAttribute("aria-current", "true");
      const outside = element.offsetTop < this.list.scrollTop || element.offsetTop + element.offsetHeight > this.list.scrollTop + this.list.clientHeight;
      if (outside) this.list.scrollTop = element.offsetTop - 8; // the list's own scroll, never the page's
    }

    /** What the verdicts say now. */
    refresh() {
      this.cards?.forEach((card) => card.refresh());
    }

    /** Put the cursor into an event's note. */
    writeNote(index) {
      this.cards.get(index)?.note.focus();
    }

    card(event, index) {
      const open = vad.make("button", { type: "button", className: "open" }, ...this.headline(event));
      open.addEventListener("click", () => this.onOpen(index));
      const marks = vad.make("div", { className: "marks", role: "group", "aria-label": "Verdict" });
      const buttons = Object.entries(vad.verdicts.names).map(([verdict, text]) => {
        const button = vad.make("button", { type: "button", text, "data-verdict": verdict });
        button.addEventListener("click", () => {
          const same = vad.verdicts.mark(event.id)?.verdict === verdict;
          this.mark(event, { verdict: same ? "" : verdict });
        });
        return button;
      });
      const what = vad.make("select", { "aria-label": "Category, if it is another" });
      what.append(...this.categories.slice(1).map((name) => vad.make("option", { text: name, value: name })));
      what.addEventListener("change", () => this.mark(event, { category: what.value }));
      const note = vad.make("input", { type: "text", className: "note", placeholder: "Note", "aria-label": "Note", maxlength: 500 });
      note.addEventListener("change", () => this.mark(event, { note: note.value }));
      marks.append(...buttons, what);
      const others = vad.make("ul", { className: "others" });
      const element = vad.make("li", { className: event.near ? "event near" : "event" }, open, marks, note, others);
      const refresh = () => {
        const kept = vad.verdicts.mark(event.id) || vad.verdicts.get(event.id);
        for (const button of buttons) button.setAttribute("aria-pressed", String(button.dataset.verdict === kept?.verdict));
        what.value = kept?.category || event.category;
        what.hidden = kept?.verdict !== "real";
        if (document.activeElement !== note) note.value = kept?.note || "";
        others.replaceChildren(...this.alsoSaid(event));
      };
      refresh();
      this.cards.set(index, { element, note, refresh });
      return element;
    }

    headline(event) {
      const picture = this.pictureIn(event);
      const times = `${vad.clock(event.startSeconds, 1)} to ${vad.clock(event.endSeconds, 1)}`;
      const when = vad.make("span", { className: "when" }, vad.make("b", { text: times }), ` ${vad.length(event.endSeconds - event.startSeconds)}`);
      const share = event.drawn ? "" : ` ${event.percent}%`;
      const what = vad.make("span", { className: "what" }, vad.swatch(event.column), event.drawn ? ` ${event.category}` : ` most like ${event.category}`, vad.make("span", { className: "quiet", text: share }));
      const kind = event.below ? "below this threshold, " : event.drawn ? "drawn by hand, " : event.near ? "near miss, " : "";
      const peak = vad.make("span", { className: "quiet", title: `peak ${vad.score(event.peakScore)}`, text: `${kind}how unusual ${vad.unusual(event.peakScore)}` });
      const words = vad.make("span", { className: "words" }, when, what, peak);
      if (this.clock) {
        words.prepend(vad.make("span", { className: "quiet", text: vad.wallClock(this.clock, event.startSeconds) }));
      }
      return [picture, words];
    }

    /** The picture of the peak, or of a frame near it inside the event. */
    pictureIn(event) {
      const inside = Object.keys(this.pictures).map(Number).filter((n) => n >= event.start && n < event.end);
      if (!inside.length) return vad.make("span", { className: "thumb none", "aria-hidden": "true" });
      const nearest = inside.reduce((best, n) => (Math.abs(n - event.peakFrame) < Math.abs(best - event.peakFrame) ? n : best));
      return vad.make("img", { className: "thumb", src: this.pictures[nearest], alt: "" });
    }

    /** What colleagues say of these frames, and the reviewer of events that other thresholds give. */
    alsoSaid(event) {
      const own = vad.verdicts.of(event.video).filter((each) => each.verdict && each.event_id !== event.id);
      const about = [...this.others, ...own.map((each) => ({ ...each, reviewer: "you" }))].filter((each) =>
        vad.overlap({ start: each.start_frame, end: each.end_frame }, event),
      );
      return about.map((each) => {
        const verdict = vad.verdicts.word(each.verdict);
        const same = each.event_id === event.id ? "" : ` (frames ${each.start_frame} to ${each.end_frame})`;
        const note = each.note ? `, "${each.note}"` : "";
        return vad.make("li", { text: `${each.reviewer || "unnamed"}: ${verdict}${same}${note}` });
      });
    }
  }

  vad.EventList = EventList;
})();
