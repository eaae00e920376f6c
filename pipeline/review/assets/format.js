"use strict";
// Numbers and names as people read them, and small helpers for the document.

/** The element with this id. */
vad.$ = (id) => document.getElementById(id);

/** A new element: its text is text, whatever it holds. */
vad.make = (tag, { text, className, ...attributes } = {}, ...children) => {
  const element = document.createElement(tag);
  if (className) element.className = className;
  if (text !== undefined) element.textContent = text;
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
};

/** Seconds as h:mm:ss, with `digits` of a second's fraction; cut off, not rounded, as players do. */
vad.clock = (seconds, digits = 0) => {
  const scale = 10 ** digits;
  const whole = Math.floor(seconds * scale + 1e-6); // times such as 0.28999999 are 0.29
  const s = Math.floor(whole / scale);
  const parts = [Math.floor(s / 3600), Math.floor(s / 60) % 60, s % 60];
  const text = `${parts[0]}:${String(parts[1]).padStart(2, "0")}:${String(parts[2]).padStart(2, "0")}`;
  const short = parts[0] ? text : text.slice(2).replace(/^0/, "");
  return digits ? `${short}.${String(whole % scale).padStart(digits, "0")}` : short;
};

/** A word of a command line, as shells need it. */
vad.quote = (word) => (/^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'"'"'`)}'`);

/** How long something is: 36.8 s, 1:20 min, 1:02:03 h. */
vad.length = (seconds) => {
  if (seconds < 60) return `${seconds.toFixed(1)} s`;
  return `${vad.clock(seconds)} ${seconds < 3600 ? "min" : "h"}`;
};

/** `1 event`, `3 events`. */
vad.count = (n, what) => `${n.toLocaleString("en")} ${what}${n === 1 ? "" : "s"}`;

/** A day as people write it, `2 November 2026`, or `2 Nov 2026` as "medium"; `day` is 2026-11-02. */
vad.day = (day, dateStyle = "long") =>
  new Intl.DateTimeFormat("en-GB", { dateStyle, timeZone: "UTC" }).format(new Date(`${day}T00:00:00Z`));

/** A camera's name; one that is a number only is called `camera 3`. */
vad.camera = (name) => (/^\d+$/.test(name) ? `camera ${name}` : name);

const formats = new Map(); // making one takes long

/** A date or time in a zone. */
const formatted = (zone, options, seconds) => {
  const name = JSON.stringify([zone, options]);
  if (!formats.has(name)) formats.set(name, new Intl.DateTimeFormat("en-GB", { ...options, timeZone: zone }));
  return formats.get(name).format(new Date(Math.floor(seconds + 1e-6) * 1000));
};

/** The time of day of a moment in seconds since 1970: `14:30:34`; cut off to the second, as clocks are. */
vad.wallTime = (zone, seconds) => formatted(zone, { timeStyle: "medium" }, seconds);

/**
 * Wall clock at a second of a video: `2 November, 14:30:34`.
 * @param clock as the video's data file has it: camera, start in seconds since 1970, IANA zone
 */
vad.wallClock = ({ start, zone }, seconds) =>
  `${formatted(zone, { day: "numeric", month: "long" }, start + seconds)}, ${vad.wallTime(zone, start + seconds)}`;

/** A score; never rounded up to a threshold that it does not reach. */
vad.score = (score) => (Math.floor(score * 1000 + 1e-6) / 1000).toFixed(3);

/** How unusual: a score in two digits, cut off likewise. */
vad.unusual = (score) => (Math.floor(score * 100 + 1e-6) / 100).toFixed(2);

/** A threshold as it is typed: four digits at most. */
vad.plain = (number) => String(Number(number.toPrecision(4)));

/** A text field that is as high as what is in it; `text` is put there. */
vad.fillIn = (field, text) => {
  field.value = text;
  field.style.height = "auto";
  if (field.scrollHeight) field.style.height = `${field.scrollHeight + field.offsetHeight - field.clientHeight}px`; // 0: not shown
};

/** Calls `act` once a frame at most, with the last arguments. */
vad.eachFrame = (act) => {
  let waiting = null;
  return (...last) => {
    if (waiting === null) requestAnimationFrame(() => ((last = waiting), (waiting = null), act(...last)));
    waiting = last;
  };
};
