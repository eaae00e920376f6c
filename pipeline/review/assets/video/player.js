"use strict";
// What shows the footage: the video itself, or, where the browser cannot play it, pictures of some of its frames while
// time runs all the same. Both are asked for frames, and tell which frame they show.

(function () {
  const LENGTH_SLACK_SECONDS = 1; // sound may be that much longer than the picture

  class Player {
    /**
     * @param onFrame told the frame shown whenever it changes
     * @param onState told when playing starts or stops, and when pictures take the video's place
     */
    constructor({ video, still, onFrame, onState }) {
      Object.assign(this, { video, still, onFrame, onState, frame: 0, rate: 1, playing: false });
      video.addEventListener("error", () => this.failed());
      video.addEventListener("loadedmetadata", () => !video.videoWidth && this.failed()); // sound only: no codec for it
      video.addEventListener("loadedmetadata", () => this.showFrame());
      video.addEventListener("loadedmetadata", () => this.onState());
      video.addEventListener("pause", () => this.showFrame()); // the very frame that was told
      for (const kind of ["play", "pause", "ended"]) {
        video.addEventListener(kind, () => this.usesVideo && this.setPlaying(!video.paused && !video.ended));
      }
    }

    /** Show another video. `address` is null where there is no file that a browser plays. */
    open(curve, address, pictures) {
      this.close();
      Object.assign(this, { curve, pictures, frame: 0, shown: null, usesVideo: Boolean(address) });
      this.numbers = Object.keys(pictures).map(Number).sort((a, b) => a - b);
      this.show();
      if (address) {
        this.video.src = address;
        this.video.playbackRate = this.rate;
      }
      this.onState();
    }

    close() {
      this.pause();
      if (this.video.hasAttribute("src")) {
        this.usesVideo = false; // what it says while it is emptied is of no interest
        this.video.removeAttribute("src");
        this.video.removeAttribute("poster");
        this.video.load();
      }
    }

    failed() {
      if (!this.usesVideo) return;
      this.usesVideo = false;
      this.setPlaying(false);
      this.show();
      this.onState();
    }

    show() {
      this.video.hidden = !this.usesVideo;
      this.still.hidden = this.usesVideo;
      if (!this.usesVideo) this.showStill();
    }

    /** The picture nearest to the frame. */
    showStill() {
      if (!this.numbers.length) return this.still.removeAttribute("src");
      const { nearest } = this;
      if (nearest === this.shown) return;
      this.shown = nearest;
      this.still.src = this.pictures[nearest];
      this.still.alt = `Frame ${nearest}`;
    }

    /** The frame nearest to this one that has a picture. */
    get nearest() {
      return this.numbers.reduce((best, n) => (Math.abs(n - this.frame) < Math.abs(best - this.frame) ? n : best));
    }

    /** Whether the file is clearly longer or shorter than what was scored. */
    get isAnother() {
      const { duration } = this.video;
      return this.usesVideo && Number.isFinite(duration) && Math.abs(duration - this.curve.end) > LENGTH_SLACK_SECONDS;
    }

    /** Go to a frame. */
    seek(frame) {
      this.frame = Math.min(Math.max(Math.round(frame) || 0, 0), this.curve.frames - 1);
      this.seconds = this.curve.startOf(this.frame);
      if (this.usesVideo) {
        if (this.video.readyState < HTMLMediaElement.HAVE_CURRENT_DATA && this.numbers.length) this.video.poster = this.pictures[this.nearest];
        this.showFrame();
      } else this.showStill();
      this.onFrame(this.frame);
    }

    /** The middle of the frame: no rounding of times leads to its neighbour. */
    showFrame() {
      if (!this.usesVideo || this.video.readyState < HTMLMediaElement.HAVE_METADATA) return;
      this.video.currentTime = (this.curve.startOf(this.frame) + this.curve.startOf(this.frame + 1)) / 2;
    }

    setRate(rate) {
      this.rate = rate;
      this.video.playbackRate = rate;
    }

    toggle() {
      if (this.playing) this.pause();
      else this.play();
    }

    play() {
      if (this.frame >= this.curve.frames - 1) this.seek(0);
      if (this.usesVideo) this.video.play().catch(() => {}); // the error event has told why
      else this.setPlaying(true);
    }

    pause() {
      if (this.usesVideo) this.video.pause();
      else this.setPlaying(false);
    }

    setPlaying(playing) {
      if (playing === this.playing) return;
      this.playing = playing;
      this.onState();
      if (playing) this.follow();
    }

    /** While it plays, tell of each frame. */
    follow() {
      let before = performance.now();
      this.seconds = this.curve.startOf(this.frame);
      const step = (now) => {
        if (!this.playing) return;
        if (this.usesVideo) {
          if (!this.video.seeking) this.tell(this.curve.frameAt(this.video.currentTime));
        } else {
          this.seconds += ((now - before) / 1000) * this.rate;
          before = now;
          if (this.seconds >= this.curve.end) return this.setPlaying(false);
          this.tell(this.curve.frameAt(this.seconds));
          this.showStill();
        }
        requestAnimationFrame(step);
      };
      requestAnimationFrame(step);
    }

    tell(frame) {
      if (frame === this.frame) return;
      this.frame = frame;
      this.onFrame(frame);
    }
  }

  vad.Player = Player;
})();
