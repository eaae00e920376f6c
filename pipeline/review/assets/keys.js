"use strict";
// The keyboard: one table of what each key does, which is also what `?` shows.

(function () {
  const { $ } = vad;

  const SECTIONS = { video: "One event in its video", events: "The wall of events", videos: "The table of videos" };

  /** @param act what can be done: see main.js */
  vad.listenToKeys = (act) => {
    const at = (where) => (keys, show, what, run) => ({ where, keys: keys.split(" "), show, what, run });
    const [video, events, videos] = [at("video"), at("events"), at("videos")];
    const table = [
      video("r", "r", "Real, and on to the next event", (view) => view.marking.mark("real")),
      video("f", "f", "False alarm, and on", (view) => view.marking.mark("false_alarm")),
      video("u", "u", "Unsure, and on", (view) => view.marking.mark("unsure")),
      video("z", "z", "Undo the last mark", (view) => view.marking.undo()),
      video("n", "n", "Next event", (view) => view.step(1)),
      video("p", "p", "Previous event", (view) => view.step(-1)),
      video("l", "l", "Loop this event, from 2 s before", (view) => view.loop()),
      video("i", "i", "The event starts at the cursor", (view) => view.marking.setEdge("start")),
      video("o", "o", "The event ends with the cursor", (view) => view.marking.setEdge("end")),
      video("d", "d", "Draw an event that was missed", (view) => view.marking.draw()),
      video("a", "a", "All else in this video is normal", (view) => view.marking.turnNormal()),
      video("e", "e", "Write a note", (view) => view.writeNote()),
      { where: "video", keys: [" ", "k"], show: "Space", what: "Play or pause", run: (view) => view.player.toggle() },
      video("ArrowLeft", "←", "5 seconds back", (view) => act.skip(view, -5)),
      video("ArrowRight", "→", "5 seconds on", (view) => act.skip(view, 5)),
      video(",", ",", "One frame back", (view) => act.stepFrame(view, -1)),
      video(".", ".", "One frame on", (view) => act.stepFrame(view, 1)),
      video("Home", "Home", "To the beginning", (view) => view.seek(0)),
      video("End", "End", "To the end", (view) => view.seek(Infinity)),
      video("[", "[", "Slower", (view) => view.changeSpeed(-1)),
      video("]", "]", "Faster", (view) => view.changeSpeed(1)),
      video("ArrowUp", "↑", "Threshold up", (view) => view.changeThreshold(0.01)),
      video("ArrowDown", "↓", "Threshold down", (view) => view.changeThreshold(-0.01)),
      video("m", "m", "Near misses", () => $("near").click()),
      video("+ =", "+", "Zoom in", (view) => view.chart.zoom(2)),
      video("-", "−", "Zoom out", (view) => view.chart.zoom(0.5)),
      video("0", "0", "The whole video", (view) => view.chart.fit()),
      video("N", "Shift n", "Next video", () => act.turn(1)),
      video("P", "Shift p", "Previous video", () => act.turn(-1)),
      video("Escape", "Esc", "Back to where you came from", () => act.leave()),
      events("r", "r", "Real, and on to the next event", (view) => view.mark("real")),
      events("f", "f", "False alarm, and on", (view) => view.mark("false_alarm")),
      events("u", "u", "Unsure, and on", (view) => view.mark("unsure")),
      events("z", "z", "Undo the last mark", (view) => view.undo()),
      events("x", "x", "Select this event, or no longer", (view) => view.turnCurrent()),
      events("A", "Shift a", "Select all that are shown", (view) => view.selectAll()),
      events("Escape", "Esc", "Select nothing", (view) => view.selection.clear()),
      events("ArrowRight j", "→", "Next event", (view) => view.wall.move(1)),
      events("ArrowLeft", "←", "Previous event", (view) => view.wall.move(-1)),
      events("ArrowDown", "↓", "A line down", (view) => view.wall.move(0, 1)),
      events("ArrowUp", "↑", "A line up", (view) => view.wall.move(0, -1)),
      events("/", "/", "Find by name", () => $("find").focus()),
      videos("/", "/", "Search", () => $("search").focus()),
      videos("ArrowDown j", "↓", "Next row", (view) => view.table.move(1)),
      videos("ArrowUp", "↑", "Previous row", (view) => view.table.move(-1)),
      { where: null, keys: ["?"], show: "?", what: "These keys", run: () => act.showKeys() },
    ];

    for (const [where, title] of Object.entries(SECTIONS)) {
      const rows = table.filter((each) => each.where === where || (where === "video" && !each.where));
      const keys = rows.map(({ show, what }) =>
        vad.make("div", {}, vad.make("dt", {}, vad.make("kbd", { text: show })), vad.make("dd", { text: what })));
      $("keys-list").append(vad.make("h3", { text: title }), vad.make("dl", { className: "keys" }, ...keys));
    }

    // What was clicked keeps no key to itself: Space plays, and does not click the same button again.
    document.addEventListener("click", (event) => {
      if (event.detail) event.target.closest("button, summary")?.blur();
    });
    $("speed").addEventListener("change", () => $("speed").blur());

    document.addEventListener("keydown", (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey || $("keys").open) return;
      const { target } = event;
      if (isWriting(target)) {
        if (event.key === "Escape" || event.key === "Enter") target.blur();
        return;
      }
      if (keepsKey(target, event.key)) return;
      const found = table.find(({ keys, where }) => keys.includes(event.key) && (!where || where === act.where()));
      if (!found) return;
      event.preventDefault();
      found.run(act.view());
    });
  };

  /** Whether keys are text here. */
  const isWriting = (element) =>
    element.matches("textarea, input:not([type=range]):not([type=checkbox]):not([type=file])");

  /** Keys that mean something to the element that has the focus, and nothing else. */
  function keepsKey(element, key) {
    const arrow = key.startsWith("Arrow");
    if (element.matches("select, input[type=range]")) return arrow || element.matches("select");
    if (element.matches("input[type=checkbox]")) return key === " ";
    return element.matches("button, a, summary, .button") && (key === " " || key === "Enter");
  }
})();
