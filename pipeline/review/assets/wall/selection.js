"use strict";
// Which events are selected, to be marked at once.

(function () {
  class Selection {
    constructor() {
      this.ids = new Map(); // id -> event
      this.listeners = [];
      this.last = null;
    }

    onChange(listener) {
      this.listeners.push(listener);
    }

    tell() {
      this.listeners.forEach((listener) => listener());
    }

    get events() {
      return [...this.ids.values()];
    }

    has(event) {
      return this.ids.has(event.id);
    }

    hasAll(events) {
      return events.every((event) => this.ids.has(event.id));
    }

    /** Select these events, or no longer. */
    set(events, picked) {
      for (const event of events) {
        if (picked) this.ids.set(event.id, event);
        else this.ids.delete(event.id);
      }
      this.tell();
    }

    /** Select one; with the shift key, given as the list shown, all from the last one on. */
    pick(event, picked, list) {
      const [one, other] = list ? [list.indexOf(this.last), list.indexOf(event)].sort((a, b) => a - b) : [-1, -1];
      this.set(one >= 0 ? list.slice(one, other + 1) : [event], picked);
      this.last = event;
    }

    clear() {
      if (!this.ids.size) return;
      this.ids.clear();
      this.tell();
    }
  }

  vad.Selection = Selection;
})();
