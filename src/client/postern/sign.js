  // Signing: asks the endpoint for the form and the ways.

  var WHOLE_CHECKSUM = 64 * 1024 * 1024; // a larger file is not read as a whole before it is signed
  var plainEndpoints = {};               // endpoints that do not know `ways` and `checksum`

  Upload.prototype.endpoint = function () {
    return this.options.endpoint || home + '/v1/uploads';
  };

  // What this browser can do, as far as the page allows it.
  Upload.prototype.possibleWays = function () {
    var wish = this.options.way || 'auto', byScript = this.file && this.transport() === 'xhr';
    if (/^(form|put|multipart|resumable|fallback)$/.test(wish)) return [wish];
    var direct = byScript ? ['form', 'put', 'multipart'] : ['form'];
    if (wish === 'direct') return direct;
    return direct.concat(byScript && this.file.slice ? ['resumable', 'fallback'] : 'fallback');
  };

  Upload.prototype.transport = function () {
    var how = this.options.transport || 'auto';
    if (how !== 'auto') return how;
    return this.file && canSendFiles() ? 'xhr' : 'iframe';
  };

  // Computes the checksum of a file that is small enough, then signs.
  Upload.prototype.prepare = function () {
    if (plainEndpoints[this.endpoint()] || this.checksum || !this.file || this.file.size > WHOLE_CHECKSUM || this.transport() !== 'xhr') return this.sign();
    checksum(this.file, this.options, this.during(function (sum) {
      this.checksum = sum;
      this.sign();
    }));
  };

  Upload.prototype.question = function (isPlain) {
    var o = this.options, ask = { filename: this.name() };
    if (o.profile) ask.profile = o.profile;
    if (o.metadata) ask.metadata = o.metadata;
    if (o.returnTo) ask.return_to = o.returnTo;
    if (this.file) {
      ask.size = this.file.size;
      if (this.file.type) ask.content_type = this.file.type;
    }
    if (isPlain) return ask;
    ask.ways = this.possibleWays();
    if (this.checksum) ask.checksum = { crc32c: this.checksum };
    return ask;
  };

  Upload.prototype.sign = function (withoutWays) {
    var endpoint = this.endpoint(), isPlain = !!withoutWays || !!plainEndpoints[endpoint];
    var headers = { 'Content-Type': 'application/json', Accept: 'application/json' };
    each(this.options.headers || {}, function (name, value) { headers[name] = value; });
    this.request({
      method: 'POST', url: endpoint, headers: headers, body: JSON.stringify(this.question(isPlain)), withCredentials: this.options.withCredentials
    }, function (xhr) {
      var form = xhr.status === 201 && parse(textOf(xhr));
      if (form && form.complete_url) {
        if (withoutWays) plainEndpoints[endpoint] = true;
        return this.signed(form);
      }
      if (xhr.status === 400 && !isPlain) return this.sign(true); // a server that does not know the new members refuses them
      var error = failureOf(xhr, 'Signing'), again = function () { this.sign(withoutWays); };
      if (xhr.status >= 200 && xhr.status < 400) error.retryable = true; // an answer of something else on the way, such as a captive portal
      if (!xhr.status && line.isBroken(endpoint)) return this.awaitLine(again);
      this.retry(error, again);
    });
  };

  Upload.prototype.signed = function (form) {
    this.form = form;
    this.signedAt = now();
    this.rest = this.waysOf(form);
    var next = this.during(function () { this.takeNextWay(''); });
    this.call('onSigned', form);
    next();
  };
