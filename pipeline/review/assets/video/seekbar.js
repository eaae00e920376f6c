"use strict";
// The whole video in a strip: events as coloured bands, what the curve shows as a frame, the cursor.

(function () {
  const HEIGHT = 28; // px
  const style = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

  class SeekBar {
    constructor(canvas, onSeek) {
      this.canvas = canvas;
      this.onSeek = onSeek;
      this.draw = vad.eachFrame(() => this.drawNow());
      new ResizeObserver(() => this.draw()).observe(canvas);
      window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.draw());
      const seek = (event) => {
        const { left, width } = canvas.getBoundingClientRect();
        onSeek((Math.min(Math.max(event.clientX - left, 0), width) / width) * this.curve.end);
      };
      canvas.addEventListener("pointerdown", (event) => {
        canvas.setPointerCapture(event.pointerId);
        seek(event);
      });
      canvas.addEventListener("pointermove", (event) => canvas.hasPointerCapture(event.pointerId) && seek(event));
    }

    open(curve, truth) {
      Object.assign(this, { curve, truth: truth || [], events: [], near: [], view: [0, curve.end] });
      this.canvas.setAttribute("aria-valuemax", curve.frames - 1);
      this.setCursor(0);
    }

    setEvents(events, near) {
      Object.assign(this, { events, near });
      this.draw();
    }

    setView(view) {
      this.view = view;
      this.draw();
    }

    setCursor(seconds) {
      this.cursor = seconds;
      const frame = this.curve.frameAt(seconds);
      this.canvas.setAttribute("aria-valuenow", frame);
      this.canvas.setAttribute("aria-valuetext", `${vad.clock(seconds, 2)}, frame ${frame}`);
      this.draw();
    }

    drawNow() {
      const width = this.canvas.clientWidth;
      if (!width || !this.curve) return;
      const scale = devicePixelRatio;
      this.canvas.width = width * scale;
      this.canvas.height = HEIGHT * scale;
      const context = this.canvas.getContext("2d");
      context.scale(scale, scale);
      const x = (seconds) => (seconds / this.curve.end) * width;
      const bar = (from, to, top, height) => context.fillRect(x(from), top, Math.max(2, x(to) - x(from)), height);
      context.fillStyle = style("--bar");
      context.fillRect(0, 6, width, 16);
      context.fillStyle = style("--line");
      for (const gap of this.curve.gaps) bar(gap.start, gap.end, 6, 16);
      const [from, to] = this.view;
      const zoomed = to - from < this.curve.end; // else the curve above shows the same events, once is enough
      for (const event of zoomed ? this.near : []) {
        context.strokeStyle = vad.colour(event.column);
        context.setLineDash([3, 2]);
        context.strokeRect(x(event.startSeconds), 7, Math.max(2, x(event.endSeconds) - x(event.startSeconds)), 14);
      }
      context.setLineDash([]);
      for (const event of zoomed ? this.events : []) {
        context.fillStyle = vad.fill(context, event.column);
        bar(event.startSeconds, event.endSeconds, 6, 16);
      }
      context.fillStyle = style("--truth");
      for (const [start, end] of this.truth) bar(this.curve.startOf(start), this.curve.endBefore(end), 24, 4);
      if (zoomed) {
        context.strokeStyle = style("--ink");
        context.strokeRect(x(from) + 0.5, 3.5, Math.max(3, x(to) - x(from) - 1), 21);
      }
      context.fillStyle = style("--cursor");
      context.fillRect(x(this.cursor) - 1, 0, 3, HEIGHT);
    }
  }

  vad.SeekBar = SeekBar;
})();
