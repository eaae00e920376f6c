"use strict";
// Marking on a video's page: the event at the cursor, its ends, events that were missed, and what comes next.

(function () {
  const { $ } = vad;
  const DRAWN_SECONDS = 4; // how long a missed event is when it is drawn

  class Marking {
    /** @param view the video's page */
    constructor(view, queue, catalogue) {
      Object.assign(this, { view, queue, catalogue });
      for (const button of document.querySelectorAll("#mark-bar [data-verdict]")) {
        button.addEventListener("click", () => this.mark(button.dataset.verdict));
      }
      for (const [id, act] of [
        ["undo", () => this.undo()],
        ["draw", () => this.draw()],
        ["all-normal", () => this.turnNormal()],
        ["set-start", () => this.setEdge("start")],
        ["set-end", () => this.setEdge("end")],
      ]) {
        $(id).addEventListener("click", act);
      }
      vad.verdicts.onChange(() => this.show());
    }

    /** The event at the cursor. */
    get event() {
      return this.view.shown?.[this.view.list.current];
    }

    /** Events that stay open at a threshold of the reviewer's own: see vad.verdicts.set. */
    get all() {
      const { threshold, data, events } = this.view;
      return threshold === data.threshold || !events.length ? undefined : events;
    }

    /** Mark events of this video. */
    put(event, fields) {
      this.queue.mark([event], fields, this.all);
    }

    /** Mark the event at the cursor, and go on to the next one without a mark, in whichever video. */
    mark(verdict) {
      if (!this.view.data) return; // the next video is on its way: nobody has seen its event
      const { event } = this;
      if (!event) return this.view.tell(this.view.noEventHere());
      this.put(event, { verdict });
      const next = this.after(event);
      if (next) return this.goTo(next);
      this.view.refind();
      const { all } = this.queue.progress;
      this.view.tell(`Marked ${vad.verdicts.word(verdict)}. All ${vad.count(all, "event")} are marked.`);
    }

    /** The next open event: of the queue, or of this video where the event is not of the queue. */
    after(event) {
      const { shown, list } = this.view;
      if (!this.queue.list.some((each) => each.id === event.id)) {
        const next = shown.slice(list.current + 1).find((each) => !each.near && this.queue.isOpen(each));
        if (next) return next;
      }
      return this.queue.after(event.id);
    }

    goTo(event) {
      const { view } = this;
      const known = this.catalogue.find(event.id);
      if (event.video === view.data.id) return view.enter(event);
      view.leaveFor(known.row.key);
      location.replace(vad.addressOf(known));
    }

    undo() {
      const events = this.queue.undo();
      if (!events) return this.view.tell("There is nothing to undo.");
      const known = this.catalogue.find(events[0].id);
      this.view.refind();
      if (this.view.shown.some((event) => event.id === events[0].id)) this.view.goToPlace(events[0]);
      else if (known) this.goTo(known);
      this.view.tell("Undone.");
    }

    /** Move an end of the event to a frame: by default that of the cursor. It is real, or nobody would measure it. */
    setEdge(which, frame = this.view.player.frame + (which === "end" ? 1 : 0)) {
      const event = this.event || this.view.chosen;
      if (!event) return this.view.tell(this.view.noEventHere());
      const [start, end] = which === "start" ? [frame, event.end] : [event.start, frame];
      if (!(start < end)) return this.view.tell("An event ends after it starts: move the other end first.");
      const verdict = vad.verdicts.mark(event.id)?.verdict || "real";
      this.put(event, { start_frame: start, end_frame: end, verdict, at: this.measured(start, end) });
      this.view.refind(event.id);
      const { curve } = this.view;
      this.view.tell(`${vad.clock(curve.startOf(start), 2)} to ${vad.clock(curve.endBefore(end), 2)}, ${vad.verdicts.word(verdict)}.`);
    }

    /** An end is dragged on the curve: the footage shows it, and once it is let go it is kept. */
    drag(which, seconds, isDone) {
      const { curve, player, chart } = this.view;
      const frame = curve.frameAt(seconds);
      const middle = (curve.startOf(frame) + curve.startOf(frame + 1)) / 2;
      const edge = seconds > middle ? frame + 1 : frame;
      const event = this.dragged || (this.dragged = this.event || this.view.chosen);
      player.pause();
      this.view.setLoop(false);
      player.seek(which === "end" ? edge - 1 : edge);
      chart.setRange({ start: curve.startOf(event.start), end: curve.endBefore(event.end), [which]: curve.startOf(edge) });
      if (!isDone) return;
      this.dragged = null;
      this.view.choose(event);
      this.setEdge(which, edge);
    }

    /** Times and peak of a range, which the wall has no curve to tell: as wall_rows.py measures them. */
    measured(start, end) {
      const { curve } = this.view;
      const { frame: peakFrame, score } = curve.highestIn(start, end);
      const peakScore = Math.round(score * 1e6) / 1e6;
      return { startSeconds: curve.startOf(start), endSeconds: curve.endBefore(end), peakFrame, peakScore };
    }

    /** An event that was missed, around the cursor; its ends are moved as any event's. */
    draw() {
      const { curve, data, player } = this.view;
      const now = curve.startOf(player.frame);
      const start = player.frame;
      const end = Math.min(curve.frames, Math.max(start + 1, curve.frameAt(now + DRAWN_SECONDS)));
      const id = `${data.id}@${start}-${end}`;
      if (this.view.shown.some((event) => event.id === id)) return this.view.tell("This very stretch is an event already.");
      const category = data.categories[curve.leadingAt(start).column];
      this.put({ id, video: data.id, start, end, category }, { verdict: "real", drawn: true, at: this.measured(start, end) });
      this.view.refind(id);
      this.view.tell("Drawn: move its ends on the curve or with i and o, and say what it is in the list.");
    }

    /** Say of the whole video that all that is not marked real is normal, or take that back. */
    turnNormal() {
      const { data, curve } = this.view;
      const id = `${data.id}@${vad.verdicts.normal}`;
      const said = vad.verdicts.mark(id);
      this.put({ id, video: data.id, start: 0, end: curve.frames, category: "" }, { verdict: said ? "" : vad.verdicts.normal });
      this.view.tell(said ? "Taken back." : "All that is not marked real in this video is normal.");
    }

    /** What stands in the bar: which event, how it is marked, how far the queue is. */
    show() {
      const { view, event } = this;
      if (!view.data) return;
      const verdict = event && vad.verdicts.mark(event.id)?.verdict;
      for (const button of document.querySelectorAll("#mark-bar [data-verdict]")) {
        button.setAttribute("aria-pressed", String(button.dataset.verdict === verdict));
        button.disabled = !event;
      }
      const normal = vad.verdicts.mark(`${view.data.id}@${vad.verdicts.normal}`);
      $("all-normal").setAttribute("aria-pressed", String(Boolean(normal)));
      $("set-start").disabled = $("set-end").disabled = !event && !view.chosen;
      $("mark-event").textContent = event ? `${vad.clock(event.startSeconds)} to ${vad.clock(event.endSeconds)}, most like ${event.category}` : "No event at the cursor";
      const { marked, all } = this.queue.progress;
      $("queue-progress").textContent = all ? `${marked.toLocaleString("en")} of ${all.toLocaleString("en")} reviewed` : "";
      const range = event || view.chosen;
      view.chart.setRange(range && !range.near ? { start: range.startSeconds, end: range.endSeconds } : null);
    }
  }

  vad.Marking = Marking;
})();
