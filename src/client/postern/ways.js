  // The ways to the store, and which one is next.

  var DEAD_FOR = 5 * 60 * 1000; // a store that could not be reached is not tried by other files for so long
  var ILL_FOR = 60 * 1000;      // the same for a store that answered with an error of its own

  // The entries to try, in their order. An older server's answer has no `ways`.
  Upload.prototype.waysOf = function (form) {
    var possible = this.possibleWays(), usable = [], given = form.ways || [{ way: 'form' }, { way: 'fallback' }];
    for (var i = 0; i < given.length; i++) {
      var way = given[i].way;
      if (way === 'form' && form.url === form.fallback_url) continue; // there is no direct upload
      for (var j = 0; j < possible.length; j++) if (possible[j] === way) usable.push(given[i]);
    }
    // "direct" where there is no direct upload means the only upload there is.
    if (!usable.length && form.fallback_url && form.url === form.fallback_url) usable.push({ way: 'fallback' });
    return this.withoutDetour(usable);
  };

  // A small file takes the fallback instead of the resumable way. It is sent again as quickly as it goes on, and the answer to its form is the completion;
  // the resumable way asks for that with one request more.
  Upload.prototype.withoutDetour = function (entries) {
    var others = [], hasFallback = false;
    for (var i = 0; i < entries.length; i++) {
      if (entries[i].way === 'fallback') hasFallback = true;
      if (entries[i].way !== 'resumable') others.push(entries[i]);
    }
    return hasFallback && this.file && this.file.size <= SMALLEST_SAVED ? others : entries;
  };

  function isDirect(entry) { return entry.way !== 'fallback' && entry.way !== 'resumable'; }

  // Whether an upload by this way goes on where it stopped, also after a reload.
  function canGoOn(way) { return way === 'multipart' || way === 'resumable'; }

  Upload.prototype.isAuto = function () {
    return (this.options.way || 'auto') === 'auto';
  };

  // The address by which failures of this way are remembered.
  Upload.prototype.storeOf = function (entry) {
    return entry.way + ' ' + (entry.way === 'form' ? this.form.url : originOf(entry.url || this.form.url));
  };

  // Starts the next way. Returns false when none is left.
  Upload.prototype.takeNextWay = function (why) {
    var skipped = null;
    while (this.rest.length) {
      var entry = this.rest.shift(), failed = this.isAuto() && isDirect(entry) && recentFailure(this.storeOf(entry));
      if (failed) {
        why = why || failed.why + ', as was seen a moment ago';
        skipped = skipped || entry;
      } else {
        this.send(entry, why || this.firstReason(entry));
        return true;
      }
    }
    if (skipped) this.send(skipped, 'there is no other way');
    else if (!this.entry) this.finish(failure('no_way', 'The server offers no way that this page can use.', 0, false));
    return !!skipped;
  };

  Upload.prototype.firstReason = function (entry) {
    var isOnly = !isDirect(entry) && this.form.url === this.form.fallback_url;
    if (isOnly || (this.isAuto() && !isDirect(entry))) return 'there is no direct upload';
    return this.isAuto() ? 'tried first' : 'asked for';
  };

  // Called when a way failed. `forMs`: for how long other files avoid the store too, by this way and by the other direct ones.
  // Returns false when there is no other way.
  Upload.prototype.tryNext = function (why, forMs) {
    if (this.entry.way === 'fallback') return false;
    if (forMs) {
      rememberFailure(this.storeOf(this.entry), why, forMs);
      var others = [];
      for (var i = 0; i < this.rest.length; i++) {
        if (isDirect(this.rest[i])) rememberFailure(this.storeOf(this.rest[i]), why, forMs);
        else others.push(this.rest[i]);
      }
      this.rest = others;
    }
    return this.takeNextWay(why);
  };

  Upload.prototype.send = function (entry, reason) {
    this.stop();
    this.entry = entry;
    this.way = isDirect(entry) ? 'direct' : entry.way;
    var begin = this.during(this.begin);
    this.call('onWay', this.way, reason, entry.way);
    begin();
  };

  Upload.prototype.begin = function () {
    var entry = this.entry;
    if (entry.way === 'multipart') this.sendParts();
    else if (entry.way === 'resumable') this.sendResumable();
    else if (entry.way === 'put') this.sendPut();
    else if (this.transport() === 'iframe') this.sendByFrame(this.way === 'direct' ? this.form.url : this.form.fallback_url);
    else this.sendForm(this.way === 'direct' ? this.form.url : this.form.fallback_url);
  };

  // Sends by the same way again.
  Upload.prototype.sendAgain = function () {
    this.send(this.entry, 'again');
  };

  // Browsers hide from scripts why a request failed. A request in mode no-cors needs no CORS rule: if it succeeds, the CORS rule is what is missing.
  // done.call(upload, why)
  Upload.prototype.explain = function (r, done) {
    var told = false, tell = this.during(function (why) {
      if (!told) done.call(this, why);
      told = true;
    });
    if (r.begun) return tell(r.isSent ? 'the store\u2019s answer did not get through' : r.isStalled ? 'the store stopped reading' : 'the connection to the store broke twice');
    if (!root.fetch) return tell('the store cannot be reached from this page');
    var url = this.entry.way === 'form' ? this.form.url : originOf(this.storeUrl()) + '/';
    root.fetch(url, { mode: 'no-cors', credentials: 'omit', cache: 'no-store' }).then(function () {
      tell('the store has no CORS rule for this page');
    }, function () {
      tell('the store cannot be reached from here');
    });
    this.later(3000, function () { tell('the store cannot be reached from here'); });
  };

  Upload.prototype.storeUrl = function () {
    return this.entry.url || (this.parts && this.parts.lastUrl) || this.form.url;
  };
