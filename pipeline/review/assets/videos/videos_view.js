"use strict";
// The second tab: which videos are asked for, and the table of them.

(function () {
  const { $ } = vad;

  class VideosView {
    constructor(overview, columnOf) {
      this.overview = overview;
      this.table = new vad.Table($("table"), columnOf);
      this.fillTools();
      vad.verdicts.onChange(() => this.show());
    }

    fillTools() {
      const options = (select, entries) =>
        select.append(...entries.map(([value, text]) => vad.make("option", { value, text })));
      const { videos } = this.overview;
      const categories = [...new Set(videos.map((row) => row.category).filter(Boolean))].sort();
      const failed = videos.filter((row) => !row.key).length;
      options($("category"), [["", "all"], ...categories.map((name) => [name, name])]);
      options($("status"), [
        ["", "all"], ["events", "with events"], ["open", "not marked yet"], ["marked", "marked"],
        ...(failed ? [["failed", `failed (${failed})`]] : []),
      ]);
      for (const { name, title, down } of vad.tableColumns) {
        options($("sort"), [[`${name} ${down ? "down" : "up"}`, title]]);
      }
      $("sort").value = "peak down";
      $("sort").addEventListener("change", () => {
        const [name, direction] = $("sort").value.split(" ");
        this.table.sortBy(name, direction === "down");
      });
      $("group-field").hidden = !videos.some((row) => row.day);
      for (const id of ["category", "status", "group"]) $(id).addEventListener("change", () => this.show());
      $("search").addEventListener("input", vad.eachFrame(() => this.show()));
    }

    show() {
      if ($("videos-tab").hidden) return;
      this.countMarks();
      const words = $("search").value.toLowerCase().split(/\s+/).filter(Boolean);
      const category = $("category").value;
      const rows = this.overview.videos.filter(
        (row) =>
          words.every((word) => row.id.toLowerCase().includes(word)) &&
          (!category || row.category === category) &&
          wanted[$("status").value](row),
      );
      this.table.show(rows, $("group").value ? groupOf : null);
      const all = this.overview.videos.length;
      const events = rows.reduce((sum, row) => sum + (row.events || 0), 0);
      const videos = rows.length === all ? vad.count(all, "video") : `${rows.length.toLocaleString("en")} of ${vad.count(all, "video")}`;
      const { threshold, ownThresholds: own } = this.overview;
      const note = own ? ` (${vad.count(own, "camera")} with ${own === 1 ? "its" : "their"} own)` : "";
      $("counts").textContent = `${videos}, ${vad.count(events, "event")} at threshold ${vad.plain(threshold)}${note}`;
    }

    countMarks() {
      for (const row of this.overview.videos) {
        row.marks = row.key ? vad.verdicts.eventsOf(row.id).filter((event) => vad.markOf(event)).length : 0;
      }
    }
  }

  const wanted = {
    "": () => true,
    events: (row) => row.events > 0,
    open: (row) => row.events > row.marks,
    marked: (row) => row.marks > 0,
    failed: (row) => !row.key,
  };

  const groupOf = (row) =>
    row.day ? [row.camera && vad.camera(row.camera), vad.day(row.day)].filter(Boolean).join(", ") : "No time known";

  vad.VideosView = VideosView;
})();
