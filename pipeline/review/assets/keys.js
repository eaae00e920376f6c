"use strict";
// The keyboard: one table of what each key does, which is also what `?` shows.

(function () {
  const { $ } = vad;

  /** @param act what can be done: see main.js */
  vad.listenToKeys = (act) => {
    const video = (run) => ({ where: "video", run });
    const overview = (run) => ({ where: "overview", run });
    const table = [
      { keys: [" ", "k"], show: "Space", what: "Play or pause", ...video((view) => view.player.toggle()) },
      { keys: ["ArrowLeft"], show: "←", what: "5 seconds back", ...video((view) => act.skip(view, -5)) },
      { keys: ["ArrowRight"], show: "→", what: "5 seconds on", ...video((view) => act.skip(view, 5)) },
      { keys: ["Home"], show: "Home", what: "To the beginning", ...video((view) => view.player.seek(0)) },
      { keys: ["End"], show: "End", what: "To the end", ...video((view) => view.player.seek(Infinity)) },
      { keys: [","], show: ",", what: "One frame back", ...video((view) => act.stepFrame(view, -1)) },
      { keys: ["."], show: ".", what: "One frame on", ...video((view) => act.stepFrame(view, 1)) },
      { keys: ["n"], show: "n", what: "Next event", ...video((view) => view.step(1)) },
      { keys: ["p"], show: "p", what: "Previous event", ...video((view) => view.step(-1)) },
      { keys: ["l"], show: "l", what: "Loop this event", ...video((view) => view.loop()) },
      { keys: ["["], show: "[", what: "Slower", ...video((view) => view.changeSpeed(-1)) },
      { keys: ["]"], show: "]", what: "Faster", ...video((view) => view.changeSpeed(1)) },
      { keys: ["r"], show: "r", what: "Mark the event as real", ...video((view) => view.mark("real")) },
      { keys: ["f"], show: "f", what: "Mark it as a false alarm", ...video((view) => view.mark("false_alarm")) },
      { keys: ["u"], show: "u", what: "Mark it as unsure", ...video((view) => view.mark("unsure")) },
      { keys: ["e"], show: "e", what: "Write a note", ...video((view) => view.writeNote()) },
      { keys: ["ArrowUp"], show: "↑", what: "Threshold up", ...video((view) => view.changeThreshold(0.01)) },
      { keys: ["ArrowDown"], show: "↓", what: "Threshold down", ...video((view) => view.changeThreshold(-0.01)) },
      { keys: ["m"], show: "m", what: "Near misses", ...video(() => $("near").click()) },
      { keys: ["+", "="], show: "+", what: "Zoom in", ...video((view) => view.chart.zoom(2)) },
      { keys: ["-"], show: "−", what: "Zoom out", ...video((view) => view.chart.zoom(0.5)) },
      { keys: ["0"], show: "0", what: "The whole video", ...video((view) => view.chart.fit()) },
      { keys: ["N"], show: "Shift n", what: "Next video", ...video(() => act.turn(1)) },
      { keys: ["P"], show: "Shift p", what: "Previous video", ...video(() => act.turn(-1)) },
      { keys: ["Escape"], show: "Esc", what: "Back to all videos", ...video(() => act.leave()) },
      { keys: ["/"], show: "/", what: "Search (all videos)", ...overview(() => $("search").focus()) },
      { keys: ["ArrowDown", "j"], show: "↓", what: "Next row (all videos)", ...overview(() => act.moveRow(1)) },
      { keys: ["ArrowUp"], show: "↑", what: "Previous row (all videos)", ...overview(() => act.moveRow(-1)) },
      { keys: ["?"], show: "?", what: "These keys", where: null, run: () => act.showKeys() },
    ];

    for (const { show, what } of table) {
      const key = vad.make("dt", {}, vad.make("kbd", { text: show }));
      document.querySelector("#keys .keys").append(vad.make("div", {}, key, vad.make("dd", { text: what })));
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
