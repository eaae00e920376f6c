"use strict";
// All events of the results: what each is, in which order they are shown, and which of them are asked for.

(function () {
  const byText = new Intl.Collator("en", { numeric: true }).compare;

  /** Days newest first, cameras by name, then as time goes; what has no day comes last. */
  function inTime(one, other) {
    return (
      (one.day === null) - (other.day === null) ||
      (one.day < other.day ? 1 : one.day > other.day ? -1 : 0) ||
      byText(one.camera ?? "", other.camera ?? "") ||
      (one.start ?? 0) - (other.start ?? 0) ||
      byText(one.id, other.id)
    );
  }

  class Catalogue {
    /** @param overview what the overview's data file says */
    constructor({ videos, categories, zone }) {
      this.rows = videos.filter((row) => row.key).sort(inTime);
      this.categories = categories;
      this.zone = zone;
      this.byVideo = new Map(this.rows.map((row) => [row.id, this.eventsOf(row)]));
      this.inTime = [...this.byVideo.values()].flat();
      this.strongest = [...this.inTime].sort((a, b) => b.peakScore - a.peakScore);
      this.byId = new Map(this.inTime.map((event) => [event.id, event]));
      this.days = [...new Set(this.rows.map((row) => row.day).filter(Boolean))].sort();
      this.cameras = [...new Set(this.rows.map((row) => row.camera))].sort((a, b) => byText(a ?? "", b ?? ""));
    }

    /** The events of a video: what findEvents of events.js gives, and what their cards need. */
    eventsOf(row) {
      const drawn = new Set(row.drawn);
      return row.list.map(([start, end, peakFrame, startSeconds, endSeconds, column, percent, peakScore], i) => ({
        id: `${row.id}@${start}-${end}`,
        video: row.id,
        row,
        start,
        end,
        peakFrame,
        startSeconds,
        endSeconds,
        column,
        category: this.categories[column],
        percent,
        peakScore,
        pictures: drawn.has(i) ? `${row.key}/${start}-${end}-${peakFrame}-${row.state}` : null,
      }));
    }

    /**
     * What reviewers drew where no event was found, as the marks are now, by video.
     * Times and peak are known where the mark came with the page, or was made in this browser.
     */
    missed() {
      if (this.version === vad.verdicts.version) return this.drawn;
      this.version = vad.verdicts.version;
      this.drawn = new Map();
      for (const row of this.rows) {
        const marks = vad.missedIn(row.id, this.of(row.id)).filter((mark) => mark.at);
        if (marks.length) this.drawn.set(row, marks.map((mark) => this.drawnEvent(row, mark)));
      }
      return this.drawn;
    }

    drawnEvent(row, mark) {
      const { start_frame: start, end_frame: end, at } = mark;
      const column = Math.max(1, this.categories.indexOf(mark.category));
      const pictures = row.missed.includes(`${start}-${end}`) ? `${row.key}/${start}-${end}-${at.peakFrame}-${row.state}` : null;
      return { id: mark.event_id, video: row.id, row, start, end, ...at, column, category: this.categories[column], drawn: true, pictures };
    }

    /** Put the events into the order in which they are worth marking now; `inOrder("worth")` keeps to it. */
    weigh(level) {
      this.worth = vad.worthFirst(this.inTime, level);
    }

    /** All events in an order, those that reviewers drew among them. */
    inOrder(order) {
      const missed = this.missed();
      if (order === "worth") return [...this.worth, ...[...missed.values()].flat()];
      const known = order === "score" ? this.strongest : this.inTime;
      if (!missed.size) return known;
      if (order === "score") return [...known, ...[...missed.values()].flat()].sort((a, b) => b.peakScore - a.peakScore);
      const byStart = (a, b) => a.start - b.start;
      return this.rows.flatMap((row) => (missed.has(row) ? [...this.of(row.id), ...missed.get(row)].sort(byStart) : this.of(row.id)));
    }

    /** The event with this id, found or drawn. */
    find(id) {
      return this.byId.get(id) || [...this.missed().values()].flat().find((event) => event.id === id);
    }

    /** The events of one video, by time. */
    of(video) {
      return this.byVideo.get(video) || [];
    }

    /**
     * The events that are asked for, in their order.
     * @param order "time", "score" or "worth"
     * @param cameras the chosen ones; all where none is
     * @param from first day, @param to last day; empty where it does not matter
     * @param words parts of the video's id, all of which it has
     * @param least events that peak lower are left out
     */
    asked({ order, cameras, from, to, category, words, least }) {
      const parts = words.toLowerCase().split(/\s+/).filter(Boolean);
      const rows = new Set(
        this.rows.filter(
          (row) =>
            (!cameras.size || cameras.has(row.camera)) &&
            (!from || (row.day && row.day >= from)) &&
            (!to || (row.day && row.day <= to)) &&
            parts.every((part) => row.id.toLowerCase().includes(part)),
        ),
      );
      const level = least === null ? 0 : Math.fround(least);
      const isHigh = (event) => event.drawn || event.peakScore >= level - 1e-6; // what was missed is real whatever its score
      return this.inOrder(order).filter((event) => rows.has(event.row) && (!category || event.category === category) && isHigh(event));
    }

    /** The heading that an event stands below. */
    groupOf({ row }) {
      const camera = row.camera === null ? null : vad.camera(row.camera);
      return [camera, row.day && vad.day(row.day, "medium")].filter(Boolean).join(" · ") || "No camera or day known";
    }
  }

  vad.Catalogue = Catalogue;

  /** The address of an event on its video's page; its id has the frames it was found with, whatever its ends are now. */
  vad.addressOf = (event) => `#video=${event.row.key}&event=${event.id.slice(event.video.length + 1)}`;
})();
