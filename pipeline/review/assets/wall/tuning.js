"use strict";
// One threshold for all: what it would cost each camera, what the marks suggest, and the command that sets it.

(function () {
  const STEPS = 100; // thresholds for which alarms are counted
  const [HOUR, DAY] = [3600, 86400]; // seconds
  const { $ } = vad;

  /** How many alarms a day so many are, in words; of less than an hour nobody can say. */
  vad.alarmsADay = (count, seconds) => {
    if (seconds < HOUR) return "less than an hour seen";
    const rate = (count * DAY) / seconds;
    const number = rate >= 10 ? Math.round(rate).toLocaleString("en") : String(Number(rate.toPrecision(2)));
    return `${number} ${number === "1" ? "alarm" : "alarms"} a day`;
  };

  class Tuning {
    /** @param onChange told the threshold below which events are hidden, null for that of the results */
    constructor(overview, catalogue, onChange) {
      Object.assign(this, { overview, catalogue, onChange, threshold: null });
      const { cameras } = overview;
      $("tuning-for").append(
        vad.make("option", { value: "", text: "all cameras" }),
        ...cameras.filter(({ name }) => name !== null).map(({ name }, i) => vad.make("option", { value: i + 1, text: vad.camera(name) })),
      );
      this.named = cameras.filter(({ name }) => name !== null);
      const set = vad.eachFrame(() => this.set(Number($("tuning-threshold").value)));
      $("tuning-threshold").addEventListener("input", set);
      $("tuning-for").addEventListener("change", () => this.show());
      $("tuning-reset").addEventListener("click", () => this.set(null));
      $("tuning-use").addEventListener("click", () => this.set(this.suggestion.threshold));
      $("tuning-copy").addEventListener("click", () => this.copy());
      $("tuning").addEventListener("toggle", () => this.show());
      window.addEventListener("resize", vad.eachFrame(() => this.show()));
      vad.verdicts.onChange(() => this.show());
      this.show();
    }

    set(threshold) {
      this.threshold = threshold;
      this.show();
      this.onChange(threshold);
    }

    get camera() {
      return this.named[$("tuning-for").value - 1]?.name ?? null;
    }

    show() {
      const threshold = this.threshold ?? this.overview.threshold;
      $("tuning-words").textContent = this.threshold === null ? vad.plain(threshold) : `${vad.plain(threshold)}, not kept yet`;
      if (!$("tuning").open) return;
      $("tuning-threshold").value = threshold;
      $("tuning-number").textContent = vad.plain(threshold);
      this.showCosts(threshold);
      this.showSuggestion();
      $("tuning-below").hidden = !(threshold < this.overview.threshold);
      const { keep, show } = this.overview;
      const value = this.camera === null ? vad.plain(threshold) : vad.quote(`${this.camera}=${vad.plain(threshold)}`);
      vad.fillIn($("tuning-command"), `${keep} ${value}\n${show}`);
    }

    showSuggestion() {
      const { fewestMarks: fewest } = this.overview;
      const { real, false_alarm: wrong } = vad.markedPeaks(this.catalogue);
      this.suggestion = vad.suggestedThreshold(real, wrong, fewest);
      $("tuning-use").hidden = !this.suggestion;
      const none = `marks suggest no threshold: those that are real score no higher than false alarms.`;
      const few = `After ${fewest} events marked real and ${fewest} false alarms, a threshold is suggested here.`;
      const isFew = Math.min(real.length, wrong.length) < fewest;
      $("tuning-suggestion").textContent = this.suggestion ? words(this.suggestion) : isFew ? few : `Your ${none}`;
    }

    /** What this threshold would give of each camera. */
    showCosts(threshold) {
      const rows = this.overview.cameras.map(({ name, seconds, threshold: now, counts }) => {
        const value = this.threshold === null || (this.camera !== null && this.camera !== name) ? now : threshold;
        const count = counts[Math.round(value * STEPS)];
        const cells = [
          name === null ? "no camera" : vad.camera(name),
          `at ${vad.plain(Math.round(value * STEPS) / STEPS)}: ${vad.count(count, "alarm")} in ${vad.length(seconds)}`,
          vad.alarmsADay(count, seconds),
        ];
        return vad.make("li", {}, ...cells.map((text) => vad.make("span", { text })));
      });
      $("tuning-costs").replaceChildren(...rows);
    }

    /** Copy the command; where the browser does not allow it, it stands selected. */
    async copy() {
      $("tuning-command").select();
      try {
        await navigator.clipboard.writeText($("tuning-command").value);
        $("tuning-copy").textContent = "Copied";
      } catch {
        $("tuning-copy").textContent = document.execCommand("copy") ? "Copied" : "Selected: copy it";
      }
      setTimeout(() => ($("tuning-copy").textContent = "Copy the command"), 2000);
    }
  }

  const words = ({ threshold, lost, left, real, wrong }) =>
    `Your marks suggest ${vad.plain(threshold)}: it keeps ${real - lost} of ${real} real events and drops ${wrong - left} of ${vad.count(wrong, "false alarm")}.`;

  vad.Tuning = Tuning;
})();
