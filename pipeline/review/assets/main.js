"use strict";
// What is shown: the overview, or one video, as the address says (#video=KEY&frame=N).

(function () {
  const { $ } = vad;
  const overview = vad.received("overview");

  /** A sentence at the top of the page. */
  vad.say = (text) => {
    $("message").textContent = text;
    $("message").hidden = !text;
  };

  if (!overview) {
    vad.say("data/overview.js is not there: copy the whole report folder, or write the page again.");
    return;
  }
  vad.verdicts.open(overview.report);

  const columnOf = (category) => Math.max(1, overview.categories.indexOf(category));
  const table = new vad.Table($("table"), columnOf);
  const view = new vad.VideoView(overview);
  let shown = null; // key of the video shown
  let place = 0; // where the overview was scrolled to

  // ---- overview

  const options = (select, entries) =>
    select.append(...entries.map(([value, text]) => vad.make("option", { value, text })));

  function fillTools() {
    const categories = [...new Set(overview.videos.map((row) => row.category).filter(Boolean))].sort();
    const failed = overview.videos.filter((row) => !row.key).length;
    options($("category"), [["", "all"], ...categories.map((name) => [name, name])]);
    options($("status"), [
      ["", "all"], ["events", "with events"], ["open", "not marked yet"], ["marked", "marked"],
      ...(failed ? [["failed", `failed (${failed})`]] : []),
    ]);
    for (const { name, title, down } of vad.tableColumns) {
      options($("sort"), [[`${name} ${down ? "down" : "up"}`, title]]);
    }
    $("sort").value = "peak down";
    $("sort").addEventListener("change", () => {
      const [name, direction] = $("sort").value.split(" ");
      table.sortBy(name, direction === "down");
    });
    $("group-field").hidden = !overview.videos.some((row) => row.day);
    for (const id of ["category", "status", "group"]) $(id).addEventListener("change", showRows);
    $("search").addEventListener("input", vad.eachFrame(showRows));
    $("uncalibrated").hidden = overview.calibrated;
    const { calibration } = overview;
    $("few-hours").hidden = !calibration || calibration.calibrated;
    if (calibration) {
      const [hours, rate] = [calibration.hours, calibration.supported].map((value) => Number(value.toPrecision(2)));
      $("few-hours").textContent =
        `The threshold is not calibrated: it was set on ${hours} h of normal footage, which can promise no fewer than ` +
        `${rate} false alarms an hour. Move the slider until what is left is worth looking at, then keep that.`;
    }
  }

  const wanted = {
    "": () => true,
    events: (row) => row.events > 0,
    open: (row) => row.events > row.marks,
    marked: (row) => row.marks > 0,
    failed: (row) => !row.key,
  };

  function showRows() {
    const words = $("search").value.toLowerCase().split(/\s+/).filter(Boolean);
    const category = $("category").value;
    const rows = overview.videos.filter(
      (row) =>
        words.every((word) => row.id.toLowerCase().includes(word)) &&
        (!category || row.category === category) &&
        wanted[$("status").value](row),
    );
    const groupOf = (row) => row.day ? [row.camera && vad.camera(row.camera), vad.day(row.day)].filter(Boolean).join(", ") : "No time known";
    table.show(rows, $("group").value ? groupOf : null);
    const all = overview.videos.length;
    const events = rows.reduce((sum, row) => sum + (row.events || 0), 0);
    const videos = rows.length === all ? vad.count(all, "video") : `${rows.length.toLocaleString("en")} of ${vad.count(all, "video")}`;
    $("counts").textContent = `${videos}, ${vad.count(events, "event")} at threshold ${Number(overview.threshold.toPrecision(4))}`;
    const own = overview.ownThresholds;
    if (own) $("counts").textContent += ` (${vad.count(own, "camera")} with ${own === 1 ? "its" : "their"} own)`;
  }

  // ---- verdicts

  function showVerdicts() {
    const marks = new Map();
    for (const record of vad.verdicts.rows()) {
      if (record.verdict) marks.set(record.video, (marks.get(record.video) || 0) + 1);
    }
    for (const row of overview.videos) row.marks = marks.get(row.id) || 0;
    const n = vad.verdicts.count();
    $("review-counts").textContent = n ? `${vad.count(n, "event")} marked in ${vad.count(marks.size, "video")}` : "none yet";
    for (const field of document.querySelectorAll(".reviewer")) {
      if (document.activeElement !== field) field.value = vad.verdicts.reviewer;
    }
    $("export-csv").disabled = $("export-json").disabled = !n;
  }

  function listenToVerdicts() {
    for (const field of document.querySelectorAll(".reviewer")) {
      field.addEventListener("change", () => (vad.verdicts.reviewer = field.value.trim()));
    }
    $("export-csv").addEventListener("click", () =>
      vad.save("verdicts.csv", "text/csv", vad.verdictsCsv(vad.verdicts.rows())));
    $("export-json").addEventListener("click", () =>
      vad.save("verdicts.json", "application/json", vad.verdictsJson(vad.verdicts.rows(), overview.report)));
    $("import").addEventListener("change", async () => {
      const [file] = $("import").files;
      if (!file) return;
      try {
        const taken = vad.verdicts.take(await vad.readVerdicts(file));
        vad.say(`${vad.count(taken, "verdict")} taken in from ${file.name}.`);
        showRows();
      } catch (error) {
        vad.say(error.message);
      }
      $("import").value = "";
    });
    vad.verdicts.onChange(showVerdicts);
  }

  function showDisagreements() {
    $("disagreements").hidden = !overview.disagreements.length;
    const keys = new Map(overview.videos.map((row) => [row.id, row.key]));
    for (const each of overview.disagreements) {
      const address = `#video=${keys.get(each.video)}&frame=${each.start_frame}`;
      const said = each.said.map((one) => `${one.reviewer || "unnamed"}: ${vad.verdicts.names[one.verdict].toLowerCase()}`);
      const name = `${each.video}, frames ${each.start_frame} to ${each.end_frame}`;
      const link = keys.get(each.video) ? vad.make("a", { href: address, text: name }) : name;
      document.querySelector(".disagreements").append(vad.make("li", {}, link, ` ${said.join("; ")}`));
    }
    if (overview.disagreements.length) $("review").open = true;
  }

  // ---- which of the two

  async function route() {
    const wanted = new URLSearchParams(location.hash.slice(1));
    const key = wanted.get("video");
    vad.say("");
    if (!key) return showOverview();
    if (shown === null) place = window.scrollY;
    if (key === shown) return wanted.has("frame") && view.player.seek(Number(wanted.get("frame")));
    shown = key;
    $("overview").hidden = true;
    $("video-view").hidden = false;
    window.scrollTo(0, 0);
    const order = table.order;
    const at = order.findIndex((row) => row.key === key);
    for (const [id, by] of [["previous-video", -1], ["next-video", 1]]) {
      const other = order[at + by];
      if (other) $(id).href = `#video=${other.key}`;
      else $(id).removeAttribute("href"); // nothing to go to
    }
    try {
      await view.open(key, wanted.has("frame") ? Number(wanted.get("frame")) || 0 : null);
    } catch (error) {
      showOverview();
      vad.say(error.message);
    }
  }

  function showOverview() {
    document.title = `${overview.results}: review`;
    view.close();
    shown = null;
    $("video-view").hidden = true;
    $("overview").hidden = false;
    showVerdicts();
    showRows();
    window.scrollTo(0, place);
  }

  const turn = (by) => {
    const link = $(by > 0 ? "next-video" : "previous-video");
    if (link.hash) location.hash = link.hash;
  };

  vad.listenToKeys({
    where: () => (shown ? "video" : "overview"),
    view: () => view,
    // a hair later: rounding must not lead to the frame before
    skip: (view, seconds) => view.player.seek(view.curve.frameAt(view.curve.startOf(view.player.frame) + seconds + 1e-6)),
    stepFrame: (view, by) => (view.player.pause(), view.player.seek(view.player.frame + by)),
    turn,
    leave: () => (location.hash = ""),
    moveRow: (by) => table.move(by),
    showKeys: () => $("keys").showModal(),
  });
  $("help").addEventListener("click", () => $("keys").showModal());
  window.addEventListener("hashchange", route);
  fillTools();
  listenToVerdicts();
  showDisagreements();
  showVerdicts();
  showRows();
  route();
  vad.view = view;
  vad.table = table;
})();
