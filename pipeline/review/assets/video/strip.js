"use strict";
// Pictures taken evenly over a video, below its curve: each leads to its frame.

/**
 * @param strip what they are shown in
 * @param data what the video's data file says
 * @param onSeek told the frame whose picture was clicked
 */
vad.showStrip = (strip, data, curve, onSeek) => {
  const frames = data.strip.filter((frame) => frame in data.pictures);
  strip.hidden = !frames.length;
  strip.replaceChildren(
    ...frames.map((frame) => {
      const label = `Go to ${vad.clock(curve.startOf(frame))}`;
      const button = vad.make("button", { type: "button", "aria-label": label, title: label, tabindex: -1 });
      button.append(vad.make("img", { src: data.pictures[frame], alt: "" }));
      button.addEventListener("click", () => onSeek(frame));
      return button;
    }),
  );
};
