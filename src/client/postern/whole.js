  // The ways that send the file as a whole: the form (to the store, or to Postern as the fallback), and the presigned PUT.

  var STORE_BUSY_FOR = 30 * 1000; // a store that is busy for longer makes the upload take the other way

  // Tells Postern that the file is the last part of the form, so that its size is known before it comes. S3 ignores the field.
  var PROMISE = { name: 'x-ignore-nothing-follows', value: 'true' };

  Upload.prototype.sendForm = function (url) {
    var data = new FormData(), fields = this.form.fields;
    each(fields, function (name, value) { data.append(name, value); });
    data.append(PROMISE.name, PROMISE.value);
    // The key names the object. The file's own name is sent only when the key needs it, because some stores misread ; = and " in it.
    data.append('file', this.file, /\$\{filename\}/.test(fields.key) ? this.name() : 'file');
    this.sendWhole('POST', url, { Accept: 'application/json' }, data);
  };

  Upload.prototype.sendPut = function () {
    this.sendWhole(this.entry.method || 'PUT', this.entry.url, this.entry.headers, this.file);
  };

  Upload.prototype.sendWhole = function (method, url, headers, body) {
    var total = this.file.size, isFallback = this.way === 'fallback';
    this.request({
      method: method, url: url, headers: headers, body: body,
      // A network that drops packets to the store would keep the browser waiting for minutes.
      patience: this.way === 'direct' && this.isAuto() ? this.options.patience || 15000 : 0,
      silence: isFallback && this.options.stall === undefined ? 60000 : 0, // Postern has the store behind it
      onSent: this.during(function (bytes) {
        this.report(Math.min(bytes, total), total, this.entry.way);
      })
    }, this.answered);
  };

  Upload.prototype.answered = function (xhr, r) {
    if (xhr.status === 202) return this.awaitState();
    if (xhr.status >= 200 && xhr.status < 300) {
      var upload = parse(textOf(xhr));
      if (upload && upload.state === 'completed') return this.finish(null, upload);
      return this.complete(); // the answer says nothing, or is none of the store's: only the completion counts
    }
    if (xhr.status === 0) return this.noAnswer(r);
    var error = failureOf(xhr, 'The upload');
    if (this.isExpired(error)) {
      this.signedAgain = true; // the form expired before its upload began: sign once more
      return this.sign();
    }
    if (this.way === 'direct' && this.leaveStore(error)) return;
    this.retry(error, this.sendAgain);
  };

  Upload.prototype.isExpired = function (error) {
    if (this.signedAgain) return false;
    return /expired/i.test(error.message) || (this.entry.way === 'put' && error.status === 403 && now() - this.signedAt > 60000);
  };

  // Takes the other way when the store cannot do this one, or has an error of its own, or is busy for too long.
  Upload.prototype.leaveStore = function (error) {
    var why = 'the store answered ' + error.status;
    if (error.status === 405 || error.status === 501) return this.tryNext(why, 0);
    if (error.status < 500 && error.status !== 429) return false;
    if (error.busy && this.retries() && (!this.busySince || now() - this.busySince < STORE_BUSY_FOR)) return false;
    return this.tryNext(why, ILL_FOR);
  };
