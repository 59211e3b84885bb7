  // The end of an upload: Postern confirms that the object exists. Only that counts, whatever the store, a proxy or a captive portal answered.

  // Asks complete_url, which makes Postern ask the store. absent.call(upload, xhr): the object is not there, or is another upload's. `step` is done again after a temporary failure.
  Upload.prototype.askWhetherComplete = function (step, absent) {
    this.request({ method: 'GET', url: this.form.complete_url, headers: { Accept: 'application/json' } }, function (xhr) {
      var upload = parse(textOf(xhr)), isForeign = xhr.status >= 200 && xhr.status < 400 && !upload;
      if (xhr.status === 200 && upload && upload.state === 'completed') return this.finish(null, upload);
      if (upload && upload.state === 'checking') return this.awaitState();
      if (isForeign || (!xhr.status && line.isBroken(this.form.complete_url))) return this.awaitLine(step);
      if (xhr.status === 202 && upload) return this.awaitState();
      if (xhr.status === 0) return this.retry(connectionLost(), step);
      if (xhr.status === 429 || xhr.status >= 500) return this.retry(failureOf(xhr, 'The completion'), step); // still unknown
      absent.call(this, xhr);
    });
  };

  // The upload was answered with success.
  Upload.prototype.complete = function () {
    this.askWhetherComplete(this.complete, function (xhr) {
      var error = failureOf(xhr, 'The completion');
      if (xhr.status !== 404 && xhr.status !== 409) return this.finish(error);
      // Something answered with success, and this upload's object is not there: a captive portal or a proxy.
      if (!this.again[this.entry.way]) return this.sendOnceMore(failure(error.code, error.message, error.status, true));
      if (!this.tryNext('something else than the store answered', ILL_FOR)) this.finish(error);
    });
  };

  // The script can read no answer. The network failed, a CORS rule is missing, or the upload succeeded and its answer was lost. Asking is cheaper than
  // sending twice. r is the request without an answer; r.isBreak: the network was away in between, which is nobody's fault.
  Upload.prototype.noAnswer = function (r) {
    var self = this;
    this.askWhetherComplete(function () {
      if (self.breakSince) r.isBreak = true;
      this.noAnswer(r);
    }, function (xhr) {
      if (xhr.status === 415) return this.finish(failureOf(xhr, 'The completion')); // it is there, and of a wrong type
      if (r.isBreak) return this.sendAgain();
      this.checkFile(function () {
        // It broke off in the middle: the same way deserves a second try.
        if (this.way === 'direct' && r.begun && !r.isSent && !this.again[this.entry.way] && this.attempt < this.retries()) return this.sendOnceMore(connectionLost());
        if (this.way !== 'direct') return this.retry(connectionLost(), this.sendAgain);
        this.explain(r, function (why) {
          if (!this.tryNext(why, r.begun && !r.isSent ? ILL_FOR : DEAD_FOR)) this.retry(connectionLost(), this.sendAgain);
        });
      });
    });
  };

  Upload.prototype.sendOnceMore = function (error) {
    this.again[this.entry.way] = true;
    this.retry(error, this.sendAgain);
  };

  // A file that cannot be read looks like a broken connection.
  Upload.prototype.checkFile = function (next) {
    if (!root.FileReader || !this.file || !this.file.slice || !this.file.size) return next.call(this);
    readStart(this.file, 1, this.during(function (bytes) {
      if (bytes) next.call(this);
      else this.finish(failure('file_unreadable', 'The file cannot be read. It was changed, moved or removed after it was chosen.', 0, false));
    }));
  };

  // No bytes are left to send, so the next file may start.
  Upload.prototype.awaitState = function () {
    queue.leave(this);
    this.watchState(0);
  };

  // Polls the upload's state until it is final.
  Upload.prototype.watchState = function (asked) {
    this.request({ method: 'GET', url: this.form.status_url, headers: { Accept: 'application/json' } }, function (xhr) {
      var upload = xhr.status === 200 && parse(textOf(xhr)), state = upload && upload.state;
      if (state === 'completed') return this.finish(null, upload);
      // While the frame is sending, a failure is that of an earlier connection.
      if (/^(expired|rejected|removing|removed)$/.test(state) || (state === 'failed' && !this.isFraming)) return this.finish(stateFailure(upload));
      this.later(Math.min(15000, 500 * Math.pow(1.5, asked)), function () { this.watchState(asked + 1); });
    });
  };

  function stateFailure(upload) {
    return failure(upload.code || upload.state, 'The state of the upload is: ' + upload.state + '.', 0, false);
  }
