"use strict";
// The first tab: which events are asked for, the wall of them, and marking them one by one or several at once.

(function () {
  const { $ } = vad;
  const STATES = { open: "Open", real: "Real", false_alarm: "False alarm", unsure: "Unsure", "": "All" };

  class WallView {
    constructor(overview, catalogue, queue) {
      Object.assign(this, { overview, catalogue, queue });
      this.wanted = { order: "time", cameras: new Set(), from: "", to: "", category: "", words: "", least: null };
      this.state = "open";
      this.selection = new vad.Selection();
      this.wall = new vad.Wall($("wall"), {
        zone: overview.zone,
        groupOf: (event) => catalogue.groupOf(event),
        selection: this.selection,
      });
      this.tuning = new vad.Tuning(overview, catalogue, (least) => this.want({ least }));
      this.fillTools();
      this.selection.onChange(() => this.showSelection());
      vad.verdicts.onChange(() => this.show());
    }

    fillTools() {
      const chip = (text, pressed, act) => {
        const button = vad.make("button", { type: "button", className: "chip", text, "aria-pressed": String(pressed) });
        button.addEventListener("click", () => act(button));
        return button;
      };
      this.chips = Object.entries(STATES).map(([state, text]) => {
        const button = chip(text, state === this.state, () => this.setState(state));
        button.dataset.state = state;
        return button;
      });
      $("states").append(...this.chips);
      const { cameras, days } = this.catalogue;
      const named = cameras.filter((camera) => camera !== null);
      $("cameras").hidden = named.length < 2;
      $("cameras").append(...named.map((camera) => chip(vad.camera(camera), false, (button) => this.turnCamera(camera, button))));
      for (const id of ["from", "to"]) {
        $(`${id}-field`).hidden = days.length < 2;
        [$(id).min, $(id).max] = [days[0] ?? "", days.at(-1) ?? ""];
        $(id).addEventListener("change", () => this.want({ [id]: $(id).value }));
      }
      const categories = [...new Set(this.catalogue.inTime.map((event) => event.category))].sort();
      $("like").append(...["", ...categories].map((value) => vad.make("option", { value, text: value || "anything" })));
      $("like").addEventListener("change", () => this.want({ category: $("like").value }));
      $("order").addEventListener("change", () => this.setOrder($("order").value));
      $("find").addEventListener("input", vad.eachFrame(() => this.want({ words: $("find").value })));
      const isWide = window.matchMedia("(min-width: 821px)");
      $("filter").open = isWide.matches; // wide, there is room for it and no way to close it
      isWide.addEventListener("change", () => ($("filter").open = isWide.matches));
      $("selection-clear").addEventListener("click", () => this.selection.clear());
      $("selection-all").addEventListener("click", () => this.selectAll());
      $("wall-undo").addEventListener("click", () => this.undo());
      for (const button of document.querySelectorAll("#selection [data-verdict]")) {
        button.addEventListener("click", () => this.mark(button.dataset.verdict));
      }
    }

    turnCamera(camera, button) {
      const { cameras } = this.wanted;
      if (!cameras.delete(camera)) cameras.add(camera);
      button.setAttribute("aria-pressed", String(cameras.has(camera)));
      this.want({});
    }

    setOrder(order) {
      if (order === "worth") this.catalogue.weigh(this.tuning.suggestion?.threshold ?? this.overview.threshold);
      this.want({ order });
    }

    setState(state) {
      this.state = state;
      for (const chip of this.chips) chip.setAttribute("aria-pressed", String(chip.dataset.state === state));
      this.show();
    }

    want(wanted) {
      Object.assign(this.wanted, wanted);
      this.show();
    }

    /** Show what is asked for, with the marks as they are now. */
    show() {
      if ($("events-tab").hidden) return;
      const asked = this.catalogue.asked(this.wanted);
      this.queue.list = asked;
      const states = asked.map((event) => vad.markOf(event)?.verdict || "open");
      const counts = { "": asked.length };
      for (const state of states) counts[state] = (counts[state] || 0) + 1;
      for (const chip of this.chips) {
        const n = counts[chip.dataset.state] || 0;
        chip.textContent = `${STATES[chip.dataset.state]} ${n.toLocaleString("en")}`;
        chip.hidden = chip.dataset.state === "unsure" && !n && this.state !== "unsure";
      }
      const shown = this.state ? asked.filter((_, i) => states[i] === this.state) : asked;
      this.wall.show(shown, this.wanted.order === "time");
      this.showProgress(asked.length - (counts.open || 0), asked.length);
      this.showEmpty(shown.length, asked.length);
      const { threshold, ownThresholds: own, ignored, ignoredHours } = this.overview;
      const note = own ? ` (${vad.count(own, "camera")} with ${own === 1 ? "its" : "their"} own)` : "";
      const hours = ignored ? `; ${vad.count(ignored, "event")} in ignored hours ${ignored === 1 ? "is" : "are"} left out` : "";
      $("counts").title = ignoredHours;
      $("counts").textContent = `${vad.count(this.catalogue.inTime.length, "event")} in ${vad.count(this.catalogue.rows.length, "video")} at threshold ${vad.plain(threshold)}${note}${hours}`;
    }

    showProgress(marked, all) {
      $("reviewed").textContent = `${marked.toLocaleString("en")} of ${all.toLocaleString("en")} reviewed`;
      $("progress").max = Math.max(1, all);
      $("progress").value = marked;
    }

    showEmpty(shown, asked) {
      const empty = $("wall-empty");
      empty.hidden = shown > 0;
      if (!this.catalogue.inTime.length) empty.textContent = "No video reaches the threshold: there are no events. Every video, with its curve, is in the second tab.";
      else if (!asked) empty.textContent = "No event is like that: loosen what you ask for.";
      else empty.textContent = this.state === "open" ? "Nothing left to review here." : `No event here is marked ${STATES[this.state].toLowerCase()}.`;
    }

    selectAll() {
      this.selection.set(this.wall.events, true);
    }

    showSelection() {
      const n = this.selection.ids.size;
      $("selection").hidden = !n;
      $("selection-count").textContent = `${n.toLocaleString("en")} selected`;
    }

    /** Select the event that has the focus, or no longer. */
    turnCurrent() {
      const event = this.wall.events[this.wall.current];
      if (event) this.selection.pick(event, !this.selection.has(event), null);
    }

    /** Mark what is selected, else the event that has the focus, and go to the next one without a mark. */
    mark(verdict) {
      const selected = this.selection.events;
      const current = Math.max(this.wall.current, 0);
      const event = this.wall.events[this.wall.current];
      if (!selected.length && !event) {
        this.wall.focus(0);
        return this.tell(this.wall.events.length ? "Now it is about the event with the frame: mark it, or go on with the arrows." : "");
      }
      const marked = selected.length ? selected : [event];
      this.selection.clear();
      this.queue.mark(marked, { verdict });
      this.tell(`${marked.length === 1 ? "Marked" : `${vad.count(marked.length, "event")} marked`} ${vad.verdicts.word(verdict)}.`, true);
      if (selected.length > 1) return;
      const stays = this.wall.events[current]?.id === marked[0].id;
      const next = stays ? this.wall.events.findIndex((each, i) => i > current && this.queue.isOpen(each)) : current;
      this.wall.focus(next < 0 ? current : Math.min(next, this.wall.events.length - 1));
    }

    undo() {
      const events = this.queue.undo();
      if (!events) return this.tell("There is nothing to undo.");
      this.tell(`Undone: ${vad.count(events.length, "mark")}.`);
      this.wall.focus(this.wall.events.findIndex((event) => event.id === events[0].id));
    }

    tell(text, undo = false) {
      $("wall-told").textContent = text;
      $("wall-undo").hidden = !undo;
      $("toast").hidden = !text;
    }
  }

  vad.WallView = WallView;
})();
