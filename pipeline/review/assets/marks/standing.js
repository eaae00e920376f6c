"use strict";
// What counts as the mark of an event: the latest on the event itself; else, as another threshold gave it other ends, what
// was said of its frames. The same rule as that of results/marks.py: page, events and clips agree.

(function () {
  const strays = new Map(); // video -> marks on ranges that are no event of the catalogue
  let version = null;

  const shared = (event, mark) => Math.min(event.end, mark.end_frame) - Math.max(event.start, mark.start_frame);

  /** Marks of a video that are not simply on one of its events: only they can say something of another one. */
  function straysOf(video) {
    if (version !== vad.verdicts.version) strays.clear();
    version = vad.verdicts.version;
    if (!strays.has(video)) {
      const marks = vad.verdicts.standing(video);
      const known = new Set(marks.length ? vad.verdicts.eventsOf(video).map((event) => event.id) : []);
      const isPlain = (mark) => known.has(mark.event_id) && mark.event_id === `${video}@${mark.start_frame}-${mark.end_frame}`;
      strays.set(video, marks.filter((mark) => !isPlain(mark)));
    }
    return strays.get(video);
  }

  /** Whether at least half of an event's frames lie in ranges marked so, which may overlap. */
  function mostly(event, about, verdicts) {
    let covered = 0;
    let reached = event.start;
    const ranges = about.filter((mark) => verdicts.includes(mark.verdict));
    for (const range of ranges.sort((a, b) => a.start_frame - b.start_frame)) {
      const end = Math.min(range.end_frame, event.end);
      covered += Math.max(0, end - Math.max(range.start_frame, reached));
      reached = Math.max(reached, end);
    }
    return covered > 0 && 2 * covered >= event.end - event.start;
  }

  /** What is marked real in a video where these events are not: events that reviewers drew. */
  vad.missedIn = (video, found) => {
    const marks = vad.verdicts.standing(video).filter((mark) => mark.verdict === "real");
    if (!marks.length) return [];
    const ids = new Set(found.map((event) => event.id));
    const isAlone = (mark) => mark.drawn || !found.some((event) => shared(event, mark) > 0);
    return marks.filter((mark) => !ids.has(mark.event_id) && isAlone(mark));
  };

  /** The mark that counts for an event of the catalogue; undefined where it is open. */
  vad.markOf = (event) => {
    const own = vad.verdicts.latest(event.id);
    if (own) return own.verdict ? own : undefined;
    const about = straysOf(event.video);
    if (!about.length) return undefined;
    const real = about.find((mark) => mark.verdict === "real" && shared(event, mark) > 0);
    if (real) return real;
    if (mostly(event, about, ["unsure"])) return { verdict: "unsure" };
    return mostly(event, about, ["false_alarm", vad.verdicts.normal]) ? { verdict: "false_alarm" } : undefined;
  };
})();
