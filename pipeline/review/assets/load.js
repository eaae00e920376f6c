"use strict";
// All of the page's code lives in `vad`. Data files are scripts that call vad.receive(NAME, VALUES): a page opened from
// disk may not fetch, but a script element may name a file.
window.vad = {};

(function () {
  const nonce = document.currentScript.nonce;
  const received = new Map();

  vad.receive = (name, values) => received.set(name, values);

  /** What a data file that is part of the page said; undefined where there was none. */
  vad.received = (name) => received.get(name);

  /** Load FOLDER/NAME.js; a promise of its values. Nothing is kept: the browser may read the file again. */
  vad.load = (name, folder = "data") =>
    new Promise((resolve, reject) => {
      const script = document.createElement("script");
      const path = `${folder}/${name.split("/").map(encodeURIComponent).join("/")}.js`;
      script.nonce = nonce;
      script.src = path;
      script.onload = () => {
        script.remove();
        const values = received.get(name);
        received.delete(name);
        if (values) resolve(values);
        else reject(new Error(`${path} holds no data; write the page again`));
      };
      script.onerror = () => {
        script.remove();
        reject(new Error(`${path} is not there; copy the whole report folder, or write the page again`));
      };
      document.head.append(script);
    });
})();
