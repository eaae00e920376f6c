"use strict";
// Verdicts as files: out as CSV and JSON, in as JSON. Written by the browser itself; nothing is sent anywhere.

(function () {
  const COLUMNS = [
    "video", "start_frame", "end_frame", "event_id", "verdict", "category", "reviewer", "note", "time",
  ];

  const inOrder = (record) => Object.fromEntries(COLUMNS.map((name) => [name, record[name] ?? ""]));

  /** A cell that no spreadsheet takes for a formula: with ' before it where it begins as one and is no number. */
  function cell(value) {
    const number = /^[+-]?(\d+\.?\d*|\.\d+)$/.test(value);
    const text = !number && /^'*[=+\-@\t\r]/.test(value) ? `'${value}` : String(value);
    return /[",;\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  }

  vad.verdictsCsv = (rows) =>
    [COLUMNS.join(","), ...rows.map((row) => COLUMNS.map((name) => cell(row[name] ?? "")).join(","))].join("\n") + "\n";

  vad.verdictsJson = (rows, report) =>
    JSON.stringify({ schema: 1, report, verdicts: rows.map(inOrder) }, null, 1) + "\n";

  /** A row that was read, with the columns there are and no others; null where it is about no event. */
  function asRecord(row) {
    const record = Object.fromEntries(COLUMNS.map((name) => [name, String(row?.[name] ?? "")]));
    record.start_frame = Number(record.start_frame);
    record.end_frame = Number(record.end_frame);
    const { names, normal } = vad.verdicts;
    const own = `${record.video}@`; // an event's id is that of the range it was found with, wherever its ends are now
    const range = record.event_id.startsWith(own) ? record.event_id.slice(own.length) : "";
    const fits = range === normal ? [normal, ""] : /^\d+-\d+$/.test(range) ? [...Object.keys(names), ""] : [];
    const inside = record.start_frame >= 0 && record.end_frame > record.start_frame;
    const said = record.verdict || record.time; // a row with neither only tells that an event was left open
    return record.video && inside && said && fits.includes(record.verdict) ? record : null;
  }

  /** Offer a file for saving. */
  vad.save = (name, type, text) => {
    const address = URL.createObjectURL(new Blob([text], { type }));
    const link = vad.make("a", { href: address, download: name });
    document.body.append(link);
    link.click();
    link.remove();
    setTimeout(() => URL.revokeObjectURL(address), 60_000);
  };

  /** The rows of an exported JSON file. */
  vad.readVerdicts = async (file) => {
    let found = null;
    try {
      found = JSON.parse(await file.text());
    } catch {
      // told below
    }
    if (!Array.isArray(found?.verdicts)) throw new Error(`${file.name} is no JSON file of verdicts from this page`);
    return found.verdicts.map(asRecord).filter(Boolean);
  };
})();
