  // One upload: its life from the queue to its end.

  var BUSY_FOR = 5 * 60 * 1000;   // how long an upload obeys a server that answers nothing but 429 and 503
  var BREAK_FOR = 60 * 60 * 1000; // how long an upload waits for a network that is away

  // phase: a number that changes when the upload turns to something else. Answers and timers of an earlier phase count for nothing.
  function Upload(file, input, options) {
    this.file = file;
    this.input = input;
    this.options = options;
    this.attempt = 0;
    this.phase = 0;
    this.over = false;
    this.isPaused = false;
    this.requests = [];
    this.timers = []; // functions that cancel a timer
    this.offset = undefined; // of a resumable upload: bytes that Postern has
    this.again = {};  // by way: true once it was begun a second time
    this.breakSince = 0;
    this.busySince = 0;
  }

  Upload.prototype.call = function (name, a, b, c) {
    (this.options[name] || nothing)(a, b, c);
  };

  // WebKit tells of each 8 KiB that it sent. A page is told ten times a second, and whenever bytes are lost or all were sent.
  Upload.prototype.report = function (loaded, total, by) {
    var last = this.reported;
    if (last && last.by === by && loaded >= last.loaded && loaded < total && now() - last.at < 100) return;
    this.reported = { loaded: loaded, by: by, at: now() };
    this.call('onProgress', { loaded: loaded, total: total, way: this.way, by: by });
  };

  Upload.prototype.retries = function () {
    return this.options.retries === undefined ? 3 : this.options.retries;
  };

  Upload.prototype.name = function () {
    if (this.file) return this.file.name || 'file';
    return (this.input.value || 'file').replace(/^.*[\/\\]/, '');
  };

  // f with this upload as `this`, as long as the phase lasts.
  Upload.prototype.during = function (f) {
    var self = this, phase = this.phase;
    return function (a, b) {
      if (!self.over && self.phase === phase) f.call(self, a, b);
    };
  };

  Upload.prototype.later = function (ms, f) {
    var timer = setTimeout(this.during(f), ms);
    this.timers.push(function () { clearTimeout(timer); });
  };

  // Ends the phase: its requests, timers and the iframe.
  Upload.prototype.stop = function () {
    var requests = this.requests, timers = this.timers;
    this.phase += 1;
    this.requests = [];
    this.timers = [];
    for (var i = 0; i < timers.length; i++) timers[i]();
    for (i = 0; i < requests.length; i++) {
      clearInterval(requests[i].watch);
      requests[i].xhr.abort();
    }
    if (this.cleanUp) this.cleanUp();
    this.cleanUp = null;
  };

  // The upload's turn has come: for the first time, or after a pause.
  Upload.prototype.start = function () {
    var self = this;
    if (!this.form) return this.findSaved(this.during(function (saved) {
      if (saved) self.goOn(saved);
      else self.prepare();
    }));
    this.signedAgain = false;
    if (!this.entry) this.takeNextWay('');
    else if (canGoOn(this.entry.way)) this.begin();
    else this.noAnswer({ begun: true, isBreak: true });
  };

  Upload.prototype.finish = function (error, upload) {
    if (this.over) return;
    this.over = true;
    this.stop();
    queue.leave(this);
    if (!error || (error.code !== 'network' && !error.retryable)) this.forget();
    this.unlock();
    if (error) {
      this.call('onError', error);
      if (this.reject) this.reject(error);
    } else {
      this.call('onComplete', upload);
      if (this.resolve) this.resolve(upload);
    }
  };

  Upload.prototype.cancel = function () {
    if (this.over) return;
    this.discard();
    this.finish(failure('cancelled', 'The upload was cancelled.'));
  };

  Upload.prototype.pause = function () {
    if (this.over || this.isPaused) return;
    this.isPaused = true;
    this.stop();
    queue.leave(this);
  };

  Upload.prototype.resume = function () {
    if (this.over || !this.isPaused) return;
    this.isPaused = false;
    queue.enter(this);
  };

  // --- waiting and trying again -----------------------------------------------------------------------

  // Tries `step` again after a pause. Fails when the error will not pass or no try is left. A busy server uses up no try.
  Upload.prototype.retry = function (error, step) {
    if (!error.retryable || !this.retries()) return this.finish(error);
    if (error.busy) return this.obey(error, step);
    this.busySince = 0;
    if (this.attempt >= this.retries()) return this.finish(error);
    this.attempt += 1;
    this.pauseThen(this.attempt, error, error.after === undefined ? pauseAfter(this.attempt) : error.after + jitter(), step);
  };

  // Comes back when the server says so. Fails when it has said nothing else for BUSY_FOR.
  Upload.prototype.obey = function (error, step) {
    if (!this.busySince) {
      this.busySince = now();
      this.busyCount = 0;
    }
    if (now() - this.busySince > BUSY_FOR) return this.finish(error);
    this.busyCount += 1;
    this.pauseThen(this.attempt, error, error.after === undefined ? pauseAfter(this.busyCount) : error.after * (1 + Math.random() / 4) + jitter(), step);
  };

  // Tells the page and waits. The page may pause or cancel the upload when it is told.
  Upload.prototype.pauseThen = function (attempt, error, ms, step) {
    var next = this.during(step);
    this.call('onRetry', attempt, error);
    this.later(ms, next);
  };

  // The network is away: waits for it, and uses up no try.
  Upload.prototype.awaitLine = function (step) {
    var lost = failure('network', 'The network is away.', 0, true);
    if (!this.retries()) return this.finish(lost);
    if (!this.breakSince) {
      this.breakSince = now();
      this.breakCount = 0;
    }
    if (now() - this.breakSince > (this.options.longestBreak || BREAK_FOR)) return this.finish(lost);
    this.breakCount += 1;
    var next = this.during(step);
    this.timers.push(line.wait(Math.min(15000, pauseAfter(this.breakCount)), next));
    this.call('onRetry', this.attempt, lost);
  };

  function jitter() { return Math.random() * 500; }

  function pauseAfter(attempt) {
    return Math.min(30000, 500 * Math.pow(2, attempt)) * (0.5 + Math.random());
  }
