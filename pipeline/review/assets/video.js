"use strict";
// One video: footage, curve, seek bar and list share one cursor and one threshold.

(function () {
  const SPEEDS = [0.25, 0.5, 1, 1.5, 2, 4, 8];
  const NO_EVENTS = "There is no event at this threshold: lower it with the slider or ↓.";
  const { $ } = vad;

  class VideoView {
    /** @param overview what the overview's data file says: threshold, categories, colleagues' verdicts */
    constructor(overview) {
      this.overview = overview;
      this.player = new vad.Player({
        video: $("video"),
        still: $("still"),
        onFrame: (frame) => this.follow(frame),
        onState: () => this.showState(),
      });
      const seek = (seconds) => this.player.seek(this.curve.frameAt(seconds));
      this.chart = new vad.Chart($("chart"), seek);
      this.seekbar = new vad.SeekBar($("seekbar"), seek);
      this.chart.onView = (view) => this.seekbar.setView(view);
      this.list = new vad.EventList($("events"), { onOpen: (index) => this.goTo(index) });
      this.looping = false;
      this.listen();
    }

    listen() {
      const click = (id, act) => $(id).addEventListener("click", act);
      click("play", () => this.player.toggle());
      click("previous-event", () => this.step(-1));
      click("next-event", () => this.step(1));
      click("loop", () => this.loop());
      click("zoom-in", () => this.chart.zoom(2));
      click("zoom-out", () => this.chart.zoom(0.5));
      click("zoom-fit", () => this.chart.fit());
      click("threshold-reset", () => this.setThreshold(this.data.threshold));
      click("threshold-keep", () => this.showKeep($("keep").hidden));
      $("keep-command").addEventListener("focus", () => $("keep-command").select());
      const find = vad.eachFrame(() => this.findEvents());
      $("threshold").addEventListener("input", () => this.setThreshold($("threshold").valueAsNumber, find));
      $("threshold-number").addEventListener("change", () => {
        const typed = $("threshold-number").valueAsNumber;
        this.setThreshold(typed >= 0 && typed <= 1 ? typed : this.threshold);
      });
      $("near").addEventListener("change", () => this.findEvents());
      $("speed").append(...SPEEDS.map((speed) => vad.make("option", { text: `${speed}×`, value: speed })));
      $("speed").value = 1;
      $("speed").addEventListener("change", () => this.player.setRate(Number($("speed").value)));
      $("video").addEventListener("click", () => this.player.toggle());
    }

    /** Show the video whose data file this is, at a frame or at its strongest event; the promise ends once it stands. */
    async open(key, frame = null) {
      this.key = key;
      const data = await vad.load(key);
      const curve = await vad.openCurve(data.curve);
      if (this.key !== key) return; // another one was asked for meanwhile
      Object.assign(this, { data, curve, threshold: data.threshold });
      document.title = `${data.id}: review`;
      $("video-name").textContent = data.id;
      $("source").textContent = data.source;
      $("clock-cell").hidden = !data.clock;
      this.pictures = data.pictures;
      this.list.open({
        categories: data.categories,
        pictures: data.pictures,
        clock: data.clock,
        others: this.overview.verdicts.filter((each) => each.video === data.id),
      });
      this.chart.open(curve, data.truth);
      this.seekbar.open(curve, data.truth);
      this.setLoop(false);
      this.showKeep(false);
      this.player.open(curve, data.media, data.pictures);
      this.showStrip();
      this.setThreshold(this.threshold);
      if (frame === null) this.goTo(this.strongest());
      if (frame !== null || !this.events.length) this.player.seek(frame ?? 0);
    }

    /** Number of the event with the highest peak, the first of equals; -1 where there is none. */
    strongest() {
      const highest = Math.max(...this.events.map((event) => event.peakScore));
      return this.shown.findIndex((event) => event.peakScore === highest);
    }

    close() {
      this.key = null;
      this.player.close();
    }

    showStrip() {
      const frames = this.data.strip.filter((frame) => frame in this.pictures);
      $("strip").hidden = !frames.length;
      $("strip").replaceChildren(
        ...frames.map((frame) => {
          const label = `Go to ${vad.clock(this.curve.startOf(frame))}`;
          const button = vad.make("button", { type: "button", "aria-label": label, title: label, tabindex: -1 });
          button.append(vad.make("img", { src: this.pictures[frame], alt: "" }));
          button.addEventListener("click", () => this.player.seek(frame));
          return button;
        }),
      );
    }

    /** Another threshold: the slider, its number and the events follow. */
    setThreshold(threshold, find = () => this.findEvents()) {
      this.threshold = threshold;
      this.tell("");
      $("threshold").value = threshold;
      $("threshold-number").value = threshold;
      if (!$("keep").hidden) this.showKeep(true);
      find();
    }

    /** The command that makes this threshold the results' own, to be copied: a page on disk can write nothing. */
    showKeep(shown) {
      $("keep").hidden = !shown;
      $("threshold-keep").setAttribute("aria-expanded", String(shown));
      if (!shown) return;
      const { keep, show } = this.overview;
      const { camera } = this.data;
      const one = camera === null ? [] : [`# or for ${camera} alone`, `${keep} ${vad.quote(`${camera}=${this.threshold}`)}`];
      $("keep-command").value = [`${keep} ${this.threshold}`, ...one, "# then the page again", show].join("\n");
    }

    findEvents() {
      const { mergeGap } = this.overview;
      const name = (event) => ({ ...event, category: this.data.categories[event.column] });
      this.events = vad.findEvents(this.curve, this.data.id, this.threshold, mergeGap).map(name);
      this.near = $("near").checked
        ? vad.nearMisses(this.curve, this.data.id, this.threshold, mergeGap).map(name)
        : [];
      this.shown = [...this.events, ...this.near].sort((a, b) => a.start - b.start);
      const near = $("near").checked ? `, ${this.near.length} near` : "";
      const none = this.events.length ? "" : `, highest score ${vad.score(this.curve.highest)}`;
      $("event-count").textContent = vad.count(this.events.length, "event") + near + none;
      this.list.setEvents(this.shown);
      this.chart.setEvents(this.events, this.near, this.threshold);
      this.seekbar.setEvents(this.events, this.near);
      this.showLegend();
      this.list.setCurrent(this.eventAt(this.player.frame));
    }

    showLegend() {
      const columns = [...new Set(this.shown.map((event) => event.column))].sort((a, b) => a - b);
      const items = columns.map((column) => vad.make("li", {}, vad.swatch(column), ` ${this.data.categories[column]}`));
      if (this.data.truth?.length) {
        items.push(vad.make("li", {}, vad.make("span", { className: "swatch truth" }), " Ground truth"));
      }
      const { gaps } = this.curve;
      if (gaps.length) {
        const seconds = gaps.reduce((sum, gap) => sum + gap.end - gap.start, 0);
        const text = ` No footage: ${vad.count(gaps.length, "gap")}, ${vad.clock(seconds)}`;
        items.push(vad.make("li", {}, vad.make("span", { className: "swatch gap" }), text));
      }
      $("legend").replaceChildren(...items);
    }

    /** The cursor is at a frame now. */
    follow(frame) {
      this.tell("");
      const event = this.shown?.[this.looped];
      if (this.looping && event && this.player.playing && (frame >= event.end || frame < event.start)) {
        return this.player.seek(event.start);
      }
      const seconds = this.curve.startOf(frame);
      this.chart.setCursor(seconds);
      this.seekbar.setCursor(seconds);
      const { column, percent } = this.curve.leadingAt(frame);
      $("at-time").textContent = vad.clock(seconds, 2);
      const { clock } = this.data;
      if (clock) {
        const camera = clock.camera ? `${vad.camera(clock.camera)}, ` : "";
        $("at-clock").textContent = camera + vad.wallClock(clock, seconds);
      }
      $("at-frame").textContent = `${frame.toLocaleString("en")} of ${this.curve.frames.toLocaleString("en")}`;
      $("at-score").textContent = vad.score(this.curve.scoreAt(frame));
      $("at-category").textContent = `${this.data.categories[column]} ${percent}%`;
      this.list.setCurrent(this.eventAt(frame));
    }

    /** Number of the event that a frame lies in, -1 for none. */
    eventAt(frame) {
      return (this.shown || []).findIndex((event) => event.start <= frame && frame < event.end);
    }

    goTo(index) {
      const event = this.shown[index];
      if (!event) return;
      if (this.looping) this.looped = index;
      this.player.seek(event.start);
      this.list.setCurrent(index);
    }

    /** To the next event, or the one before. */
    step(by) {
      const { frame } = this.player;
      const later = this.shown.findIndex((event) => event.start > frame);
      const earlier = this.shown.findLastIndex((event) => event.start < frame);
      const index = by > 0 ? later : earlier;
      if (index < 0) return this.tell(this.shown.length ? `There is no event ${by > 0 ? "after" : "before"} this one.` : NO_EVENTS);
      this.goTo(index);
    }

    /** Why a key that is about an event can do nothing at this frame. */
    noEventHere() {
      return this.shown.length ? "The cursor is in no event: go to one with n or p, then mark it." : NO_EVENTS;
    }

    /** Write a note on the event at the cursor. */
    writeNote() {
      if (this.list.current < 0) return this.tell(this.noEventHere());
      this.list.writeNote(this.list.current);
    }

    /** Say why a key or button did nothing; gone with the next that does something. */
    tell(text) {
      $("told").textContent = text;
    }

    /** Repeat the event at the cursor, or the next one. */
    loop() {
      if (this.looping) return this.setLoop(false);
      const { frame } = this.player;
      let index = this.eventAt(frame);
      if (index < 0) index = this.shown.findIndex((event) => event.start > frame);
      if (index < 0) return this.tell(this.shown.length ? "There is no event from here on to loop." : NO_EVENTS);
      this.looped = index;
      this.setLoop(true);
      this.player.seek(this.shown[index].start);
      this.player.play();
    }

    setLoop(on) {
      this.looping = on;
      $("loop").setAttribute("aria-pressed", String(on));
    }

    /** Mark the event at the cursor; the same verdict again takes it back. */
    mark(verdict) {
      const event = this.shown[this.list.current];
      if (!event) return this.tell(this.noEventHere());
      const same = vad.verdicts.get(event.id)?.verdict === verdict;
      this.list.mark(event, { verdict: same ? "" : verdict });
    }

    changeSpeed(by) {
      const now = SPEEDS.indexOf(this.player.rate) + by;
      const speed = SPEEDS[Math.min(Math.max(now, 0), SPEEDS.length - 1)];
      $("speed").value = speed;
      this.player.setRate(speed);
    }

    changeThreshold(by) {
      this.setThreshold(Math.min(Math.max(Math.round((this.threshold + by) * 1000) / 1000, 0), 1));
    }

    showState() {
      $("play").textContent = this.player.playing ? "Pause" : "Play";
      const note = $("stage-note");
      note.hidden = this.player.usesVideo && !this.player.isAnother;
      $("stage").hidden = false;
      if (note.hidden) return;
      if (this.player.usesVideo) {
        note.textContent = "This file is not as long as its curve: it may have changed since it was scored.";
        return;
      }
      const some = Object.keys(this.data.pictures).length > 0;
      const sentences = this.data.problems.map((problem) => `${problem[0].toUpperCase()}${problem.slice(1)}.`);
      note.textContent = [this.whyStill(), ...sentences].join(" ");
      $("stage").hidden = !some;
    }

    /** Why pictures stand in for the footage. */
    whyStill() {
      const nearest = "The picture nearest to the cursor is shown.";
      if (this.data.media) return `This browser cannot play the file, or it is not there. ${nearest}`;
      if (this.data.playable || !Object.keys(this.data.pictures).length) return "There is no footage to play.";
      return `Browsers do not play this file; previews come with "vad-pipeline report --proxy auto". ${nearest}`;
    }
  }

  vad.VideoView = VideoView;
})();
