"use strict";
// What the reviewer says of events: kept in the browser under the report's own name, and nowhere else.

(function () {
  const VERDICTS = { real: "Real", false_alarm: "False alarm", unsure: "Unsure" };
  let place = null;
  let kept = { reviewer: "", verdicts: {}, seen: {} };
  const listeners = [];

  const row = (event) => ({ video: event.video, start_frame: event.start, end_frame: event.end, event_id: event.id });

  function save() {
    try {
      localStorage.setItem(place, JSON.stringify(kept));
    } catch (error) {
      vad.say(`Verdicts cannot be kept in this browser (${error.name}): export them before you close the page.`);
    }
    listeners.forEach((listener) => listener());
  }

  /** The latest state in the browser: another window of this page may have added to it. */
  function refresh() {
    try {
      const found = JSON.parse(localStorage.getItem(place));
      if (found && found.verdicts && found.seen) kept = found;
    } catch {
      // nothing usable is kept: what this page holds stands
    }
  }

  vad.verdicts = {
    names: VERDICTS,

    /** Read what is kept for this report. */
    open(report) {
      place = `vad-pipeline:${report}`;
      refresh();
      window.addEventListener("storage", (event) => {
        if (event.key === place) {
          refresh();
          listeners.forEach((listener) => listener());
        }
      });
    },

    onChange: (listener) => listeners.push(listener),

    get reviewer() {
      return kept.reviewer;
    },
    set reviewer(name) {
      refresh();
      kept.reviewer = name;
      for (const record of Object.values(kept.verdicts)) record.reviewer ||= name;
      save();
    },

    get: (id) => kept.verdicts[id],

    of: (video) => Object.values(kept.verdicts).filter((record) => record.video === video),

    /**
     * Mark an event.
     * @param event as findEvents gives it
     * @param fields any of verdict, category, note
     * @param all the video's events at this threshold: those left open keep a video from counting as normal
     */
    set(event, fields, all) {
      refresh();
      const before = kept.verdicts[event.id] || { ...row(event), verdict: "", category: event.category, note: "" };
      const record = { ...before, ...fields, reviewer: kept.reviewer, time: new Date().toISOString() };
      if (record.verdict || record.note) kept.verdicts[event.id] = record;
      else delete kept.verdicts[event.id];
      if (all) kept.seen[event.video] = all.map((each) => ({ ...row(each), category: each.category }));
      save();
    },

    /** All rows for export: what was marked, and what stays open in the videos where something was. */
    rows() {
      const marked = Object.values(kept.verdicts);
      const videos = new Set(marked.map((record) => record.video));
      const open = [...videos]
        .flatMap((video) => kept.seen[video] || [])
        .filter((seen) => !kept.verdicts[seen.event_id])
        .map((seen) => ({ ...seen, verdict: "", reviewer: "", note: "", time: "" }));
      return [...marked, ...open].sort(
        (a, b) => (a.video < b.video ? -1 : a.video > b.video ? 1 : a.start_frame - b.start_frame),
      );
    },

    /** Take rows in that were exported; of two on one event the later one stays. Returns how many were new. */
    take(rows) {
      refresh();
      let taken = 0;
      for (const record of rows) {
        const mine = kept.verdicts[record.event_id];
        if (mine && mine.time >= record.time) continue;
        kept.verdicts[record.event_id] = record;
        taken += 1;
      }
      save();
      return taken;
    },

    count: () => Object.values(kept.verdicts).filter((record) => record.verdict).length,
  };
})();
