  // CRC32C of what is sent, computed in a worker. Left out where there is no worker, or where it would slow the upload.

  var SLOWEST_CHECKSUM = 150e6;  // bytes a second
  var MAX_SILENCE = 20000;       // ms, and 1 ms for each 10 kB of the largest question: a worker that answers nothing for so long is left out
  var WORKER = '#postern-checksums'; // the end of the address tells this script that it is the worker
  var checker = null;            // the worker with its questions; null before the first one; false when there is none

  // Computes the checksum of a Blob: done(base64), or done(null) where it is left out. options.checksum: false leaves it out, 'always' computes it at any speed.
  function checksum(blob, options, done) {
    if (options.checksum === false || checker === false) return done(null);
    if (!checker) checker = new Checker();
    if (checker.isSlow && options.checksum !== 'always') return done(null);
    checker.ask(blob, done);
  }

  function Checker() {
    this.questions = {}; // by number: functions that wait for the answer
    this.count = 0;
    this.largest = 0; // bytes, of all questions so far
    this.watch = null; // the timer of the worker's silence
    this.isSlow = false; // slower than SLOWEST_CHECKSUM when it was last measured
    this.start(this.isServed() ? 'file' : 'blob');
  }

  // The page's origin serves this script: then the script itself is the worker, which a Content-Security-Policy with 'self' allows.
  Checker.prototype.isServed = function () {
    return !!script && !!root.location && /\/postern\.js(\?|$)/.test(script.src) && originOf(script.src) === originOf(root.location.href);
  };

  Checker.prototype.start = function (from) {
    var self = this;
    try {
      var url = from === 'file' ? script.src.replace(/#.*$/, '') + WORKER : root.URL.createObjectURL(new Blob(['(' + serveChecksums + ')(self, ' + makeCrc32c + ', ' + crcToBase64 + ');'], { type: 'text/javascript' }));
      this.worker = new root.Worker(url);
      this.worker.onmessage = function (e) { self.answered(e.data); };
      this.worker.onerror = function (e) {
        if (e && e.preventDefault) e.preventDefault();
        self.end();
      };
    } catch (e) { // no workers here, or the page's policy forbids them
      this.end();
    }
  };

  Checker.prototype.ask = function (blob, done) {
    if (!this.worker) return done(null);
    var id = this.count += 1;
    this.questions[id] = done;
    this.largest = Math.max(this.largest, blob.size);
    this.worker.postMessage({ id: id, blob: blob });
    if (!this.watch) this.expectAnswer();
  };

  Checker.prototype.expectAnswer = function () {
    var self = this;
    clearTimeout(this.watch);
    this.watch = null;
    each(this.questions, function () {
      if (!self.watch) self.watch = setTimeout(function () { self.end(); }, MAX_SILENCE + self.largest / 1e4);
    });
  };

  Checker.prototype.answered = function (answer) {
    var done = this.questions[answer.id];
    delete this.questions[answer.id];
    this.expectAnswer();
    if (done) done(answer.sum || null);
    if (answer.speed) this.isSlow = answer.speed < SLOWEST_CHECKSUM;
  };

  // No more checksums on this page. Questions that wait are answered with null.
  Checker.prototype.end = function () {
    var waiting = this.questions;
    checker = false;
    this.questions = {};
    clearTimeout(this.watch);
    if (this.worker) this.worker.terminate();
    this.worker = null;
    each(waiting, function (id, done) { done(null); });
  };
