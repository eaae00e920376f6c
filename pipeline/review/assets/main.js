"use strict";
// What is shown, as the address says: the wall of events, the table of videos (#videos), or one video
// (#video=KEY, with &event=START-END or &frame=N).

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
  const catalogue = new vad.Catalogue(overview);
  vad.verdicts.open(overview.report, overview.verdicts, (video) => catalogue.of(video));

  const queue = new vad.Queue(catalogue.inOrder("time"));
  const wallView = new vad.WallView(overview, catalogue, queue);
  const videosView = new vad.VideosView(overview, (category) => Math.max(1, overview.categories.indexOf(category)));
  const view = new vad.VideoView(overview, catalogue, queue);
  let shown = null; // key of the video shown
  let tab = ""; // address of the tab that was shown last
  const places = new Map(); // tab -> how far it was scrolled

  function tellOfRun() {
    $("uncalibrated").hidden = overview.calibrated;
    const { calibration } = overview;
    $("few-hours").hidden = !calibration || calibration.calibrated;
    if (!calibration) return;
    const [hours, rate] = [calibration.hours, calibration.supported].map((value) => Number(value.toPrecision(2)));
    $("few-hours").textContent =
      `The threshold is not calibrated: it was set on ${hours} h of normal footage, which can promise no fewer than ` +
      `${rate} false alarms an hour. Move the slider until what is left is worth looking at, then keep that.`;
  }

  async function route() {
    const wanted = new URLSearchParams(location.hash.slice(1));
    const key = wanted.get("video");
    vad.say("");
    if (shown === null && !$("overview").hidden) places.set(tab, window.scrollY);
    if (!key) return showTab(wanted.has("videos") ? "#videos" : "");
    const place = placeIn(wanted);
    if (key === shown) return view.goToPlace(place);
    shown = key;
    $("overview").hidden = true;
    $("video-view").hidden = false;
    document.querySelector(".back").href = tab || "#";
    window.scrollTo(0, 0);
    showNeighbours(key);
    try {
      await view.open(key, place);
    } catch (error) {
      showTab(tab);
      vad.say(error.message);
    }
  }

  /** Which event or frame an address asks for: nothing where it names none. */
  function placeIn(wanted) {
    const [start, end] = (wanted.get("event") || "").split("-").map(Number);
    if (end > start) return { start, end };
    return { frame: wanted.has("frame") ? Number(wanted.get("frame")) || 0 : null };
  }

  function showNeighbours(key) {
    const { order } = videosView.table;
    const at = order.findIndex((row) => row.key === key);
    for (const [id, by] of [["previous-video", -1], ["next-video", 1]]) {
      const other = order[at + by];
      if (other) $(id).href = `#video=${other.key}`;
      else $(id).removeAttribute("href"); // nothing to go to
    }
  }

  function showTab(address) {
    document.title = `${overview.results}: review`;
    view.close();
    shown = null;
    tab = address;
    $("video-view").hidden = true;
    $("overview").hidden = false;
    for (const [name, its] of [["events", ""], ["videos", "#videos"]]) {
      $(`${name}-tab`).hidden = its !== address;
      if (its === address) $(`to-${name}`).setAttribute("aria-current", "page");
      else $(`to-${name}`).removeAttribute("aria-current");
    }
    (address ? videosView : wallView).show();
    window.scrollTo(0, places.get(address) || 0);
    if (!address && view.lastEvent) wallView.wall.focus(wallView.wall.events.findIndex((event) => event.id === view.lastEvent));
  }

  const turn = (by) => {
    const link = $(by > 0 ? "next-video" : "previous-video");
    if (link.hash) location.hash = link.hash;
  };

  vad.listenToKeys({
    where: () => (shown ? (view.data ? "video" : "on its way") : tab ? "videos" : "events"),
    view: () => (shown ? view : tab ? videosView : wallView),
    // a hair later: rounding must not lead to the frame before
    skip: (view, seconds) => view.seek(view.curve.frameAt(view.curve.startOf(view.player.frame) + seconds + 1e-6)),
    stepFrame: (view, by) => (view.player.pause(), view.seek(view.player.frame + by)),
    turn,
    leave: () => (location.hash = tab),
    showKeys: () => $("keys").showModal(),
  });
  for (const button of document.querySelectorAll(".show-keys")) button.addEventListener("click", () => $("keys").showModal());
  window.addEventListener("hashchange", route);
  tellOfRun();
  new vad.Exchange(overview);
  Object.assign(vad, { view, table: videosView.table, wallView, queue, catalogue });
  videosView.table.show(overview.videos.filter((row) => row.key)); // the order of videos, also where the table was not shown
  route();
})();
