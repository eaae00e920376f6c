"use strict";
// Events of a curve at any threshold: the same ones that find_events of model/curve.py finds.

(function () {
  const TOLERANCE = 1e-6; // TIME_TOLERANCE_SECONDS there
  const NEAR = 0.1; // below the threshold: a near miss

  /** Runs of cells at or over the threshold, those closer together than the merge gap joined. */
  function runs(curve, threshold, mergeGap) {
    const level = Math.fround(threshold); // scores are float32, and compared as such
    const found = [];
    let run = null;
    const n = curve.scores.length;
    for (let cell = 0; cell < n; cell++) {
      const score = curve.scores[cell];
      if (!(score >= level)) continue;
      const goesOn = run && (isNext(curve, run.last, cell) || !isApart(curve, run.last, cell, mergeGap));
      if (!goesOn) {
        run = { first: cell, last: cell, lowest: cell, highest: cell };
        found.push(run);
        continue;
      }
      run.last = cell;
      if (score < curve.scores[run.lowest]) run.lowest = cell;
      if (score > curve.scores[run.highest]) run.highest = cell;
    }
    return found;
  }

  /** Whether a cell follows another without a gap in the footage. */
  function isNext(curve, before, after) {
    return before === after - 1 && !curve.overBefore.has(curve.cellStart(after));
  }

  function isApart(curve, before, after, mergeGap) {
    const gap = curve.seconds[curve.cellStart(after)] - curve.endBefore(curve.cellStart(before + 1));
    return gap >= mergeGap - TOLERANCE;
  }

  /** Events by time. Which category one has is known by its lowest cell: see event_tree.py. */
  vad.findEvents = (curve, video, threshold, mergeGap) =>
    runs(curve, threshold, mergeGap).map((run) => {
      const start = curve.cellStart(run.first);
      const end = curve.cellStart(run.last + 1);
      return {
        id: `${video}@${start}-${end}`,
        video,
        start,
        end,
        startSeconds: curve.startOf(start),
        endSeconds: curve.endBefore(end),
        column: curve.eventColumn[run.lowest],
        percent: curve.eventPercent[run.lowest],
        peakScore: curve.scores[run.highest],
        peakFrame: curve.cellStart(run.highest),
      };
    });

  /** What would be an event of its own if the threshold were a tenth lower. */
  vad.nearMisses = (curve, video, threshold, mergeGap) =>
    vad
      .findEvents(curve, video, threshold - NEAR, mergeGap)
      .filter((event) => event.peakScore < Math.fround(threshold))
      .map((event) => ({ ...event, near: true }));

  /** Whether two stretches share a frame. */
  vad.overlap = (one, other) => one.start < other.end && other.start < one.end;
})();
