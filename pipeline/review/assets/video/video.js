"use strict";
// One video: footage, curve, seek bar and list share one cursor and one threshold.

(function () {
  const SPEEDS = [0.25, 0.5, 1, 1.5, 2, 4, 8];
  const LEAD_SECONDS = 2; // a loop begins that long before its event
  const still = window.matchMedia("(prefers-reduced-motion: reduce)");
  const NO_EVENTS = "There is no event at this threshold: lower it with the slider or ↓.";
  const { $ } = vad;

  class VideoView {
    /** @param overview what the overview's data file says: threshold, categories, colleagues' verdicts */
    constructor(overview, catalogue, queue) {
      this.overview = overview;
      this.player = new vad.Player({
        video: $("video"),
        still: $("still"),
        onFrame: (frame) => this.follow(frame),
        onState: () => this.showState(),
      });
      const seek = (seconds) => this.seek(this.curve.frameAt(seconds));
      const onDrag = (which, seconds, isDone) => this.marking.drag(which, seconds, isDone);
      this.chart = new vad.Chart($("chart"), { onSeek: seek, onDrag });
      this.seekbar = new vad.SeekBar($("seekbar"), seek);
      this.chart.onView = (view) => this.seekbar.setView(view);
      this.list = new vad.EventList($("events"), {
        onOpen: (index) => this.goTo(index),
        onMark: (event, fields) => (this.marking.put(event, fields), event.drawn && this.refind(event.id)),
      });
      this.marking = new vad.Marking(this, queue, catalogue);
      this.keep = new vad.Keep(overview);
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
      click("threshold-keep", () => this.keep.turn($("keep").hidden));
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

    /**
     * Show the video whose data file this is; the promise ends once it stands.
     * @param place an event's start and end, or a frame; null for the frame: its strongest event
     */
    async open(key, place) {
      this.leaveFor(key);
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
      this.keep.turn(false);
      this.player.open(curve, data.media, data.pictures);
      vad.showStrip($("strip"), data, curve, (frame) => this.seek(frame));
      this.setThreshold(this.threshold);
      this.goToPlace(place);
    }

    /** Another video is asked for: until it is there, no key is about an event. */
    leaveFor(key) {
      this.key = key;
      this.data = this.shown = this.chosen = null;
      this.list.setCurrent(-1);
    }

    /** Go to an event, a frame, or, where that is null, the strongest event. */
    goToPlace({ start, end, frame = null, id = `${this.data.id}@${start}-${end}` }) {
      const index = this.shown.findIndex((event) => event.id === id);
      if (index >= 0) return this.enter(this.shown[index]);
      if (start === undefined && frame === null) this.goTo(this.strongest());
      if (start !== undefined || frame !== null || !this.events.length) this.seek(start ?? frame ?? 0);
    }

    /** Go to an event to judge it: it plays again and again. */
    enter(event) {
      const index = this.shown.findIndex((each) => each.id === event.id);
      this.setLoop(false);
      if (index < 0) return; // of another threshold
      this.goTo(index);
      this.looped = index;
      this.lastEvent = event.id;
      if (still.matches) return;
      this.setLoop(true);
      this.player.seek(this.leadOf(event));
      this.player.play();
    }

    /** Where the loop of an event begins. */
    leadOf(event) {
      return this.curve.frameAt(Math.max(0, event.startSeconds - LEAD_SECONDS));
    }

    /** Go to a frame that was asked for by hand: out of a loop, if it lies outside. */
    seek(frame) {
      const event = this.shown?.[this.looped];
      if (this.looping && event && (frame < this.leadOf(event) || frame >= event.end)) this.setLoop(false);
      this.player.seek(frame);
    }

    /** Number of the event with the highest peak, the first of equals; -1 where there is none. */
    strongest() {
      const highest = Math.max(...this.events.map((event) => event.peakScore));
      return this.shown.findIndex((event) => event.peakScore === highest);
    }

    close() {
      this.leaveFor(null);
      this.player.close();
    }

    /** Another threshold: the slider, its number and the events follow. */
    setThreshold(threshold, find = () => this.findEvents()) {
      this.threshold = threshold;
      this.tell("");
      $("threshold").value = threshold;
      $("threshold-number").value = threshold;
      this.keep.show(threshold, this.data.camera);
      find();
    }

    findEvents() {
      const { mergeGap } = this.overview;
      const found = new vad.Found(this.curve, this.data, mergeGap);
      this.events = found.events(this.threshold);
      this.near = $("near").checked ? found.near(this.threshold) : [];
      this.drawn = found.drawn([...this.events, ...this.near]);
      this.shown = [...this.events, ...this.near, ...this.drawn].sort((a, b) => a.start - b.start);
      const near = $("near").checked ? `, ${this.near.length} near` : "";
      const below = this.drawn.filter((event) => event.below).length;
      const drawn = [[this.drawn.length - below, "drawn"], [below, "marked below"]].map(([n, what]) => (n ? `, ${n} ${what}` : "")).join("");
      const none = this.events.length ? "" : `, highest score ${vad.score(this.curve.highest)}`;
      $("event-count").textContent = vad.count(this.events.length, "event") + near + drawn + none;
      this.chosen = null;
      this.list.setEvents(this.shown);
      this.chart.setEvents([...this.events, ...this.drawn], this.near, this.threshold);
      this.seekbar.setEvents([...this.events, ...this.drawn], this.near);
      this.showLegend();
      this.setCurrent(this.player.frame);
    }

    /** Find events anew, as ranges have changed, and stay at one of them. */
    refind(id = this.marking.event?.id) {
      const looped = this.shown[this.looped]?.id;
      this.findEvents();
      this.looped = this.shown.findIndex((event) => event.id === looped);
      if (this.looped < 0) this.setLoop(false);
      const event = this.shown.find((each) => each.id === id);
      if (event) this.choose(event);
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
      if (this.data.ignored.length) items.push(vad.make("li", { text: this.ignoredHours() }));
      $("legend").replaceChildren(...items);
    }

    /** In which stretches events do not count. */
    ignoredHours() {
      const at = (seconds) => vad.wallTime(this.data.clock.zone, this.data.clock.start + seconds);
      const spans = this.data.ignored.map(([start, end]) => `${at(this.curve.startOf(start))} to ${at(this.curve.endBefore(end))}`);
      return `Events in ignored hours are left out: ${spans.join(", ")}`;
    }

    /** The cursor is at a frame now. */
    follow(frame) {
      if (!this.data) return;
      this.tell("");
      const event = this.shown[this.looped];
      if (this.looping && event && this.player.playing && (frame >= event.end || frame < this.leadOf(event))) {
        return this.player.seek(this.leadOf(event));
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
      this.setCurrent(frame);
    }

    /** Which event marks are about at a frame: the looped one; else that at the frame; else the one just ahead. */
    setCurrent(frame) {
      const at = this.eventAt(frame);
      const chosen = this.shown.indexOf(this.chosen);
      const ahead = chosen >= 0 && frame >= this.leadOf(this.chosen) && frame < this.chosen.start;
      this.list.setCurrent(this.looping && this.shown[this.looped] ? this.looped : at >= 0 ? at : ahead ? chosen : -1);
      if (this.list.current >= 0) this.chosen = this.shown[this.list.current];
      this.marking.show();
    }

    /** Marks and ends are about this event from now on. */
    choose(event) {
      this.chosen = this.shown.find((each) => each.id === event.id) ?? null;
      this.list.setCurrent(this.shown.indexOf(this.chosen));
      this.marking.show();
    }

    /** Number of the event that a frame lies in, -1 for none. */
    eventAt(frame) {
      return (this.shown || []).findIndex((event) => event.start <= frame && frame < event.end);
    }

    goTo(index) {
      const event = this.shown[index];
      if (!event) return;
      if (this.looping) this.looped = index;
      this.chosen = event;
      this.player.seek(event.start);
      this.choose(event);
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
      this.player.seek(this.leadOf(this.shown[index]));
      this.player.play();
    }

    setLoop(on) {
      this.looping = on;
      $("loop").setAttribute("aria-pressed", String(on));
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
      if (!this.data) return;
      $("play-word").textContent = this.player.playing ? "Pause" : "Play";
      const { videoWidth, videoHeight } = this.player.video;
      if (videoWidth) $("stage").style.setProperty("--aspect", videoWidth / videoHeight);
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
