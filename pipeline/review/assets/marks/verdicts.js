"use strict";
// What reviewers say of events: their own marks, kept in the browser under the report's own name and nowhere else, over
// those that came with the page. Of several marks on one event the latest counts.

(function () {
  const VERDICTS = { real: "Real", false_alarm: "False alarm", unsure: "Unsure" };
  const NORMAL = "normal"; // of a video: all that no mark calls real
  let place = null;
  let kept = { reviewer: "", verdicts: {}, seen: {} };
  let given = new Map(); // event id -> the latest mark that came with the page
  let eventsOf = () => []; // a video's events at the threshold of the results
  const listeners = [];

  const row = (event) => ({ video: event.video, start_frame: event.start, end_frame: event.end, event_id: event.id });

  let standing = null; // video -> the rows that count, once they were asked for

  function tell() {
    standing = null;
    vad.verdicts.version += 1;
    listeners.forEach((listener) => listener());
  }

  function save() {
    try {
      localStorage.setItem(place, JSON.stringify(kept));
    } catch (error) {
      vad.say(`Marks cannot be kept in this browser (${error.name}): export them before you close the page.`);
    }
    tell();
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

  /** The latest row on an event, taken back or not; the reviewer's own of two at one time. */
  function latest(id) {
    const [own, other] = [kept.verdicts[id], given.get(id)];
    return own && (!other || own.time >= other.time) ? own : other;
  }

  /** What a mark becomes with these fields; undefined where nothing is left to say. */
  function changed(event, fields) {
    const before = latest(event.id) || { ...row(event), verdict: "", category: event.category, note: "" };
    const record = { ...before, ...fields, reviewer: kept.reviewer, time: new Date().toISOString() };
    const wasMarked = given.has(event.id) || kept.verdicts[event.id];
    return record.verdict || record.note || wasMarked ? record : undefined;
  }

  vad.verdicts = {
    names: VERDICTS,
    normal: NORMAL,
    version: 0, // another one after each change
    latest,
    eventsOf: (video) => eventsOf(video),

    /** The word for a verdict, that on a whole video too. */
    word: (verdict) => (verdict === NORMAL ? "all else is normal" : (VERDICTS[verdict] || "open").toLowerCase()),

    /**
     * Read what is kept for this report.
     * @param rows the marks that came with the page
     * @param of gives a video's events at the threshold of the results
     */
    open(report, rows, of) {
      place = `vad-pipeline:${report}`;
      eventsOf = of;
      given = new Map();
      for (const each of rows) {
        if (!given.has(each.event_id) || given.get(each.event_id).time <= each.time) given.set(each.event_id, each);
      }
      refresh();
      standing = null;
      window.addEventListener("storage", (event) => {
        if (event.key !== place) return;
        refresh();
        tell();
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

    /** The row that counts on an event itself; undefined where it is not marked. Of its frames: markOf of standing.js. */
    mark(id) {
      const found = latest(id);
      return found?.verdict ? found : undefined;
    },

    /** The reviewer's own row on an event. */
    get: (id) => kept.verdicts[id],

    /** The reviewer's own rows on a video. */
    of: (video) => Object.values(kept.verdicts).filter((record) => record.video === video),

    /** The rows that count in a video, on whatever range. */
    standing(video) {
      if (!standing) {
        standing = new Map();
        for (const id of new Set([...Object.keys(kept.verdicts), ...given.keys()])) {
          const record = latest(id);
          if (!record.verdict) continue;
          if (!standing.has(record.video)) standing.set(record.video, []);
          standing.get(record.video).push(record);
        }
      }
      return standing.get(video) || [];
    },

    /**
     * Mark events: any of verdict, category, note, start_frame, end_frame.
     * @param events as findEvents gives them
     * @param all all events of their video, where they were found at another threshold than that of the results: those
     *   left open keep a video from counting as normal
     * @returns what `restore` takes to undo it
     */
    set(events, fields, all) {
      refresh();
      const before = events.map((event) => [event.id, kept.verdicts[event.id]]);
      for (const event of events) put(event.id, changed(event, fields));
      if (all) kept.seen[events[0].video] = all.map((each) => ({ ...row(each), category: each.category }));
      save();
      return before;
    },

    restore(before) {
      refresh();
      for (const [id, record] of before) put(id, record);
      save();
    },

    /** All rows for export: the reviewer's own, and what stays open in the videos where something was marked. */
    rows() {
      const own = Object.values(kept.verdicts);
      const open = [...new Set(own.map((record) => record.video))]
        .flatMap((video) => kept.seen[video] || eventsOf(video).map((each) => ({ ...row(each), category: each.category })))
        .filter((seen) => !kept.verdicts[seen.event_id] && !given.has(seen.event_id))
        .map((seen) => ({ ...seen, verdict: "", reviewer: "", note: "", time: "" }));
      return [...own, ...open].sort(
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
        const isSame = mine && mine.start_frame === record.start_frame && mine.end_frame === record.end_frame;
        kept.verdicts[record.event_id] = isSame ? { ...mine, ...record } : record; // what this browser measured stays
        taken += 1;
      }
      save();
      return taken;
    },

    /** How many events the reviewer has marked, in how many videos; how many marks came with the page; any own rows? */
    counts() {
      const own = Object.values(kept.verdicts);
      const marked = own.filter((record) => record.verdict);
      const videos = new Set(marked.map((record) => record.video)).size;
      return { marks: marked.length, videos, given: given.size, any: own.length > 0 };
    },
  };

  function put(id, record) {
    if (record) kept.verdicts[id] = record;
    else delete kept.verdicts[id];
  }
})();
