"use strict";
// The command that makes a video's threshold the results' own, to be copied: a page on disk can write nothing.

(function () {
  const { $ } = vad;

  class Keep {
    /** @param overview what the overview's data file says */
    constructor(overview) {
      this.overview = overview;
      $("keep-command").addEventListener("focus", () => $("keep-command").select());
      window.addEventListener("resize", vad.eachFrame(() => vad.fillIn($("keep-command"), this.text ?? "")));
    }

    /** What the command is for. */
    show(threshold, camera) {
      const { keep, show } = this.overview;
      const one = camera === null ? [] : [`# or for ${camera} alone`, `${keep} ${vad.quote(`${camera}=${threshold}`)}`];
      this.text = [`${keep} ${threshold}`, ...one, "# then the page again", show].join("\n");
      vad.fillIn($("keep-command"), this.text);
    }

    turn(shown) {
      $("keep").hidden = !shown;
      vad.fillIn($("keep-command"), this.text ?? "");
      $("threshold-keep").setAttribute("aria-expanded", String(shown));
    }
  }

  vad.Keep = Keep;
})();
