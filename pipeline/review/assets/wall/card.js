"use strict";
// One event as a card: its picture, through which pointer or focus run, when, where, how long, most like what, how
// unusual, and what a reviewer said of it.

(function () {
  const FRAME_MS = 350; // how long each picture stands while the card has the focus
  const still = window.matchMedia("(prefers-reduced-motion: reduce)");

  /** The mark of an event as an icon with its word. */
  vad.markIcon = (verdict) => {
    const sign = { real: "✓", false_alarm: "✕", unsure: "?" }[verdict];
    const word = vad.verdicts.names[verdict];
    return vad.make("span", { className: `mark-icon ${verdict}`, title: word }, vad.make("span", { "aria-hidden": "true", text: sign }), vad.make("span", { className: "unseen", text: ` ${word}` }));
  };

  /** A bar that says how unusual an event is, with the number. */
  vad.scoreBar = (score) => {
    const bar = vad.make("span", { className: "score-bar", "aria-hidden": "true" });
    bar.style.setProperty("--score", score);
    return vad.make("span", { className: "score" }, bar, vad.make("span", { className: "unseen", text: "how unusual " }), vad.unusual(score));
  };

  class Card {
    /** @param event of the catalogue */
    constructor(event, { zone, picked, onPick }) {
      this.event = event;
      this.image = vad.make("img", { alt: "", decoding: "async", hidden: "" });
      this.scrub = vad.make("span", { className: "scrub", "aria-hidden": "true" });
      this.mark = vad.make("span", { className: "card-mark" });
      const shot = vad.make("span", { className: "shot" }, this.image, vad.make("span", { className: "card-length", text: vad.length(event.endSeconds - event.startSeconds) }), this.scrub);
      const link = vad.make("a", { className: "card-open", href: vad.addressOf(event) }, shot, this.words(zone), this.mark);
      this.pick = vad.make("input", { type: "checkbox", className: "pick", "aria-label": `Select ${this.when(zone)}, ${event.video}` });
      this.pick.checked = picked;
      this.pick.addEventListener("click", (click) => onPick(event, this.pick.checked, click.shiftKey));
      this.element = vad.make("article", { className: "card", "data-id": event.id }, link, this.pick);
      this.element.classList.toggle("picked", picked);
      this.link = link;
      this.listen(shot);
      this.refresh();
      if (event.pictures) vad.shotsOf(event, () => this.element.isConnected).then((shots) => this.take(shots));
    }

    when(zone) {
      const { row, startSeconds } = this.event;
      return row.start === null ? vad.clock(startSeconds) : vad.wallTime(zone, row.start + startSeconds);
    }

    words(zone) {
      const { event } = this;
      const where = event.row.start === null ? event.video : event.row.camera === null ? event.video : vad.camera(event.row.camera);
      const first = vad.make("span", { className: "card-when" }, vad.make("b", { text: this.when(zone) }), vad.make("span", { className: "card-where", text: where, title: event.video }));
      const what = vad.make("span", { className: "card-what" }, vad.swatch(event.column), vad.make("span", { className: "unseen", text: "most like " }), vad.make("span", { className: "card-category", text: event.category }), event.drawn ? vad.make("span", { className: "quiet", text: "missed" }) : "");
      return vad.make("span", { className: "card-words" }, first, what, vad.scoreBar(event.peakScore));
    }

    take(shots) {
      if (!shots.length) return;
      this.shots = shots;
      const nearest = shots.reduce((best, [frame], i) => (Math.abs(frame - this.event.peakFrame) < Math.abs(shots[best][0] - this.event.peakFrame) ? i : best), 0);
      this.peak = nearest;
      this.show(nearest);
      this.image.hidden = false;
      if (document.activeElement === this.link) this.run();
    }

    show(index) {
      if (this.at === index) return;
      this.at = index;
      this.image.src = this.shots[index][1];
      this.scrub.style.setProperty("--at", (index + 1) / this.shots.length);
    }

    listen(shot) {
      shot.addEventListener("pointermove", (move) => {
        if (!this.shots) return;
        const { left, width } = shot.getBoundingClientRect();
        this.stop();
        this.element.classList.add("scrubbed");
        this.show(Math.min(this.shots.length - 1, Math.max(0, Math.floor(((move.clientX - left) / width) * this.shots.length))));
      });
      shot.addEventListener("pointerleave", () => this.rest());
      this.link.addEventListener("focus", () => this.run());
      this.link.addEventListener("blur", () => this.rest());
    }

    /** While the card has the focus its pictures follow one another. */
    run() {
      if (!this.shots || this.running || still.matches || !this.link.matches(":focus-visible")) return;
      this.element.classList.add("scrubbed");
      this.running = setInterval(() => {
        if (!this.element.isConnected) return this.stop();
        this.show((this.at + 1) % this.shots.length);
      }, FRAME_MS);
    }

    stop() {
      clearInterval(this.running);
      this.running = null;
    }

    /** The peak again. */
    rest() {
      this.stop();
      this.element.classList.remove("scrubbed");
      if (this.shots) this.show(this.peak);
    }

    /** What the marks say now. */
    refresh() {
      const verdict = vad.markOf(this.event)?.verdict;
      this.mark.replaceChildren(...(verdict ? [vad.markIcon(verdict)] : []));
      this.element.classList.toggle("marked", Boolean(verdict));
    }

    setPicked(picked) {
      this.pick.checked = picked;
      this.element.classList.toggle("picked", picked);
    }
  }

  vad.Card = Card;
})();
