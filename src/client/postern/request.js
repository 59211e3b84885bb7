  // One HTTP request of an upload, with a watch that ends it when no byte moves.

  var SOCKET_BUFFER = 4 * 1024 * 1024; // what a browser reports as sent can be this much ahead of the network
  var LONGEST_ANSWER = 5 * 60 * 1000;

  // Sends a request. `ask` has method, url, headers, body; withCredentials; `silence`: ms without a byte after which the request is ended (options.stall);
  // `patience`: the same for the time before the first byte; onSent(bytes) for the bytes of a file.
  // done.call(upload, xhr, r): r.begun: bytes moved; r.isSent: all did; r.isStalled: the watch ended the request, and xhr.status is 0.
  // done is not called when the upload has turned to something else meanwhile.
  Upload.prototype.request = function (ask, done) {
    var self = this, phase = this.phase, xhr = new XMLHttpRequest();
    var r = { xhr: xhr, ask: ask, sent: 0, begun: false, isSent: false, isStalled: false, startedAt: now(), movedAt: now() };
    xhr.open(ask.method, ask.url, true);
    if (ask.withCredentials) xhr.withCredentials = true;
    each(ask.headers || {}, function (name, value) { xhr.setRequestHeader(name, value); });
    xhr.onreadystatechange = function () {
      r.movedAt = now();
      if (xhr.readyState !== 4) return;
      clearInterval(r.watch);
      without(self.requests, r);
      if (xhr.status) line.reached[originOf(ask.url)] = true;
      if (phase !== self.phase || self.over) return;
      if (xhr.status) self.breakSince = 0;
      if (xhr.status && xhr.status !== 429 && xhr.status !== 503) self.busySince = 0;
      done.call(self, xhr, r);
    };
    xhr.onprogress = function () { r.movedAt = now(); };
    if (ask.onSent) this.countSent(r, phase);
    this.requests.push(r);
    this.watch(r);
    xhr.send(ask.body === undefined ? null : ask.body);
    return r;
  };

  // Listeners on the upload make browsers send a preflight, so that a missing CORS rule costs no upload.
  Upload.prototype.countSent = function (r, phase) {
    var self = this;
    r.xhr.upload.onprogress = function (e) {
      if (e.loaded <= r.sent) return;
      r.sent = e.loaded;
      r.begun = true;
      r.movedAt = line.moved[originOf(r.ask.url)] = now();
      if (!self.over && phase === self.phase) r.ask.onSent(e.loaded);
    };
    r.xhr.upload.onload = function () {
      r.isSent = true;
      r.sentAt = now();
    };
  };

  // Ends the request when it is silent for too long. A timer that comes late says that the machine slept or the page was in the background:
  // then the request gets one more round.
  Upload.prototype.watch = function (r) {
    var self = this, lastAt = now(), isSecondLook = false, every = Math.min(1000, this.silenceOf(r) / 4);
    r.watch = setInterval(function () {
      var late = now() - lastAt > every + 5000;
      lastAt = now();
      var movedAt = r.begun ? r.movedAt : Math.max(r.movedAt, line.moved[originOf(r.ask.url)] || 0); // others use the line: this one waits for its turn
      if (now() - movedAt < self.silenceOf(r)) return;
      if (late && !isSecondLook) {
        isSecondLook = true;
        return;
      }
      clearInterval(r.watch);
      r.isStalled = true;
      r.xhr.abort(); // calls onreadystatechange
    }, every);
  };

  // How long the request may be silent now, in ms.
  Upload.prototype.silenceOf = function (r) {
    var stall = r.ask.silence || this.options.stall || 30000;
    if (!r.begun) return r.ask.patience ? Math.min(r.ask.patience, stall) : stall;
    if (!r.isSent) return stall;
    // The last bytes may still be in the socket's buffer. At the speed so far, they need this long.
    var drain = (r.sentAt - r.startedAt) * Math.min(1, SOCKET_BUFFER / Math.max(r.sent, 1));
    return Math.max(stall, Math.min(LONGEST_ANSWER, drain));
  };
