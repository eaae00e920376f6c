"use strict";
// The threshold that marks suggest: the same as suggested_threshold of results/prices.py, which `events --explain` tells.

(function () {
  const STEPS = 1000; // of a suggested threshold, where so many tell it apart from the marked events' scores
  const atLeast = (peaks, level) => peaks.filter((peak) => peak >= level).length;

  /** The highest scores of what is marked real, and of false alarms; a range that no curve here tells of is left out. */
  vad.markedPeaks = (catalogue) => {
    const peaks = { real: [], false_alarm: [] };
    for (const { id } of catalogue.rows) {
      for (const mark of vad.verdicts.standing(id)) {
        const found = catalogue.byId.get(`${id}@${mark.start_frame}-${mark.end_frame}`);
        const peak = found?.peakScore ?? mark.at?.peakScore;
        if (peak !== undefined) peaks[mark.verdict]?.push(peak);
      }
    }
    return peaks;
  };

  /**
   * The threshold with the fewest marked events on the wrong side of it; of several, one that loses the fewest real.
   * @param fewest marks of either kind that it takes
   * @returns null where there are too few, or the best is to keep all of them
   */
  vad.suggestedThreshold = (real, wrong, fewest) => {
    if (Math.min(real.length, wrong.length) < fewest) return null;
    const scores = [...new Set([...real, ...wrong])].sort((a, b) => a - b);
    let best = null;
    for (let i = 1; i < scores.length; i++) {
      const lost = real.length - atLeast(real, scores[i]);
      const left = atLeast(wrong, scores[i]);
      const isBetter = !best || lost + left < best.lost + best.left || (lost + left === best.lost + best.left && lost < best.lost);
      if (isBetter) best = { below: scores[i - 1], above: scores[i], lost, left };
    }
    if (!best || best.lost + best.left >= wrong.length) return null;
    const { below, above, lost, left } = best;
    const middle = (below + above) / 2;
    const rounded = Math.floor(middle * STEPS + 0.5) / STEPS;
    return { threshold: below < rounded && rounded <= above ? rounded : middle, lost, left, real: real.length, wrong: wrong.length };
  };
})();
