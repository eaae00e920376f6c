"use strict";
// Which events to mark next: those whose marks would tell most. Cameras and categories take turns, those with the fewest
// marks first; of each, the event nearest to the threshold comes first, since its score says least of what it is
// (uncertainty sampling: Lewis and Gale, "A sequential algorithm for training text classifiers", SIGIR 1994).

(function () {
  /**
   * Events in the order in which they are worth marking; what is marked comes last.
   * @param level the threshold
   */
  vad.worthFirst = (events, level) => {
    const groups = new Map();
    for (const event of events) {
      const key = JSON.stringify([event.row.camera, event.category]);
      if (!groups.has(key)) groups.set(key, { marked: [], open: [] });
      groups.get(key)[vad.markOf(event) ? "marked" : "open"].push(event);
    }
    const far = (event) => Math.abs(event.peakScore - level);
    const turns = [];
    for (const { marked, open } of groups.values()) {
      open.sort((a, b) => far(a) - far(b)).forEach((event, i) => turns.push([marked.length + i, event]));
      marked.forEach((event) => turns.push([Infinity, event]));
    }
    const earlier = (one, other) => (one === other ? 0 : one < other ? -1 : 1); // the difference of infinities is none
    return turns.sort(([one, a], [other, b]) => earlier(one, other) || far(a) - far(b)).map(([, event]) => event);
  };
})();
