  // The lanes of a multipart upload: PARTS_AT_ONCE parts are on their way, each is tried again by itself.

  var PARTS_AT_ONCE = 4;
  var URLS_AT_ONCE = 8;            // few, because their checksums are computed before, and because URLs expire
  var URL_LIFE = 5 * 60 * 1000;    // an unused URL that is older is asked for again

  Upload.prototype.fillLanes = function () {
    var m = this.parts;
    if (m.isHolding) return;
    for (var i = m.ready.length - 1; i >= 0; i--) if (now() - m.ready[i].at > URL_LIFE) m.todo.unshift(m.ready.splice(i, 1)[0].number);
    while (m.lanes < PARTS_AT_ONCE && m.ready.length) this.sendPart(m.ready.shift());
    if (!m.isAsking && m.todo.length && m.ready.length < PARTS_AT_ONCE) this.askForUrls();
    if (!m.isAsking && !m.lanes && !m.ready.length && !m.todo.length) this.completeParts();
  };

  // Computes the checksums of the next parts and asks for their URLs.
  Upload.prototype.askForUrls = function () {
    var m = this.parts, isFirst = !m.lanes && !m.ready.length, numbers = m.todo.splice(0, isFirst ? PARTS_AT_ONCE : URLS_AT_ONCE), sums = {};
    m.isAsking = true;
    var next = this.during(function (i) {
      if (i === numbers.length) return this.askForUrlsOf(numbers, sums);
      checksum(this.sliceOf(numbers[i]), m.needsChecksums ? { checksum: 'always' } : this.options, function (sum) {
        if (sum) sums[numbers[i]] = sum;
        next(i + 1);
      });
    });
    next(0);
  };

  Upload.prototype.askForUrlsOf = function (numbers, sums) {
    var m = this.parts, ask = { parts: numbers };
    each(sums, function () { ask.checksums = sums; });
    this.askAboutParts('POST', '', ask, function (xhr, answer) {
      m.isAsking = false;
      if (xhr.status !== 200 || !answer || !answer.parts) {
        m.todo = numbers.concat(m.todo);
        m.isHolding = true;
        return this.refused(xhr, 'Signing the parts', this.goOnWithParts);
      }
      for (var i = 0; i < answer.parts.length; i++) {
        answer.parts[i].at = now();
        m.ready.push(answer.parts[i]);
      }
      this.fillLanes();
    });
  };

  Upload.prototype.goOnWithParts = function () {
    this.parts.isHolding = false;
    this.parts.suspects = [];
    this.fillLanes();
  };

  Upload.prototype.sliceOf = function (n) {
    var from = (n - 1) * this.parts.size;
    return this.file.slice(from, from + this.parts.sizeOf(n));
  };

  Upload.prototype.sendPart = function (part) {
    var m = this.parts, n = part.number, size = m.sizeOf(n);
    m.lanes += 1;
    m.lastUrl = part.url;
    m.sending[n] = 0;
    this.request({
      method: part.method || 'PUT', url: part.url, headers: part.headers, body: this.sliceOf(n),
      patience: !m.hasMoved && this.isAuto() ? this.options.patience || 15000 : 0,
      onSent: this.during(function (bytes) {
        m.hasMoved = true;
        m.sending[n] = Math.min(bytes, size);
        this.reportParts();
      })
    }, function (xhr, r) {
      m.lanes -= 1;
      delete m.sending[n];
      if (xhr.status < 200 || xhr.status >= 300) return this.partFailed(n, xhr, r);
      m.done[n] = m.hasMoved = true;
      delete m.tries[n];
      this.attempt = m.strikes = m.busySince = 0;
      this.reportParts();
      this.fillLanes();
    });
  };

  // A part failed. It goes back to the others, and gets a new URL with its next turn.
  Upload.prototype.partFailed = function (n, xhr, r) {
    var m = this.parts;
    m.todo.unshift(n);
    if (!xhr.status) {
      m.suspects.push({ number: n, isStalled: r.isStalled });
      if (m.isHolding) return; // the network is being looked at already
      m.isHolding = true;
      return this.later(0, this.checkLine);
    }
    var error = failureOf(xhr, 'A part');
    if (m.isHolding) return; // another lane waits already
    // The multipart upload was ended by another hand. Postern notices when it lists the parts, and begins anew.
    if (xhr.status === 404 && m.rounds < MOST_ROUNDS) {
      this.stop();
      return this.lookForMissingParts(error);
    }
    if (!error.busy || !this.retries()) return this.countTry(n, error);
    m.busySince = m.busySince || now();
    if (now() - m.busySince > (this.rest.length ? STORE_BUSY_FOR : BUSY_FOR)) {
      m.tries[n] = this.retries(); // the last one
      return this.countTry(n, error);
    }
    m.isHolding = true;
    this.obey(error, this.goOnWithParts);
  };

  // Uses up a try of one part. When none is left, the upload takes another way.
  Upload.prototype.countTry = function (n, error) {
    var m = this.parts;
    m.tries[n] = (m.tries[n] || 0) + 1;
    if (Math.max(m.tries[n], m.strikes) > this.retries()) {
      if (!this.tryNext(error.status ? 'the store answered ' + error.status + ' to a part' : 'parts do not get through to the store', ILL_FOR)) this.finish(error);
      return;
    }
    m.isHolding = true;
    this.pauseThen(m.tries[n], error, pauseAfter(m.tries[n]), this.goOnWithParts);
  };

  // A part got no answer. Postern's list of parts tells whether the network is away (nobody's fault), whether the part arrived, or whether the store is to blame.
  Upload.prototype.checkLine = function () {
    var m = this.parts;
    this.checkFile(function () {
      this.askAboutParts('GET', '', null, function (xhr, answer) {
        if ((!xhr.status && line.isBroken(m.url)) || (xhr.status === 200 && !answer)) m.suspects = [{ isBreak: true }];
        if (xhr.status !== 200 || !answer || !answer.parts) return this.refused(xhr, 'The list of parts', this.checkLine);
        for (var i = 0; i < answer.parts.length; i++) {
          var n = answer.parts[i].number;
          if (answer.parts[i].size !== m.sizeOf(n) || m.sending[n] !== undefined) continue;
          m.done[n] = true;
          without(m.todo, n);
        }
        var suspects = m.suspects;
        m.suspects = [];
        this.judgeParts(suspects);
      });
    });
  };

  Upload.prototype.judgeParts = function (suspects) {
    var m = this.parts, lost = [], isStalled = false;
    for (var i = 0; i < suspects.length; i++) {
      if (suspects[i].isBreak) return this.goOnWithParts();
      if (!m.done[suspects[i].number]) lost.push(suspects[i].number);
      isStalled = isStalled || suspects[i].isStalled;
    }
    if (!lost.length) return this.goOnWithParts();
    m.strikes += isStalled ? 2 : 1; // a silence of 30 s is not borne as often as a broken connection
    for (i = 1; i < lost.length; i++) m.tries[lost[i]] = (m.tries[lost[i]] || 0) + 1;
    if (m.hasMoved) return this.countTry(lost[0], connectionLost());
    m.isHolding = true;
    this.explain({}, function (why) {
      if (!this.tryNext(why, DEAD_FOR)) this.countTry(lost[0], connectionLost());
    });
  };
