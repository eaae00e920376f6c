"use strict";
// The reviewer's name, marks out as files and in again, and where colleagues disagree.

(function () {
  const { $ } = vad;

  class Exchange {
    /** @param overview what the overview's data file says */
    constructor(overview) {
      this.overview = overview;
      this.listen();
      this.showDisagreements();
      vad.verdicts.onChange(() => this.show());
      this.show();
    }

    listen() {
      for (const field of document.querySelectorAll(".reviewer")) {
        field.addEventListener("change", () => (vad.verdicts.reviewer = field.value.trim()));
      }
      $("export-csv").addEventListener("click", () =>
        vad.save("verdicts.csv", "text/csv", vad.verdictsCsv(vad.verdicts.rows())));
      $("export-json").addEventListener("click", () =>
        vad.save("verdicts.json", "application/json", vad.verdictsJson(vad.verdicts.rows(), this.overview.report)));
      $("import").addEventListener("change", () => this.take());
    }

    async take() {
      const [file] = $("import").files;
      if (!file) return;
      try {
        const taken = vad.verdicts.take(await vad.readVerdicts(file));
        vad.say(`${vad.count(taken, "verdict")} taken in from ${file.name}.`);
      } catch (error) {
        vad.say(error.message);
      }
      $("import").value = "";
    }

    show() {
      const { marks, videos, given, any } = vad.verdicts.counts();
      const own = marks ? `${vad.count(marks, "event")} marked in ${vad.count(videos, "video")}` : "none yet";
      $("review-counts").textContent = given ? `${own} in this browser, ${given} came with the page` : own;
      for (const field of document.querySelectorAll(".reviewer")) {
        if (document.activeElement !== field) field.value = vad.verdicts.reviewer;
      }
      $("export-csv").disabled = $("export-json").disabled = !any;
    }

    showDisagreements() {
      const { disagreements, videos } = this.overview;
      $("disagreements").hidden = !disagreements.length;
      const keys = new Map(videos.map((row) => [row.id, row.key]));
      for (const each of disagreements) {
        const address = `#video=${keys.get(each.video)}&frame=${each.start_frame}`;
        const said = each.said.map((one) => `${one.reviewer || "unnamed"}: ${vad.verdicts.word(one.verdict)}`);
        const name = `${each.video}, frames ${each.start_frame} to ${each.end_frame}`;
        const link = keys.get(each.video) ? vad.make("a", { href: address, text: name }) : name;
        document.querySelector(".disagreements").append(vad.make("li", {}, link, ` ${said.join("; ")}`));
      }
      if (disagreements.length) $("review").open = true;
    }
  }

  vad.Exchange = Exchange;
})();
