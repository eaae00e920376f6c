"use strict";
// The events of a video as they are shown: those that the curve gives, with the ends and additions of reviewers.

(function () {
  class Found {
    /** @param data what the video's data file says */
    constructor(curve, data, mergeGap) {
      Object.assign(this, { curve, data, mergeGap });
    }

    events(threshold) {
      return this.counted(vad.findEvents(this.curve, this.data.id, threshold, this.mergeGap));
    }

    near(threshold) {
      return this.counted(vad.nearMisses(this.curve, this.data.id, threshold, this.mergeGap));
    }

    /** Without those all of which lies in ignored hours: see ignored_hours.py. */
    counted(events) {
      const liesIn = ({ start, end }) => this.data.ignored.some(([first, after]) => first <= start && end <= after);
      return events.filter((event) => !liesIn(event)).map((event) => this.asLeft(event));
    }

    /** An event with its category, and the ends that a reviewer left it with. */
    asLeft(event) {
      const named = { ...event, category: this.data.categories[event.column] };
      const mark = vad.verdicts.mark(event.id);
      if (!mark || (mark.start_frame === event.start && mark.end_frame === event.end)) return named;
      return { ...named, ...this.range(mark.start_frame, mark.end_frame) };
    }

    /** A stretch of this video, as an event has it; never beyond the video's ends. */
    range(from, to) {
      const start = Math.min(Math.max(from, 0), this.curve.frames - 1);
      const end = Math.min(Math.max(to, start + 1), this.curve.frames);
      return { start, end, startSeconds: this.curve.startOf(start), endSeconds: this.curve.endBefore(end) };
    }

    /** What reviewers call real where nothing is found: drawn by hand, or `below` the threshold looked at. */
    drawn(found) {
      const known = new Set(vad.verdicts.eventsOf(this.data.id).map((event) => event.id));
      return vad
        .missedIn(this.data.id, found)
        .map((mark) => ({ mark, range: this.range(mark.start_frame, mark.end_frame) }))
        .map(({ mark, range }) => {
          const { frame: peakFrame, score: peakScore } = this.curve.highestIn(range.start, range.end);
          const column = Math.max(1, this.data.categories.indexOf(mark.category));
          const category = this.data.categories[column];
          const below = known.has(mark.event_id);
          return { id: mark.event_id, video: this.data.id, ...range, column, category, peakFrame, peakScore, drawn: true, below };
        });
    }
  }

  vad.Found = Found;
})();
