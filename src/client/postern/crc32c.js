  // CRC32C (RFC 3720) of bytes. These functions use nothing from outside, because their text becomes a worker.

  // Returns a function (bytes, crc of what came before: 0 at the start) -> crc, eight bytes at a step.
  function makeCrc32c() {
    var table = new Int32Array(8 * 256);
    for (var i = 0; i < 256; i++) {
      var c = i;
      for (var bit = 0; bit < 8; bit++) c = c & 1 ? (c >>> 1) ^ 0x82F63B78 : c >>> 1;
      table[i] = c;
    }
    for (i = 256; i < 2048; i++) table[i] = (table[i - 256] >>> 8) ^ table[table[i - 256] & 255];
    var isLittle = new Uint8Array(new Uint32Array([1]).buffer)[0] === 1;
    return function (bytes, before) {
      var crc = ~before, at = 0, end = bytes.length, t = table;
      if (isLittle && bytes.byteOffset % 4 === 0) {
        var words = new Int32Array(bytes.buffer, bytes.byteOffset, end >>> 2), last = (end >>> 2) & ~1;
        for (var w = 0; w < last; w += 2) {
          var a = crc ^ words[w], b = words[w + 1];
          crc = t[1792 + (a & 255)] ^ t[1536 + ((a >>> 8) & 255)] ^ t[1280 + ((a >>> 16) & 255)] ^ t[1024 + (a >>> 24)] ^
            t[768 + (b & 255)] ^ t[512 + ((b >>> 8) & 255)] ^ t[256 + ((b >>> 16) & 255)] ^ t[b >>> 24];
        }
        at = last * 4;
      }
      for (; at < end; at++) crc = (crc >>> 8) ^ t[(crc ^ bytes[at]) & 255];
      return ~crc;
    };
  }

  function crcToBase64(crc) {
    return btoa(String.fromCharCode((crc >>> 24) & 255, (crc >>> 16) & 255, (crc >>> 8) & 255, crc & 255));
  }

  // The worker: { id, blob } is answered with { id, sum, speed }. speed is in bytes a second, and only given for enough bytes to tell.
  function serveChecksums(scope, make, toBase64) {
    var STEP = 1048576, ENOUGH = 4 * STEP, crc32c = make();
    scope.onmessage = function (e) {
      var blob = e.data.blob, answer = { id: e.data.id }, crc = 0, began = scope.performance.now();
      try {
        var reader = new scope.FileReaderSync();
        for (var at = 0; at < blob.size; at += STEP) crc = crc32c(new Uint8Array(reader.readAsArrayBuffer(blob.slice(at, at + STEP))), crc);
        answer.sum = toBase64(crc);
        if (blob.size >= ENOUGH) answer.speed = blob.size / Math.max(0.001, (scope.performance.now() - began) / 1000);
      } catch (problem) {} // the file cannot be read; the upload will say so
      scope.postMessage(answer);
    };
  }
