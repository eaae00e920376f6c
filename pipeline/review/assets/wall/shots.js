"use strict";
// The pictures of events, loaded as their cards come into sight: a few files at once, the last ones kept.

(function () {
  const AT_ONCE = 4; // files that are loaded at the same time
  const KEPT = 300; // events whose pictures stay in memory
  const kept = new Map(); // name -> a promise of [frame, picture] pairs
  const waiting = [];
  let loading = 0;

  /** Load what is waiting, the latest first: that is what is in sight now. */
  function loadNext() {
    while (loading < AT_ONCE && waiting.length) {
      const { name, wanted, done } = waiting.pop();
      if (!wanted()) {
        kept.delete(name);
        done([]);
        continue;
      }
      loading += 1;
      vad
        .load(name, "events")
        .catch(() => []) // a page that was copied without them: a card without a picture
        .then((shots) => {
          loading -= 1;
          done(shots);
          loadNext();
        });
    }
  }

  /**
   * A promise of an event's pictures: pairs of a frame and a picture, by time.
   * @param wanted whether they are still wanted once their turn comes
   */
  vad.shotsOf = (event, wanted = () => true) => {
    const name = event.pictures;
    if (!name) return Promise.resolve([]);
    if (!kept.has(name)) {
      kept.set(name, new Promise((done) => waiting.push({ name, wanted, done })));
      if (kept.size > KEPT) kept.delete(kept.keys().next().value);
      queueMicrotask(loadNext); // once the card stands in the document
    }
    return kept.get(name);
  };
})();
