  // The page, and small tools that every part of the client uses.

  var script = root.document && (document.currentScript || (function () {
    var all = document.getElementsByTagName('script');
    return all[all.length - 1];
  })());
  var home = script && script.src ? script.src.replace(/^(https?:\/\/[^\/]+).*$/, '$1') : ''; // the origin that this script came from
  if (!/^https?:/.test(home)) home = '';

  function nothing() {}

  function now() { return new Date().getTime(); }

  function parse(text) {
    try {
      return JSON.parse(text);
    } catch (e) {
      return null;
    }
  }

  // Calls f(name, value) for each member of the object.
  function each(object, f) {
    for (var name in object) if (Object.prototype.hasOwnProperty.call(object, name)) f(name, object[name]);
  }

  // The origin of an absolute URL as browsers write it: in lower case, without the port that the scheme implies.
  function originOf(url) {
    var origin = (/^https?:\/\/[^\/?#]+/i.exec(url) || [''])[0].toLowerCase();
    return origin.replace(/^(http:.*):80$|^(https:.*):443$/, '$1$2');
  }

  // Whether a script can send a file here. Otherwise a form in a hidden iframe does so.
  function canSendFiles() {
    return !!root.FormData && 'upload' in new XMLHttpRequest();
  }

  // Reads at most `size` bytes of a Blob. done(bytes), or done(null) when the file cannot be read: it was changed, moved or removed after it was chosen.
  function readStart(blob, size, done) {
    var reader = new FileReader();
    reader.onload = function () { done(new Uint8Array(reader.result)); };
    reader.onerror = function () { done(null); };
    reader.readAsArrayBuffer(blob.slice(0, size));
  }
