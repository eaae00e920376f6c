"use strict";
// One queue of events to be marked, across all videos: which comes next, and what was done, to be undone.

(function () {
  class Queue {
    /** @param list the events, in the order in which they are to be looked at */
    constructor(list) {
      this.list = list;
      this.done = [];
    }

    isOpen(event) {
      return !vad.markOf(event);
    }

    /** The next event without a mark after this one, from the beginning again after the last; null where all are marked. */
    after(id) {
      const at = this.list.findIndex((event) => event.id === id);
      for (let i = 1; i <= this.list.length; i++) {
        const event = this.list[(at + i) % this.list.length];
        if (event.id !== id && this.isOpen(event)) return event;
      }
      return null;
    }

    /** How many events are marked, of how many. */
    get progress() {
      const open = this.list.reduce((n, event) => n + this.isOpen(event), 0);
      return { marked: this.list.length - open, all: this.list.length };
    }

    /** Mark events; see vad.verdicts.set. */
    mark(events, fields, all) {
      this.done.push({ events, before: vad.verdicts.set(events, fields, all) });
    }

    /** Undo what was done last; gives the events that it was about, null where nothing is left to undo. */
    undo() {
      const last = this.done.pop();
      if (!last) return null;
      vad.verdicts.restore(last.before);
      return last.events;
    }
  }

  vad.Queue = Queue;
})();
