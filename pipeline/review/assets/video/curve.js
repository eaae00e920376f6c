"use strict";
// A video's curve: unpacked from its data file, looked up by frame and by time, and thinned out for drawing.
//
// A cell is a stretch of frames with one score (a snippet, usually); the last one lasts to the end of the video. A gap in
// the footage cuts a cell into two.

(function () {
  const ARRAYS = { f4: Float32Array, f8: Float64Array, u1: Uint8Array, u4: Uint32Array };
  const FACTOR = 8; // between the levels of the pyramid

  async function inflate(base64) {
    const bytes = Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
    return new Response(stream).arrayBuffer();
  }

  /** The arrays of a packed curve, by name. */
  function unpack(buffer, layout) {
    const arrays = {};
    let start = 0;
    for (const [name, type, length] of layout) {
      const end = start + length * ARRAYS[type].BYTES_PER_ELEMENT;
      arrays[name] = new ARRAYS[type](buffer.slice(start, end));
      start = end;
    }
    return arrays;
  }

  /** When each frame is shown: the very numbers that find_events works with. */
  function secondsOf(packed, arrays) {
    if (packed.times.kind === "seconds") return arrays.seconds;
    const seconds = new Float64Array(packed.frames);
    if (packed.times.kind === "rate") {
      const [numerator, denominator] = packed.fps;
      for (let i = 0; i < seconds.length; i++) seconds[i] = (i * denominator) / numerator;
      return seconds;
    }
    const jumps = new Map(packed.times.jumps);
    let tick = packed.times.first; // ns, exact below 2^53
    seconds[0] = tick / 1e9;
    for (let i = 1; i < seconds.length; i++) {
      tick += arrays.steps[i - 1] || jumps.get(i - 1) || 0;
      seconds[i] = tick / 1e9;
    }
    return seconds;
  }

  /** The frame each cell begins with, then the number of frames. */
  function edgesOf(packed, cells) {
    const edges = [...packed.cuts, packed.frames];
    for (let i = 0; i < cells - packed.cuts.length; i++) edges.push(i * packed.cellFrames);
    return Uint32Array.from(edges).sort();
  }

  /** Where a number, or the next smaller one, stands among the first `n` of ascending numbers. */
  function placeOf(numbers, n, number) {
    let low = 0;
    let high = n;
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if (numbers[middle] <= number) low = middle;
      else high = middle;
    }
    return low;
  }

  /** Lowest and highest score of every 8, 64, ... cells. */
  function pyramidOf(scores) {
    const levels = [{ size: 1, low: scores, high: scores }];
    while (levels.at(-1).low.length > FACTOR) {
      const below = levels.at(-1);
      const n = Math.ceil(below.low.length / FACTOR);
      const level = { size: below.size * FACTOR, low: new Float32Array(n), high: new Float32Array(n) };
      for (let i = 0; i < n; i++) {
        const end = Math.min((i + 1) * FACTOR, below.low.length);
        let low = 1;
        let high = 0;
        for (let j = i * FACTOR; j < end; j++) {
          if (below.low[j] < low) low = below.low[j];
          if (below.high[j] > high) high = below.high[j];
        }
        level.low[i] = low;
        level.high[i] = high;
      }
      levels.push(level);
    }
    return levels;
  }

  class Curve {
    constructor(packed, arrays) {
      this.frames = packed.frames;
      this.snippetFrames = packed.snippetFrames;
      this.scores = arrays.scores; // of cells
      this.eventColumn = arrays.eventColumn; // of the event that a cell is the lowest of: see event_tree.py
      this.eventPercent = arrays.eventPercent;
      this.snippetColumn = arrays.snippetColumn;
      this.snippetPercent = arrays.snippetPercent;
      this.seconds = secondsOf(packed, arrays);
      this.edges = edgesOf(packed, this.scores.length);
      this.gaps = packed.gaps.map(([frame, start, end]) => ({ frame, start, end }));
      this.overBefore = new Map(this.gaps.map((gap) => [gap.frame, gap.start])); // a gap, not the next frame, ends it
      this.frameSeconds = packed.fps[1] / packed.fps[0];
      this.end = this.seconds[this.frames - 1] + this.frameSeconds;
      this.levels = pyramidOf(this.scores);
      this.highest = Math.max(...this.levels.at(-1).high);
    }

    /** The cell that a frame lies in. */
    cellAt(frame) {
      return placeOf(this.edges, this.scores.length, frame);
    }

    /** The frame a cell begins with; of the one past the last, the number of frames. */
    cellStart(cell) {
      return this.edges[cell];
    }

    /** The frame shown at a time. */
    frameAt(seconds) {
      return placeOf(this.seconds, this.frames, seconds);
    }

    /** When a frame begins; of the one past the last, when that one ends. */
    startOf(frame) {
      return frame < this.frames ? this.seconds[frame] : this.end;
    }

    /** When the frames before one are over: as that one begins, unless a gap comes first. */
    endBefore(frame) {
      return this.overBefore.get(frame) ?? this.startOf(frame);
    }

    scoreAt(frame) {
      return this.scores[this.cellAt(frame)];
    }

    /** The first frame with the highest score from `start` to before `end`, and that score. */
    highestIn(start, end) {
      const last = this.cellAt(end - 1);
      let best = this.cellAt(start);
      for (let cell = best + 1; cell <= last; cell++) if (this.scores[cell] > this.scores[best]) best = cell;
      return { frame: Math.max(start, this.cellStart(best)), score: this.scores[best] };
    }

    /** The likeliest anomaly category of a frame: its column and percent. */
    leadingAt(frame) {
      const snippet = Math.min(Math.floor(frame / this.snippetFrames), this.snippetColumn.length - 1);
      return { column: this.snippetColumn[snippet], percent: this.snippetPercent[snippet] };
    }

    /** Points to draw between two times: every step where they fit, else the lowest and highest of each stretch. */
    points(from, to, most) {
      const first = this.cellAt(this.frameAt(from));
      const last = this.cellAt(this.frameAt(to));
      return last - first < most ? this.steps(first, last) : this.envelope(first, last, most);
    }

    steps(first, last) {
      const x = [];
      const y = [];
      for (let cell = first; cell <= last; cell++) {
        const end = this.cellStart(cell + 1);
        x.push(this.seconds[this.cellStart(cell)], this.endBefore(end));
        y.push(this.scores[cell], this.scores[cell]);
        if (this.overBefore.has(end)) {
          x.push(this.endBefore(end));
          y.push(null); // the line breaks
        }
      }
      return [x, y];
    }

    envelope(first, last, most) {
      const level = this.levels.findLast((each) => each.size * most <= last - first + 1) || this.levels[0];
      const x = [];
      const y = [];
      for (let i = Math.floor(first / level.size); i <= Math.floor(last / level.size); i++) {
        const start = i * level.size;
        const middle = Math.min(start + level.size / 2, this.scores.length - 1);
        x.push(this.seconds[this.cellStart(start)], this.seconds[this.cellStart(Math.floor(middle))]);
        y.push(level.low[i], level.high[i]);
      }
      return [x, y];
    }
  }

  /** A promise of the curve in a video's data. */
  vad.openCurve = async (packed) => new Curve(packed, unpack(await inflate(packed.packed), packed.layout));
})();
