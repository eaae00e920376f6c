"use strict";
// A colour and a pattern for each category: Okabe and Ito's colours, told apart by nearly everybody, then the same ones
// striped, then dotted. Names always stand beside them.

(function () {
  const COLOURS = ["#D55E00", "#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#F0E442"];
  const PATTERNS = ["plain", "striped", "dotted"];
  const TILE = 8; // px

  const of = (column) => ({
    colour: COLOURS[(column - 1) % COLOURS.length],
    pattern: PATTERNS[Math.floor((column - 1) / COLOURS.length) % PATTERNS.length],
  });

  /** A small square beside a category's name. */
  vad.swatch = (column) => {
    const { colour, pattern } = of(column);
    const square = vad.make("span", { className: `swatch ${pattern}`, "aria-hidden": "true" });
    square.style.setProperty("--colour", colour);
    return square;
  };

  const tiles = new Map();

  /** What to fill a category's stretches with on a canvas. */
  vad.fill = (context, column) => {
    const { colour, pattern } = of(column);
    if (pattern === "plain") return colour;
    const name = colour + pattern;
    if (!tiles.has(name)) tiles.set(name, drawTile(colour, pattern));
    return context.createPattern(tiles.get(name), "repeat");
  };

  vad.colour = (column) => of(column).colour;

  function drawTile(colour, pattern) {
    const tile = document.createElement("canvas");
    tile.width = tile.height = TILE;
    const context = tile.getContext("2d");
    context.fillStyle = context.strokeStyle = colour;
    if (pattern === "dotted") {
      context.fillRect(1, 1, 3, 3);
      context.fillRect(5, 5, 3, 3);
      return tile;
    }
    context.lineWidth = 3;
    for (const shift of [-TILE, 0, TILE]) {
      context.moveTo(shift, TILE);
      context.lineTo(shift + TILE, 0);
    }
    context.stroke();
    return tile;
  }
})();
