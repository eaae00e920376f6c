"use strict";
// The curve, drawn by uPlot: events as bands, the threshold as a line, the truth as a strip, one cursor for all.
// Dragging seeks; the wheel and two fingers zoom, down to single frames.

(function () {
  const HEIGHT = 190; // px
  const FEWEST_FRAMES = 8; // that the view can show
  const ZOOM = 1.25; // a step of the wheel
  const TRUTH_PX = 8;
  const BAND_ALPHA = 0.16;
  const GRIP_PX = 7; // how near to an event's end a pointer takes hold of it

  const style = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

  class Chart {
    /**
     * @param onSeek told a time, in seconds, that was clicked or dragged to
     * @param onDrag told which end of the event is dragged, to what time, and whether it was let go
     */
    constructor(container, { onSeek, onDrag }) {
      Object.assign(this, { container, onSeek, onDrag, range: null, held: null });
      this.draw = vad.eachFrame(() => this.plot?.redraw(false, false));
      new ResizeObserver(() => this.resize()).observe(container);
      window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.curve && this.build());
    }

    /** Show another video's curve. */
    open(curve, truth) {
      this.curve = curve;
      this.truth = truth || [];
      this.events = this.near = [];
      this.range = null;
      this.cursor = 0;
      this.view = [0, curve.end];
      this.build();
    }

    build() {
      this.plot?.destroy();
      const axis = { stroke: style("--quiet"), grid: { stroke: style("--line"), width: 1 }, ticks: { show: false }, font: `12px ${style("--font")}` };
      this.plot = new uPlot(
        {
          width: Math.max(100, this.container.clientWidth),
          height: HEIGHT,
          padding: [8, 0, 0, 0],
          legend: { show: false },
          cursor: { show: false },
          scales: { x: { time: false, range: () => this.view }, y: { range: [0, 1] } },
          axes: [
            { ...axis, size: 28, space: 90, values: (_, ticks) => this.labels(ticks) },
            { ...axis, size: 36, splits: () => [0, 0.5, 1], values: (_, ticks) => ticks.map(String) },
          ],
          series: [{}, { stroke: style("--curve"), width: 1.5, points: { show: false } }],
          hooks: { drawAxes: [() => this.drawBelow()], draw: [() => this.drawAbove()] },
        },
        this.data(),
        this.container,
      );
      this.listen(this.plot.over);
    }

    labels(ticks) {
      const step = ticks.length > 1 ? ticks[1] - ticks[0] : 1;
      const digits = step >= 1 ? 0 : Math.min(3, Math.ceil(-Math.log10(step)));
      return ticks.map((seconds) => vad.clock(seconds, digits));
    }

    data() {
      return this.curve.points(...this.view, Math.max(100, this.container.clientWidth));
    }

    resize() {
      if (!this.plot || !this.container.clientWidth) return;
      this.plot.setSize({ width: this.container.clientWidth, height: HEIGHT });
      this.plot.setData(this.data());
    }

    /** Show these events at this threshold. */
    setEvents(events, near, threshold) {
      Object.assign(this, { events, near, threshold });
      this.draw();
    }

    /** The event whose ends can be dragged, in seconds from `start` to `end`; null for none. */
    setRange(range) {
      this.range = range;
      this.draw();
    }

    /** Which end of that event lies at a place in px: "start", "end" or null. */
    endAt(x) {
      if (!this.range) return null;
      const near = (seconds) => Math.abs(this.plot.valToPos(seconds, "x") - x);
      const [start, end] = [near(this.range.start), near(this.range.end)];
      if (Math.min(start, end) > GRIP_PX) return null;
      return start < end ? "start" : "end";
    }

    /** Move the cursor; where it leaves the view, the view follows. */
    setCursor(seconds) {
      this.cursor = seconds;
      const [from, to] = this.view;
      if (seconds < from || seconds > to) this.look(seconds - (to - from) / 10, to - from);
      else this.draw();
    }

    /** Show `width` seconds from `from` on, as far as the video goes. */
    look(from, width) {
      const size = this.possible(width);
      const start = Math.min(Math.max(0, from), this.curve.end - size);
      this.view = [start, start + size];
      this.plot.setData(this.data());
      this.onView?.(this.view);
    }

    /** How many seconds can be shown at once, next to `width`. */
    possible(width) {
      const least = Math.min(FEWEST_FRAMES * this.curve.frameSeconds, this.curve.end);
      return Math.min(Math.max(width, least), this.curve.end);
    }

    /** Zoom by a factor around a time, which stays where it is. */
    zoom(factor, around = this.cursor) {
      const [from, to] = this.view;
      const centre = Math.min(Math.max(around, from), to);
      const width = this.possible((to - from) / factor);
      this.look(centre - ((centre - from) * width) / (to - from), width);
    }

    fit() {
      this.look(0, this.curve.end);
    }

    listen(over) {
      const secondsAt = (event) => {
        const left = event.clientX - over.getBoundingClientRect().left;
        return Math.min(Math.max(this.plot.posToVal(left, "x"), 0), this.curve.end);
      };
      const touching = new Map();
      over.addEventListener("pointerdown", (event) => {
        if (event.button) return;
        over.setPointerCapture(event.pointerId);
        const end = this.endAt(event.clientX - over.getBoundingClientRect().left);
        if (end && !touching.size) {
          this.held = end;
          return;
        }
        touching.set(event.pointerId, event.clientX);
        if (touching.size === 1) this.onSeek(secondsAt(event));
      });
      over.addEventListener("pointermove", (event) => {
        if (this.held) return this.onDrag(this.held, secondsAt(event), false);
        over.style.cursor = this.endAt(event.clientX - over.getBoundingClientRect().left) ? "ew-resize" : "";
        if (!touching.has(event.pointerId)) return;
        const before = spread(touching);
        touching.set(event.pointerId, event.clientX);
        if (touching.size === 1) this.onSeek(secondsAt(event));
        else if (before) this.zoom(spread(touching) / before, secondsAt(event));
      });
      for (const kind of ["pointerup", "pointercancel"]) {
        over.addEventListener(kind, (event) => {
          touching.delete(event.pointerId);
          const { held } = this;
          this.held = null;
          if (held) this.onDrag(held, secondsAt(event), true);
        });
      }
      over.addEventListener(
        "wheel",
        (event) => {
          event.preventDefault();
          const [from, to] = this.view;
          if (event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY)) {
            this.look(from + ((to - from) * (event.deltaX || event.deltaY)) / 1000, to - from);
          } else this.zoom(event.deltaY < 0 ? ZOOM : 1 / ZOOM, secondsAt(event));
        },
        { passive: false },
      );
    }

    /** Bands behind the curve. */
    drawBelow() {
      const { ctx, bbox } = this.plot;
      this.clipped(() => {
        let drawn = null;
        for (const event of [...this.near, ...this.events]) {
          const [left, width] = this.span(event.startSeconds, event.endSeconds);
          const again = drawn?.column === event.column && drawn.near === event.near && left + width <= drawn.right;
          if (again || left + width < bbox.left || left > bbox.left + bbox.width) continue; // a day has thousands
          drawn = { column: event.column, near: event.near, right: left + width };
          if (event.near) {
            ctx.strokeStyle = vad.colour(event.column);
            ctx.setLineDash([4, 3]);
            ctx.strokeRect(left, bbox.top + 1, width, bbox.height - 2);
            ctx.setLineDash([]);
            continue;
          }
          ctx.globalAlpha = BAND_ALPHA;
          ctx.fillStyle = vad.fill(ctx, event.column);
          ctx.fillRect(left, bbox.top, width, bbox.height);
          ctx.globalAlpha = 1;
        }
        ctx.fillStyle = style("--line");
        for (const gap of this.curve.gaps) {
          const [left, width] = this.span(gap.start, gap.end);
          ctx.fillRect(left, bbox.top, width, bbox.height);
        }
        ctx.fillStyle = style("--truth");
        for (const [start, end] of this.truth) {
          const [left, width] = this.span(this.curve.startOf(start), this.curve.endBefore(end));
          const height = TRUTH_PX * devicePixelRatio;
          ctx.fillRect(left, bbox.top + bbox.height - height, width, height);
        }
      });
    }

    /** Threshold and cursor over it. */
    drawAbove() {
      const { ctx, bbox } = this.plot;
      this.clipped(() => {
        const y = this.plot.valToPos(this.threshold ?? 2, "y", true);
        ctx.strokeStyle = style("--ink");
        ctx.lineWidth = devicePixelRatio;
        ctx.setLineDash([6, 4]);
        ctx.beginPath();
        ctx.moveTo(bbox.left, y);
        ctx.lineTo(bbox.left + bbox.width, y);
        ctx.stroke();
        ctx.setLineDash([]);
        this.drawEnds(ctx, bbox);
        const x = this.plot.valToPos(this.cursor, "x", true);
        ctx.fillStyle = style("--cursor");
        ctx.fillRect(x - devicePixelRatio, bbox.top, 2 * devicePixelRatio, bbox.height);
      });
    }

    /** The ends of the event that can be dragged: a line with a grip each. */
    drawEnds(ctx, bbox) {
      if (!this.range) return;
      const scale = devicePixelRatio;
      ctx.fillStyle = style("--ink");
      for (const seconds of [this.range.start, this.range.end]) {
        const x = this.plot.valToPos(seconds, "x", true);
        ctx.fillRect(x - scale / 2, bbox.top, scale, bbox.height);
        ctx.beginPath();
        ctx.roundRect(x - 4 * scale, bbox.top + bbox.height / 2 - 12 * scale, 8 * scale, 24 * scale, 3 * scale);
        ctx.fill();
      }
    }

    /** Left edge and width of a stretch, px; never too narrow to be seen. */
    span(from, to) {
      const left = this.plot.valToPos(from, "x", true);
      return [left, Math.max(2 * devicePixelRatio, this.plot.valToPos(to, "x", true) - left)];
    }

    clipped(act) {
      const { ctx, bbox } = this.plot;
      ctx.save();
      ctx.beginPath();
      ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
      ctx.clip();
      act();
      ctx.restore();
    }
  }

  /** How far apart two fingers are, px; 0 where there are not two. */
  function spread(touching) {
    const [one, other] = touching.values();
    return other === undefined ? 0 : Math.max(1, Math.abs(one - other));
  }

  vad.Chart = Chart;
})();
