  // The multipart way, as seen from Postern: which parts the store has, and how the upload is completed. lanes.js sends the parts.

  var MOST_ROUNDS = 3; // how often parts that the store turns out to miss are sent again

  // The state of a multipart upload. It lasts longer than a phase, so that a pause loses nothing.
  function Parts(entry, file) {
    this.url = entry.parts_url;
    this.authorization = entry.headers && entry.headers.Authorization;
    this.size = entry.part_size;
    this.count = Math.max(1, Math.ceil(file.size / entry.part_size));
    this.total = file.size;
    this.done = {};     // by number: true when the store has the part
    this.tries = {};    // by number: how often it failed
    this.strikes = 0;   // failures without an answer since the last part that arrived
    this.busySince = 0; // when the store began to answer nothing but 429 and 503
    this.rounds = 0;
    this.lastUrl = '';  // of a part, to know the store's address
    this.needsChecksums = false; // the store refuses a part without one
    this.hasMoved = false; // bytes went to the store: it can be reached from this page
    this.clear();
  }

  // For a new phase: nothing is on its way.
  Parts.prototype.clear = function () {
    this.sending = {};  // by number: bytes sent so far
    this.lanes = 0;     // parts on their way
    this.ready = [];    // parts with a URL
    this.isAsking = false;  // for URLs
    this.isHolding = false; // a failure is being looked at, or waited out
    this.suspects = [];     // parts that failed without an answer
    this.todo = [];
    for (var n = 1; n <= this.count; n++) if (!this.done[n]) this.todo.push(n);
  };

  Parts.prototype.sizeOf = function (n) {
    return n < this.count ? this.size : this.total - (this.count - 1) * this.size;
  };

  Parts.prototype.loaded = function () {
    var self = this, bytes = 0;
    each(this.done, function (n) { bytes += self.sizeOf(Number(n)); });
    each(this.sending, function (n, sent) { bytes += sent; });
    return Math.min(bytes, this.total);
  };

  // Takes the store's list of parts. A part of another size counts as missing.
  Parts.prototype.take = function (listed) {
    this.done = {};
    for (var i = 0; i < listed.length; i++) if (listed[i].number <= this.count && listed[i].size === this.sizeOf(listed[i].number)) this.done[listed[i].number] = true;
  };

  // Begins, or goes on with what the store has.
  Upload.prototype.sendParts = function () {
    if (this.parts) {
      this.parts.clear();
      return this.listParts();
    }
    this.parts = new Parts(this.entry, this.file);
    this.save();
    this.fillLanes();
  };

  // A request about the parts. The token is renewed with every answer.
  Upload.prototype.askAboutParts = function (method, path, body, done) {
    var m = this.parts, headers = { Accept: 'application/json' };
    if (m.authorization) headers.Authorization = m.authorization;
    if (body) headers['Content-Type'] = 'application/json';
    this.request({
      method: method, url: m.url + path, headers: headers, body: body && JSON.stringify(body), silence: path ? LONGEST_ANSWER : 0
    }, function (xhr) {
      var answer = parse(textOf(xhr));
      if (xhr.status >= 200 && xhr.status < 300 && answer && answer.token) {
        m.needsChecksums = !!answer.needs_checksums;
        m.authorization = 'Upload ' + answer.token;
        this.save();
      }
      done.call(this, xhr, answer);
    });
  };

  // Asks which parts the store has, then sends the others.
  Upload.prototype.listParts = function () {
    this.askAboutParts('GET', '', null, function (xhr, answer) {
      if (xhr.status !== 200 || !answer || !answer.parts) return this.refused(xhr, 'The list of parts', this.listParts);
      this.parts.take(answer.parts);
      this.parts.clear();
      this.reportParts();
      this.fillLanes();
    });
  };

  // An answer of Postern's about the parts, or about a resumable upload, is none, or an error.
  Upload.prototype.refused = function (xhr, what, step) {
    var isForeign = xhr.status >= 200 && xhr.status < 400;
    if (isForeign || (!xhr.status && line.isBroken(this.form.complete_url))) return this.awaitLine(step);
    var error = failureOf(xhr, what);
    if (error.retryable) return this.retry(error, step);
    if (error.status === 401 || error.status === 403 || error.status === 404 || error.status === 409 || error.status === 410) return this.gone(error);
    if (!this.tryNext('the server answered ' + error.status, 0)) this.finish(error);
  };

  // What was begun is gone: completed by an earlier request whose answer was lost, or ended. Then the file begins anew, once.
  Upload.prototype.gone = function (error) {
    this.request({ method: 'GET', url: this.form.status_url, headers: { Accept: 'application/json' } }, function (xhr) {
      var upload = parse(textOf(xhr)), state = xhr.status === 200 && upload && upload.state;
      if (state === 'completed') return this.finish(null, upload);
      if (state === 'checking') return this.awaitState();
      if (!xhr.status || xhr.status === 429 || xhr.status >= 500) return this.retry(failureOf(xhr, 'The status'), function () { this.gone(error); });
      if (this.isAnew) {
        if (!this.tryNext(error.message, 0)) this.finish(error);
        return;
      }
      this.isAnew = true;
      this.forget();
      this.stop();
      this.parts = this.form = this.entry = null;
      this.offset = undefined;
      this.prepare();
    });
  };

  Upload.prototype.reportParts = function () {
    this.report(this.parts.loaded(), this.parts.total, 'multipart');
  };

  Upload.prototype.completeParts = function () {
    this.askAboutParts('POST', '/complete', {}, function (xhr, answer) {
      var state = answer && answer.state;
      if (xhr.status === 200 && state === 'completed') return this.finish(null, answer);
      if ((xhr.status === 200 || xhr.status === 202) && state) return this.awaitState();
      if (xhr.status >= 400 && xhr.status < 500 && xhr.status !== 429 && xhr.status !== 408) return this.lookForMissingParts(failureOf(xhr, 'The completion'));
      this.refused(xhr, 'The completion', this.completeParts);
    });
  };

  // The parts are not complete: something else than the store answered to one of them.
  Upload.prototype.lookForMissingParts = function (error) {
    var m = this.parts;
    m.rounds += 1;
    this.askAboutParts('GET', '', null, function (xhr, answer) {
      if (xhr.status !== 200 || !answer || !answer.parts) return this.refused(xhr, 'The list of parts', this.completeParts);
      m.take(answer.parts);
      m.clear();
      if (m.todo.length && m.rounds <= MOST_ROUNDS) return this.fillLanes();
      if (!this.tryNext(error.message, 0)) this.finish(error);
    });
  };

  // The upload was cancelled: the store need not keep what it has.
  Upload.prototype.discard = function () {
    var xhr = new XMLHttpRequest(), isResumable = this.entry && this.entry.way === 'resumable';
    if (!isResumable && !this.parts) return;
    xhr.open('DELETE', isResumable ? this.entry.url : this.parts.url, true);
    if (isResumable) xhr.setRequestHeader('Tus-Resumable', TUS);
    else if (this.parts.authorization) xhr.setRequestHeader('Authorization', this.parts.authorization);
    xhr.send();
  };
